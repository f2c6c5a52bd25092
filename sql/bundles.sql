-- why: one record per event, with all that was measured of it in one list
-- reads:
--     observed(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, event_id VARCHAR, subject VARCHAR, recorded_at TIMESTAMP,
--         metered_at TIMESTAMP, observations STRUCT(quantity DECIMAL(38,18), unit VARCHAR, aggregation VARCHAR, measurement VARCHAR,
--         window_start TIMESTAMP, window_end TIMESTAMP, "value" VARCHAR)[], rest MAP(VARCHAR, VARCHAR))
-- yields:
--     id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, recorded_at TIMESTAMP WITH TIME ZONE,
--     observations STRUCT(quantity DECIMAL(38,18), unit VARCHAR, aggregation VARCHAR,
--     "window" STRUCT("start" TIMESTAMP WITH TIME ZONE, "end" TIMESTAMP WITH TIME ZONE), "value" VARCHAR)[],
--     dimensions MAP(VARCHAR, VARCHAR), source_event_id VARCHAR, metered_at TIMESTAMP WITH TIME ZONE
-- params:
SELECT
    id,
    workspace_id,
    universe_id,
    subject,
    recorded_at AT TIME ZONE 'UTC' AS recorded_at,
    list_transform(
        observations,
        lambda o: {
            'quantity': o.quantity,
            'unit': o.unit,
            'aggregation': o.aggregation,
            'window': {
                'start': coalesce(o.window_start, recorded_at) AT TIME ZONE 'UTC',
                'end': coalesce(o.window_end, recorded_at) AT TIME ZONE 'UTC'
            },
            'value': o.value
        }
    ) AS observations,
    rest AS dimensions,
    event_id AS source_event_id,
    metered_at AT TIME ZONE 'UTC' AS metered_at
FROM observed
ORDER BY workspace_id, universe_id, observed.id
