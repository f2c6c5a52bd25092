-- why: a finer window that lies across the boundary of a new one belongs to neither side of it
-- reads:
--     placed(subject VARCHAR, unit VARCHAR, aggregation VARCHAR, finer_start TIMESTAMP, finer_end TIMESTAMP, window_index BIGINT,
--         in_window BOOLEAN),
--     windows(window_index BIGINT, window_start TIMESTAMP, window_end TIMESTAMP)
-- yields: subject VARCHAR, unit VARCHAR, aggregation VARCHAR, finer_start TIMESTAMP, finer_end TIMESTAMP, boundary TIMESTAMP
-- params:
SELECT
    placed.subject,
    unit,
    aggregation,
    finer_start,
    finer_end,
    CASE WHEN in_window THEN window_end ELSE window_start END AS boundary
FROM placed
JOIN windows USING (window_index)
WHERE finer_end > CASE WHEN in_window THEN window_end ELSE window_start END
