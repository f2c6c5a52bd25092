-- why: the windows of each calendar: boundary n is always so many steps from the origin, never from the boundary before it
-- reads:
--     calendars(universe_id VARCHAR, subject VARCHAR, outer_index BIGINT, zone VARCHAR, unit VARCHAR, step BIGINT, origin TIMESTAMP,
--         starts TIMESTAMP, ends TIMESTAMP, first_at TIMESTAMP, last_at TIMESTAMP, whole BOOLEAN)
-- yields:
--     window_index BIGINT, universe_id VARCHAR, subject VARCHAR, outer_index BIGINT, zone VARCHAR, window_start TIMESTAMP,
--     window_end TIMESTAMP
-- params:
WITH bounded AS (
    SELECT
        *,
        row_number() OVER () AS calendar_index,
        greatest(starts, first_at) AS from_at,
        least(ends, last_at) AS until_at
    FROM calendars
),
guessed AS (
    SELECT
        *,
        CASE unit
            WHEN 'month' THEN date_diff('month', origin, local_clock(from_at, zone)) // step
            WHEN 'day' THEN date_diff('day', origin, local_clock(from_at, zone)) // step
            WHEN 'microsecond' THEN (epoch_us(from_at) - epoch_us(origin)) // step
            ELSE 0
        END AS first_number,
        CASE unit
            WHEN 'month' THEN date_diff('month', origin, local_clock(until_at, zone)) // step
            WHEN 'day' THEN date_diff('day', origin, local_clock(until_at, zone)) // step
            WHEN 'microsecond' THEN (epoch_us(until_at) - epoch_us(origin)) // step
            ELSE 0
        END AS last_number
    FROM bounded
    WHERE from_at < until_at
),
numbered AS (
    SELECT
        *,
        unnest(range(CAST(first_number AS BIGINT) - 2, CAST(last_number AS BIGINT) + 3)) AS number
    FROM guessed
),
boundaries AS (
    SELECT
        *,
        CASE unit
            WHEN 'month' THEN moment_of(origin + to_months(CAST(number * step AS INTEGER)), zone)
            WHEN 'day' THEN moment_of(origin + to_days(CAST(number * step AS INTEGER)), zone)
            WHEN 'microsecond' THEN origin + to_microseconds(number * step)
            WHEN 'all' THEN CASE WHEN number <= 0 THEN coalesce(starts, first_at) ELSE coalesce(ends, last_at) END
        END AS boundary
    FROM numbered
),
periods AS (
    SELECT
        *,
        boundary AS period_start,
        lead(boundary) OVER (PARTITION BY calendar_index ORDER BY number) AS period_end
    FROM (
        SELECT * REPLACE (greatest(least(boundary, TIMESTAMP '9999-12-31 23:59:59.999999'), TIMESTAMP '0001-01-01') AS boundary)
        FROM boundaries
    )
),
clipped AS (
    SELECT
        universe_id,
        subject,
        outer_index,
        zone,
        whole,
        first_at,
        last_at,
        greatest(period_start, starts, CASE WHEN NOT whole THEN first_at END) AS window_start,
        least(period_end, ends, CASE WHEN NOT whole THEN last_at END) AS window_end
    FROM periods
    WHERE period_end IS NOT NULL
)
SELECT
    row_number() OVER (ORDER BY universe_id, subject, window_start, window_end) - 1 AS window_index,
    universe_id,
    subject,
    outer_index,
    zone,
    window_start,
    window_end
FROM clipped
WHERE window_start < window_end
    AND (NOT whole OR coalesce(window_start >= first_at, TRUE) AND coalesce(window_start < last_at, TRUE))
