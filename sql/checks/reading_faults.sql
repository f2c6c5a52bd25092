-- why: the first reading of a roll-up with a value that cannot be used
-- reads: finer(fault VARCHAR, fault_text VARCHAR, subject VARCHAR, aggregation VARCHAR)
-- yields: fault VARCHAR, fault_text VARCHAR, subject VARCHAR, aggregation VARCHAR
-- params:
SELECT fault, fault_text, subject, aggregation
FROM finer
WHERE fault IS NOT NULL
ORDER BY fault, fault_text, subject, aggregation
LIMIT 1
