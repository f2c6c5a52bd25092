-- why: rejects in a fixed order, that of their keys, so that the same input gives the same bytes (R23)
-- reads:
--     rejects(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, time VARCHAR, measurement VARCHAR, text VARCHAR, reason VARCHAR,
--         file VARCHAR)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, time VARCHAR, measurement VARCHAR, text VARCHAR, reason VARCHAR,
--     file VARCHAR
-- params:
SELECT *
FROM rejects
ORDER BY workspace_id, universe_id, id, "time", measurement, "text", rejects.reason, file
