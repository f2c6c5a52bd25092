-- why: the rank of each value among those of its window, and how many there are: percentiles are read off (R13 needs no tie)
-- reads:
--     values_seen(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, window_index BIGINT,
--         quantity DECIMAL(38,18))
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, window_index BIGINT,
--     quantity DECIMAL(38,18), value_rank BIGINT, value_count BIGINT
-- params:
SELECT
    *,
    row_number() OVER (
        PARTITION BY workspace_id, universe_id, subject, dimensions, unit, window_index
        ORDER BY quantity
    ) AS value_rank,
    count(*) OVER (
        PARTITION BY workspace_id, universe_id, subject, dimensions, unit, window_index
    ) AS value_count
FROM values_seen
