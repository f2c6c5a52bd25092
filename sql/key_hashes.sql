-- why: the hashes of each event's key and of its subject's moment, which are compared to find repeated keys (R8) and tied moments (R13)
-- reads:
--     arrivals(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, keyless BOOLEAN, subject VARCHAR, recorded_at TIMESTAMP,
--         metered_at TIMESTAMP)
-- yields: key_hash UBIGINT, moment_hash UBIGINT
-- params:
SELECT
    CASE WHEN NOT keyless THEN hash(workspace_id, universe_id, id) END AS key_hash,
    hash(subject, recorded_at, metered_at) AS moment_hash
FROM arrivals
