-- why: the readings of two runs side by side, those whose quantity differs: old + delta = new, exactly (R25)
-- reads:
--     old_readings(match_id VARCHAR, reading_id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, unit VARCHAR,
--         aggregation VARCHAR, window_start TIMESTAMP WITH TIME ZONE, window_end TIMESTAMP WITH TIME ZONE,
--         dimensions MAP(VARCHAR, VARCHAR), quantity VARCHAR),
--     new_readings(match_id VARCHAR, reading_id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, unit VARCHAR,
--         aggregation VARCHAR, window_start TIMESTAMP WITH TIME ZONE, window_end TIMESTAMP WITH TIME ZONE,
--         dimensions MAP(VARCHAR, VARCHAR), quantity VARCHAR)
-- yields:
--     reading_id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, unit VARCHAR, aggregation VARCHAR,
--     window_start TIMESTAMP WITH TIME ZONE, window_end TIMESTAMP WITH TIME ZONE, dimensions MAP(VARCHAR, VARCHAR), old VARCHAR,
--     new VARCHAR, delta VARCHAR
-- params: digits INTEGER
WITH differing AS (
    SELECT
        coalesce(new_readings.reading_id, old_readings.reading_id) AS reading_id,
        coalesce(old_readings.workspace_id, new_readings.workspace_id) AS workspace_id,
        coalesce(old_readings.universe_id, new_readings.universe_id) AS universe_id,
        coalesce(old_readings.subject, new_readings.subject) AS subject,
        coalesce(old_readings.unit, new_readings.unit) AS unit,
        coalesce(old_readings.aggregation, new_readings.aggregation) AS aggregation,
        coalesce(old_readings.window_start, new_readings.window_start) AS window_start,
        coalesce(old_readings.window_end, new_readings.window_end) AS window_end,
        coalesce(old_readings.dimensions, new_readings.dimensions) AS dimensions,
        old_readings.quantity AS old,
        new_readings.quantity AS new,
        CAST(units_of(new_readings.quantity, $digits) - units_of(old_readings.quantity, $digits) AS VARCHAR) AS units
    FROM old_readings
    FULL JOIN new_readings USING (match_id)
    WHERE old_readings.quantity IS DISTINCT FROM new_readings.quantity
)
SELECT
    * EXCLUDE (units),
    text_of_units(units, $digits) AS delta
FROM differing
