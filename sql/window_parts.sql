-- why: the part of each span in each window that it overlaps; a span of no length is whole in the window that it lies in (R26)
-- reads:
--     ended(row_id VARCHAR, units HUGEINT, span_start TIMESTAMP, span_end TIMESTAMP, window_index BIGINT, window_index_of_end BIGINT,
--         last_index BIGINT),
--     windows(window_index BIGINT, window_start TIMESTAMP, window_end TIMESTAMP)
-- yields:
--     row_id VARCHAR, units HUGEINT, span_start TIMESTAMP, span_end TIMESTAMP, part_start TIMESTAMP, part_end TIMESTAMP,
--     window_index BIGINT
-- params:
SELECT
    row_id,
    units,
    span_start,
    span_end,
    greatest(span_start, window_start) AS part_start,
    least(span_end, window_end) AS part_end,
    windows.window_index
FROM (
    SELECT
        * EXCLUDE (window_index),
        unnest(range(window_index, coalesce(window_index_of_end, last_index) + 1)) AS touched_index
    FROM ended
) AS touched
JOIN windows ON windows.window_index = touched_index
WHERE (part_start < part_end OR (span_start = span_end AND span_start >= window_start AND span_start < window_end))
