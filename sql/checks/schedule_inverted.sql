-- why: the first period that does not end after its start
-- reads: schedule(subject VARCHAR, starts_at TIMESTAMP, ends_at TIMESTAMP)
-- yields: subject VARCHAR, starts VARCHAR, ends VARCHAR
-- params:
SELECT
    subject,
    time_text(starts_at) AS starts,
    time_text(ends_at) AS ends
FROM schedule
WHERE starts_at >= ends_at
ORDER BY subject, starts, ends
LIMIT 1
