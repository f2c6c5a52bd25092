-- why: the rows of keys that may occur more than once, and their content in one canonical text
-- reads:
--     arrivals(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, keyless BOOLEAN, content_text VARCHAR),
--     repeated_keys(key_hash UBIGINT)
-- yields: workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, keyless BOOLEAN, content_text VARCHAR, content VARCHAR
-- params:
SELECT *, content_text AS content
FROM arrivals
WHERE NOT keyless
    AND hash(workspace_id, universe_id, id) IN (SELECT key_hash FROM repeated_keys)
