-- why: a level holds from its time to the next record's (R14), in the order of R13; of one event's equals the greater is last
-- reads: levels(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, level DECIMAL(38,18))
-- yields: workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, level DECIMAL(38,18), held_until TIMESTAMP
-- params: end TIMESTAMP
SELECT
    *,
    coalesce(
        lead(recorded_at) OVER (
            PARTITION BY workspace_id, universe_id, subject, dimensions, unit, aggregation
            ORDER BY recorded_at, metered_at, id, level
        ),
        $end
    ) AS held_until
FROM levels
WHERE recorded_at < $end
