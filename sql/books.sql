-- why: how many events there are of each status, how many times were cut, and how many had no offset (R9)
-- reads: counted(status VARCHAR, events BIGINT, times_cut BIGINT, times_naive BIGINT)
-- yields: status VARCHAR, events BIGINT, times_cut BIGINT, times_naive BIGINT
-- params:
SELECT
    coalesce(status, 'metered') AS status,
    CAST(sum(events) AS BIGINT) AS events,
    CAST(sum(times_cut) AS BIGINT) AS times_cut,
    CAST(sum(times_naive) AS BIGINT) AS times_naive
FROM counted
GROUP BY coalesce(status, 'metered')
