-- why: which event keys may occur more than once (R8): 64-bit hashes seen twice, so few rows need the exact comparison
-- reads: arrivals(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, keyless BOOLEAN)
-- yields: key_hash UBIGINT
-- params:
SELECT hash(workspace_id, universe_id, id) AS key_hash
FROM arrivals
WHERE NOT keyless
GROUP BY key_hash HAVING count(*) > 1
