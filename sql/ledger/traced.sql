-- why: the events behind one reading in the order of R13; of a gauge how long each level held in the window (R14)
-- reads:
--     sent(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         event_id VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, quantity VARCHAR, value VARCHAR, measurement VARCHAR,
--         file VARCHAR, file_row BIGINT, span_start TIMESTAMP, span_end TIMESTAMP, sent DECIMAL(38,18), last_digit DECIMAL(18,18),
--         carried_in BOOLEAN)
-- yields:
--     place BIGINT, carried_in BOOLEAN, file VARCHAR, file_row BIGINT, event_id VARCHAR, recorded_at TIMESTAMP WITH TIME ZONE,
--     metered_at TIMESTAMP WITH TIME ZONE, quantity VARCHAR, value VARCHAR, measurement VARCHAR, span_start TIMESTAMP WITH TIME ZONE,
--     span_end TIMESTAMP WITH TIME ZONE, exact DECIMAL(38,18), held_from TIMESTAMP WITH TIME ZONE, held_until TIMESTAMP WITH TIME ZONE,
--     held_us BIGINT, level_us DECIMAL(38,18)
-- params:
--     workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, unit VARCHAR, aggregation VARCHAR, dimensions VARCHAR,
--     is_gauge BOOLEAN, deltas BOOLEAN, first TIMESTAMP, last TIMESTAMP
WITH of_reading AS (
    SELECT *
    FROM sent
    WHERE workspace_id IS NOT DISTINCT FROM $workspace_id
        AND universe_id = $universe_id
        AND subject = $subject
        AND unit = $unit
        AND aggregation = $aggregation
        AND coalesce(
            CAST(to_json(by_name(CAST(CAST(dimensions AS JSON) AS MAP(VARCHAR, VARCHAR)))) AS VARCHAR),
            '{}'
        ) = $dimensions
),
levels AS (
    SELECT
        *,
        CASE WHEN $deltas THEN sum(sent) OVER (ORDER BY recorded_at, metered_at, event_id) ELSE sent END AS exact,
        row_number() OVER by_time AS place,
        lead(recorded_at) OVER by_time AS next_at
    FROM of_reading
    WINDOW by_time AS (ORDER BY recorded_at, metered_at, event_id, sent)
),
held AS (
    SELECT
        *,
        greatest(recorded_at, $first) AS held_from,
        least(coalesce(next_at, $last), $last) AS held_until
    FROM levels
)
SELECT
    place,
    carried_in OR $is_gauge AND recorded_at < $first AS carried_in,
    file,
    file_row,
    event_id,
    make_timestamptz(epoch_us(recorded_at)) AS recorded_at,
    make_timestamptz(epoch_us(metered_at)) AS metered_at,
    CASE WHEN $is_gauge AND recorded_at < $first THEN plain_text(exact) ELSE quantity END AS quantity,
    value,
    measurement,
    make_timestamptz(epoch_us(span_start)) AS span_start,
    make_timestamptz(epoch_us(span_end)) AS span_end,
    exact,
    make_timestamptz(epoch_us(held_from)) AS held_from,
    make_timestamptz(epoch_us(held_until)) AS held_until,
    epoch_us(held_until) - epoch_us(held_from) AS held_us,
    CASE
        WHEN $is_gauge
            THEN TRY(CAST(
                unscaled(exact) * CAST(epoch_us(held_until) - epoch_us(held_from) AS HUGEINT)
                AS DECIMAL(38, 0)
            ) * last_digit)
    END AS level_us
FROM held
-- Where all events from before the window were read, its level is that of the last of them.
WHERE NOT $is_gauge OR recorded_at >= $first OR coalesce(next_at, $last) >= $first
