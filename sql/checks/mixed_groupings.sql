-- why: readings of two groupings that would be added up, though they are of the same records: by user, and by none
-- reads:
--     finer(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, kept_dimensions VARCHAR, unit VARCHAR,
--         aggregation VARCHAR, finer_start TIMESTAMP, finer_end TIMESTAMP)
-- yields:
--     subject VARCHAR, unit VARCHAR, aggregation VARCHAR, finer_start TIMESTAMP, finer_end TIMESTAMP, names VARCHAR[],
--     other_names VARCHAR[]
-- params:
WITH named AS (
    SELECT
        *,
        coalesce(json_keys(dimensions), []) AS names
    FROM finer
),
beside AS (
    SELECT
        subject,
        unit,
        aggregation,
        finer_start,
        finer_end,
        names,
        lead(names) OVER by_kept AS other_names,
        lead(finer_start) OVER by_kept AS next_start
    FROM named
    WINDOW by_kept AS (
        PARTITION BY workspace_id, universe_id, subject, kept_dimensions, unit, aggregation
        ORDER BY finer_start, finer_end, names
    )
)
SELECT * EXCLUDE (next_start)
FROM beside
WHERE next_start < finer_end AND names <> other_names
