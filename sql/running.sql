-- why: deltas as levels: each the sum of all deltas up to it, in the order of R13; those of one event take effect together
-- reads: deltas(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, level DECIMAL(38,18))
-- yields: workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, level DECIMAL(38,18)
-- params:
SELECT
    * REPLACE (
        sum(level) OVER (
            PARTITION BY workspace_id, universe_id, subject, dimensions, unit, aggregation
            ORDER BY recorded_at, metered_at, id
        ) AS level
    )
FROM deltas
