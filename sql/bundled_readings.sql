-- why: one reading per subject, window and dimensions, its values of all units and aggregations in one list
-- reads:
--     readings(id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, window_start TIMESTAMP WITH TIME ZONE,
--         window_end TIMESTAMP WITH TIME ZONE, dimensions MAP(VARCHAR, VARCHAR), quantity DECIMAL(38,18), unit VARCHAR,
--         aggregation VARCHAR, record_count BIGINT, max_metered_at TIMESTAMP WITH TIME ZONE, created_at TIMESTAMP WITH TIME ZONE)
-- yields:
--     id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, window_start TIMESTAMP WITH TIME ZONE,
--     window_end TIMESTAMP WITH TIME ZONE, dimensions MAP(VARCHAR, VARCHAR), computed_values STRUCT(quantity DECIMAL(38,18),
--     unit VARCHAR, aggregation VARCHAR, record_count BIGINT)[], aggregation VARCHAR, record_count BIGINT,
--     max_metered_at TIMESTAMP WITH TIME ZONE, created_at TIMESTAMP WITH TIME ZONE
-- params:
SELECT
    digest(string_agg(id, '' ORDER BY unit, aggregation, id)) AS id,
    workspace_id,
    universe_id,
    subject,
    window_start,
    window_end,
    dimensions,
    list(
        {'quantity': quantity, 'unit': unit, 'aggregation': aggregation, 'record_count': record_count} ORDER BY unit, aggregation, id
    ) AS computed_values,
    CASE WHEN count(DISTINCT aggregation) = 1 THEN any_value(aggregation) END AS aggregation,
    CAST(sum(record_count) AS BIGINT) AS record_count,
    max(max_metered_at) AS max_metered_at,
    any_value(created_at) AS created_at
FROM readings
GROUP BY workspace_id, universe_id, subject, window_start, window_end, dimensions
ORDER BY universe_id, workspace_id NULLS FIRST, subject, CAST(dimensions AS VARCHAR), window_start
