-- why: every event once (R8): the keys that occur once, and the kept row of each that occurs more often
-- reads:
--     arrivals(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, keyless BOOLEAN),
--     repeated_keys(key_hash UBIGINT),
--     settled(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, keyless BOOLEAN, content VARCHAR, verdict VARCHAR,
--         kept_content VARCHAR, kept_metered_at TIMESTAMP)
-- yields: workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, keyless BOOLEAN
-- params:
SELECT *
FROM arrivals
WHERE (keyless OR hash(workspace_id, universe_id, id) NOT IN (SELECT key_hash FROM repeated_keys))
UNION ALL BY NAME
SELECT * EXCLUDE (content, verdict, kept_content, kept_metered_at)
FROM settled
WHERE verdict = 'kept'
