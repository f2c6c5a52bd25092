-- why: the first text in a table of periods that should be a time and is none: among anchors, then starts, then ends
-- reads: schedule(subject VARCHAR, anchor VARCHAR, starts VARCHAR, ends VARCHAR)
-- yields: field VARCHAR, subject VARCHAR, found VARCHAR
-- params:
WITH times AS (
    SELECT 1 AS place, 'anchor' AS field, subject, anchor AS found
    FROM schedule
    UNION ALL
    SELECT 2, 'starts', subject, starts
    FROM schedule
    UNION ALL
    SELECT 3, 'ends', subject, ends
    FROM schedule
)
SELECT field, subject, found
FROM times
WHERE found IS NOT NULL
    AND clock_in_zone(found, 'UTC') IS NULL
ORDER BY place, subject, found
LIMIT 1
