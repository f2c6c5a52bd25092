-- why: the windows one row each, as a person checks them, with what clocks show at their bounds
-- reads: windows(universe_id VARCHAR, subject VARCHAR, zone VARCHAR, window_start TIMESTAMP, window_end TIMESTAMP)
-- yields:
--     universe_id VARCHAR, subject VARCHAR, window_index BIGINT, window_start TIMESTAMP WITH TIME ZONE,
--     window_end TIMESTAMP WITH TIME ZONE, local_start VARCHAR, local_end VARCHAR, zone VARCHAR, hours DECIMAL(24,6), length_us BIGINT
-- params:
SELECT
    universe_id,
    subject,
    row_number() OVER (PARTITION BY universe_id, subject ORDER BY window_start) - 1 AS window_index,
    window_start AT TIME ZONE 'UTC' AS window_start,
    window_end AT TIME ZONE 'UTC' AS window_end,
    clock_text(window_start, zone) AS local_start,
    clock_text(window_end, zone) AS local_end,
    zone,
    decimal_division(
        CAST(epoch_us(window_end) - epoch_us(window_start) AS DECIMAL(18, 0)), CAST(3600000000 AS DECIMAL(10, 0)), 6
    ) AS hours,
    epoch_us(window_end) - epoch_us(window_start) AS length_us
FROM windows
ORDER BY universe_id, subject, windows.window_start
