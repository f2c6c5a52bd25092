-- why: two readings of one key whose windows overlap, which would be counted twice
-- reads:
--     finer(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         finer_start TIMESTAMP, finer_end TIMESTAMP, exact_text VARCHAR, record_count BIGINT, max_metered_at TIMESTAMP)
-- yields:
--     subject VARCHAR, unit VARCHAR, aggregation VARCHAR, finer_start TIMESTAMP, finer_end TIMESTAMP, next_start TIMESTAMP,
--     next_end TIMESTAMP, is_same BOOLEAN
-- params:
WITH in_order AS (
    SELECT
        subject,
        unit,
        aggregation,
        finer_start,
        finer_end,
        lead(finer_start) OVER by_key AS next_start,
        lead(finer_end) OVER by_key AS next_end,
        lead(exact_text) OVER by_key IS NOT DISTINCT FROM exact_text
            AND lead(record_count) OVER by_key IS NOT DISTINCT FROM record_count
            AND lead(max_metered_at) OVER by_key IS NOT DISTINCT FROM max_metered_at AS is_same
    FROM finer
    WINDOW by_key AS (
        PARTITION BY workspace_id, universe_id, subject, dimensions, unit, aggregation
        ORDER BY finer_start, finer_end, exact_text, record_count, max_metered_at
    )
)
SELECT *
FROM in_order
WHERE next_start < finer_end
