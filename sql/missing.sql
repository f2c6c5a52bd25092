-- why: the part of each gap that lies in a new window, whose reading would be wrong without it
-- reads:
--     placed_gaps(subject VARCHAR, unit VARCHAR, aggregation VARCHAR, gap_start TIMESTAMP, gap_end TIMESTAMP, window_index BIGINT),
--     windows(window_index BIGINT, window_start TIMESTAMP, window_end TIMESTAMP)
-- yields: subject VARCHAR, unit VARCHAR, aggregation VARCHAR, missing_start TIMESTAMP, missing_end TIMESTAMP
-- params:
SELECT
    placed_gaps.subject,
    unit,
    aggregation,
    greatest(gap_start, window_start) AS missing_start,
    least(gap_end, window_end) AS missing_end
FROM placed_gaps
JOIN windows USING (window_index)
WHERE greatest(gap_start, window_start) < least(gap_end, window_end)
