-- why: every conflict with both contents (R8): what was kept, and what came later under the same key
-- reads:
--     settled(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, metered_at TIMESTAMP, content VARCHAR, verdict VARCHAR,
--         kept_content VARCHAR, kept_metered_at TIMESTAMP)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, kept_metered_at TIMESTAMP WITH TIME ZONE, kept_content VARCHAR,
--     lost_metered_at TIMESTAMP WITH TIME ZONE, lost_content VARCHAR
-- params:
SELECT
    workspace_id,
    universe_id,
    id,
    kept_metered_at AT TIME ZONE 'UTC' AS kept_metered_at,
    kept_content,
    metered_at AT TIME ZONE 'UTC' AS lost_metered_at,
    content AS lost_content
FROM settled
WHERE verdict = 'conflict'
ORDER BY workspace_id, universe_id, id, metered_at, content
