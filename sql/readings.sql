-- why: a reading with its identity (R21), its window, and the exact state that lets it combine with its neighbours (R20)
-- reads:
--     totals(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         window_index BIGINT, quantity DECIMAL(38,18), numerator VARCHAR, divisor_us BIGINT, record_count BIGINT, carried BOOLEAN,
--         prorated BOOLEAN, max_metered_at TIMESTAMP, last_recorded_at TIMESTAMP, last_metered_at TIMESTAMP, last_event_id VARCHAR),
--     windows(window_index BIGINT, zone VARCHAR, window_start TIMESTAMP, window_end TIMESTAMP)
-- yields:
--     id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, unit VARCHAR, aggregation VARCHAR,
--     window_start TIMESTAMP WITH TIME ZONE, window_end TIMESTAMP WITH TIME ZONE, dimensions MAP(VARCHAR, VARCHAR),
--     quantity DECIMAL(38,18), record_count BIGINT, max_metered_at TIMESTAMP WITH TIME ZONE, created_at TIMESTAMP WITH TIME ZONE,
--     numerator VARCHAR, divisor_us BIGINT, carried BOOLEAN, last_recorded_at TIMESTAMP WITH TIME ZONE,
--     last_metered_at TIMESTAMP WITH TIME ZONE, last_event_id VARCHAR, prorated BOOLEAN
-- params: clock TIMESTAMP, settings VARCHAR
WITH bounds AS (
    SELECT
        window_index,
        zone,
        make_timestamptz(epoch_us(window_start)) AS window_start,
        make_timestamptz(epoch_us(window_end)) AS window_end,
        encoded(CAST(epoch_us(window_start) AS VARCHAR)) || encoded(CAST(epoch_us(window_end) AS VARCHAR)) AS encoded_bounds
    FROM windows
),
bounded AS (
    SELECT
        *,
        encoded(aggregation) || CASE WHEN split_part(aggregation, ' ', 2) = 'per' THEN encoded(zone) ELSE '' END AS encoded_aggregation,
        CASE
            WHEN dimensions IS NULL THEN MAP([]::VARCHAR[], []::VARCHAR[])
            ELSE CAST(CAST(dimensions AS JSON) AS MAP(VARCHAR, VARCHAR))
        END AS grouped_by
    FROM totals
    JOIN bounds USING (window_index)
)
SELECT
    digest(
        encoded(workspace_id) || encoded(universe_id) || encoded(subject) || encoded(unit) || encoded_aggregation || encoded_bounds
        || coalesce(array_to_string(list_transform(map_entries(grouped_by), lambda e: encoded(e.key) || encoded(e.value)), ''), '')
        || $settings
    ) AS id,
    workspace_id,
    universe_id,
    subject,
    unit,
    split_part(aggregation, ' ', 1) AS aggregation,
    window_start,
    window_end,
    grouped_by AS dimensions,
    quantity,
    CAST(record_count AS BIGINT) AS record_count,
    make_timestamptz(epoch_us(max_metered_at)) AS max_metered_at,
    $clock AT TIME ZONE 'UTC' AS created_at,
    numerator,
    divisor_us,
    carried,
    make_timestamptz(epoch_us(last_recorded_at)) AS last_recorded_at,
    make_timestamptz(epoch_us(last_metered_at)) AS last_metered_at,
    last_event_id,
    prorated
FROM bounded
