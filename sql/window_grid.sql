-- why: how long a cell is: as long as the average window, so that windows and cells are about as many
-- reads: windows(window_start TIMESTAMP, window_end TIMESTAMP)
-- yields: cell_us BIGINT, first_start TIMESTAMP
-- params:
SELECT
    CAST(greatest(sum(epoch_us(window_end) - epoch_us(window_start)) // greatest(count(*), 1), 1) AS BIGINT) AS cell_us,
    min(window_start) AS first_start
FROM windows
