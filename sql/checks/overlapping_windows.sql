-- why: the first two windows of one subject that overlap, so that an event would count in both
-- reads: windows(window_index BIGINT, universe_id VARCHAR, subject VARCHAR, window_start TIMESTAMP, window_end TIMESTAMP)
-- yields: subject VARCHAR, one_end TIMESTAMP, other_start TIMESTAMP
-- params:
WITH followed AS (
    SELECT
        subject,
        window_end AS one_end,
        lead(window_start) OVER (
            PARTITION BY universe_id, subject
            ORDER BY window_start, window_end, window_index
        ) AS other_start
    FROM windows
)
SELECT subject, one_end, other_start
FROM followed
WHERE other_start < one_end
ORDER BY subject, one_end
LIMIT 1
