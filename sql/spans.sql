-- why: a level holds from its time to the next record's (R14), in the order of R13; of one event's equals the greater is last
-- reads: levels(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, level DECIMAL(38,18), window_index BIGINT, last_index BIGINT, last_end TIMESTAMP)
-- yields: workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, level DECIMAL(38,18), window_index BIGINT, held_until TIMESTAMP, until_index BIGINT
-- params:
SELECT
    * EXCLUDE (last_index, last_end),
    coalesce(lead(recorded_at) OVER by_series, last_end) AS held_until,
    coalesce(lead(window_index) OVER by_series, last_index) AS until_index
FROM levels
WINDOW
    by_series AS (
        PARTITION BY workspace_id, universe_id, subject, dimensions, unit, aggregation
        ORDER BY recorded_at, metered_at, id, level
    )
