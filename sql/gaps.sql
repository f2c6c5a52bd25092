-- why: once it has a level a gauge has a reading in every window, so time without one is time whose readings are missing
-- reads:
--     finer(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         finer_start TIMESTAMP, finer_end TIMESTAMP, carried BOOLEAN, is_gauge BOOLEAN, filled BOOLEAN)
-- yields: universe_id VARCHAR, subject VARCHAR, unit VARCHAR, aggregation VARCHAR, gap_start TIMESTAMP, gap_end TIMESTAMP
-- params:
WITH in_order AS (
    SELECT
        universe_id,
        subject,
        unit,
        aggregation,
        finer_start,
        finer_end,
        coalesce(lag(finer_end) OVER by_key, CASE WHEN carried THEN TIMESTAMP '0001-01-01' END) AS known_until,
        lead(finer_start) OVER by_key IS NULL AS is_last
    FROM finer
    WHERE is_gauge AND NOT filled
    WINDOW by_key AS (
        PARTITION BY workspace_id, universe_id, subject, dimensions, unit, aggregation
        ORDER BY finer_start
    )
)
SELECT
    universe_id,
    subject,
    unit,
    aggregation,
    known_until AS gap_start,
    finer_start AS gap_end
FROM in_order
WHERE known_until < finer_start
UNION ALL
SELECT
    universe_id,
    subject,
    unit,
    aggregation,
    finer_end,
    TIMESTAMP 'infinity'
FROM in_order
WHERE is_last
