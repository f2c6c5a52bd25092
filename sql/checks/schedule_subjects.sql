-- why: the first row in a table of periods that does not say both its universe and its subject
-- reads: schedule(universe_id VARCHAR, subject VARCHAR)
-- yields: universe_id VARCHAR, subject VARCHAR
-- params:
SELECT universe_id, subject
FROM schedule
WHERE universe_id IS NULL OR subject IS NULL
ORDER BY universe_id, subject
LIMIT 1
