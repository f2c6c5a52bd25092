-- why: every event that was read, one row each, and what became of it (R9)
-- reads:
--     read_events(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, type VARCHAR, subject VARCHAR, recorded_at TIMESTAMP,
--         metered_at TIMESTAMP, properties MAP(VARCHAR, VARCHAR), status VARCHAR, file VARCHAR)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, type VARCHAR, subject VARCHAR, recorded_at TIMESTAMP WITH TIME ZONE,
--     metered_at TIMESTAMP WITH TIME ZONE, properties MAP(VARCHAR, VARCHAR), status VARCHAR, file VARCHAR
-- params:
SELECT
    workspace_id,
    universe_id,
    id,
    type,
    subject,
    recorded_at AT TIME ZONE 'UTC' AS recorded_at,
    metered_at AT TIME ZONE 'UTC' AS metered_at,
    properties,
    status,
    file
FROM read_events
