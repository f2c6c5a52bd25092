-- why: where to look for the window of a moment: time cut into equal cells, about as long as a window, and what touches each
-- reads:
--     windows(window_index BIGINT, universe_id VARCHAR, subject VARCHAR, window_start TIMESTAMP, window_end TIMESTAMP),
--     window_grid(cell_us BIGINT, first_start TIMESTAMP)
-- yields:
--     universe_id VARCHAR, subject VARCHAR, cell BIGINT, window_index BIGINT, reach_start TIMESTAMP, window_start TIMESTAMP,
--     window_end TIMESTAMP, last_index BIGINT, last_end TIMESTAMP
-- params:
WITH reaching AS (
    SELECT
        *,
        coalesce(lag(window_end) OVER by_subject, first_start) AS reach_start,
        last_value(window_index) OVER whole_subject AS last_index,
        last_value(window_end) OVER whole_subject AS last_end
    FROM windows
    CROSS JOIN window_grid
    WINDOW
        by_subject AS (PARTITION BY universe_id, subject ORDER BY window_index),
        whole_subject AS (
            PARTITION BY universe_id, subject
            ORDER BY window_index
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
)
SELECT
    universe_id,
    subject,
    unnest(range(
        epoch_us(reach_start) // cell_us,
        epoch_us(window_end - to_microseconds(1)) // cell_us + 1
    )) AS cell,
    window_index,
    reach_start,
    window_start,
    window_end,
    last_index,
    last_end
FROM reaching
