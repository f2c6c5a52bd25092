-- why: at which moments a subject may have several events (R13): 64-bit hashes seen twice; only there the event ids are compared
-- reads: arrivals(subject VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP)
-- yields: moment_hash UBIGINT
-- params:
SELECT hash(subject, recorded_at, metered_at) AS moment_hash
FROM arrivals
GROUP BY moment_hash HAVING count(*) > 1
