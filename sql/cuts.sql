-- why: the parts of a span in the windows it overlaps, and those before, between and behind them, which are parts too (R26)
-- reads:
--     window_parts(row_id VARCHAR, units HUGEINT, span_start TIMESTAMP, span_end TIMESTAMP, part_start TIMESTAMP, part_end TIMESTAMP,
--         window_index BIGINT)
-- yields: row_id VARCHAR, units HUGEINT, span_us BIGINT, part_start TIMESTAMP, part_us BIGINT, window_index BIGINT
-- params:
WITH in_order AS (
    SELECT
        *,
        coalesce(lag(part_end) OVER by_row, span_start) AS open_from,
        lead(part_start) OVER by_row IS NULL AS is_last
    FROM window_parts
    WINDOW by_row AS (PARTITION BY row_id ORDER BY part_start)
),
listed AS (
    SELECT row_id, units, span_start, span_end, part_start, part_end, window_index
    FROM in_order
    UNION ALL
    SELECT row_id, units, span_start, span_end, open_from, part_start, NULL
    FROM in_order
    WHERE open_from < part_start
    UNION ALL
    SELECT row_id, units, span_start, span_end, part_end, span_end, NULL
    FROM in_order
    WHERE is_last AND part_end < span_end
)
SELECT
    row_id,
    units,
    epoch_us(span_end) - epoch_us(span_start) AS span_us,
    part_start,
    epoch_us(part_end) - epoch_us(part_start) AS part_us,
    window_index
FROM listed
