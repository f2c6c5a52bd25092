-- why: one record per event and measurement, its id made of the event's key and the measurement (R7)
-- reads:
--     observed(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, event_id VARCHAR, subject VARCHAR, recorded_at TIMESTAMP,
--         metered_at TIMESTAMP, observations STRUCT(quantity DECIMAL(38,18), unit VARCHAR, aggregation VARCHAR, measurement VARCHAR,
--         window_start TIMESTAMP, window_end TIMESTAMP, "value" VARCHAR)[], rest MAP(VARCHAR, VARCHAR))
-- yields:
--     id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, recorded_at TIMESTAMP WITH TIME ZONE,
--     quantity DECIMAL(38,18), unit VARCHAR, aggregation VARCHAR, dimensions MAP(VARCHAR, VARCHAR), source_event_id VARCHAR,
--     metered_at TIMESTAMP WITH TIME ZONE, window_start TIMESTAMP WITH TIME ZONE, window_end TIMESTAMP WITH TIME ZONE, value VARCHAR
-- params:
WITH unnested AS (
    SELECT *, unnest(observations) AS o
    FROM observed
)
SELECT
    digest(encoded(workspace_id) || encoded(universe_id) || encoded(id) || encoded(o.measurement)) AS id,
    workspace_id,
    universe_id,
    subject,
    recorded_at AT TIME ZONE 'UTC' AS recorded_at,
    o.quantity AS quantity,
    o.unit AS unit,
    o.aggregation AS aggregation,
    rest AS dimensions,
    event_id AS source_event_id,
    metered_at AT TIME ZONE 'UTC' AS metered_at,
    o.window_start AT TIME ZONE 'UTC' AS window_start,
    o.window_end AT TIME ZONE 'UTC' AS window_end,
    o.value AS value
FROM unnested
ORDER BY workspace_id, universe_id, unnested.id, o.measurement
