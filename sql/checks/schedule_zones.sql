-- why: the first zone in a table of periods that DuckDB does not know
-- reads: schedule(subject VARCHAR, zone VARCHAR)
-- yields: subject VARCHAR, zone VARCHAR
-- params:
SELECT subject, zone
FROM schedule
WHERE zone IS NOT NULL
    AND zone NOT IN (SELECT name FROM pg_timezone_names())
ORDER BY subject, zone
LIMIT 1
