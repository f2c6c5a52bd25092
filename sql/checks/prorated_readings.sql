-- why: the first reading of a roll-up that holds parts of split records, which were split at its own windows (R26)
-- reads: finer(subject VARCHAR, finer_start TIMESTAMP, finer_end TIMESTAMP, aggregation VARCHAR, unit VARCHAR, prorated BOOLEAN)
-- yields: subject VARCHAR, finer_start TIMESTAMP, finer_end TIMESTAMP, aggregation VARCHAR, unit VARCHAR
-- params:
SELECT subject, finer_start, finer_end, aggregation, unit
FROM finer
WHERE prorated
ORDER BY subject, finer_start, finer_end, aggregation, unit
LIMIT 1
