-- why: the first reading whose quantity has more digits than its DECIMAL: no reading is made then (R18)
-- reads:
--     checked(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, unit VARCHAR, aggregation VARCHAR, quantity DECIMAL(38,18),
--         window_start TIMESTAMP, window_end TIMESTAMP)
-- yields: aggregation VARCHAR, unit VARCHAR, subject VARCHAR, window_start VARCHAR, window_end VARCHAR
-- params:
SELECT
    aggregation,
    unit,
    subject,
    time_text(window_start) AS window_start,
    time_text(window_end) AS window_end
FROM checked
WHERE quantity IS NULL
ORDER BY universe_id, workspace_id, subject, unit, checked.window_start
LIMIT 1
