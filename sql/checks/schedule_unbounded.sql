-- why: the first period without a start, then the first without an end, where the call gives none for all
-- reads: schedule(subject VARCHAR, starts_at TIMESTAMP, ends_at TIMESTAMP)
-- yields: field VARCHAR, subject VARCHAR
-- params: has_start BOOLEAN, has_end BOOLEAN
WITH missing AS (
    SELECT 1 AS place, 'starts' AS field, subject
    FROM schedule
    WHERE starts_at IS NULL AND NOT $has_start
    UNION ALL
    SELECT 2, 'ends', subject
    FROM schedule
    WHERE ends_at IS NULL AND NOT $has_end
)
SELECT field, subject
FROM missing
ORDER BY place, subject
LIMIT 1
