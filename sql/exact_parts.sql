-- why: each reading's exact value as two whole numbers, high × 10^19 + low, so that no sum overflows (R15, R18)
-- reads:
--     rekeyed(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         finer_start TIMESTAMP, exact_text VARCHAR, keeps_numerator BOOLEAN, record_count BIGINT, divisor_us BIGINT, carried BOOLEAN,
--         max_metered_at TIMESTAMP, last_recorded_at TIMESTAMP, last_metered_at TIMESTAMP, last_event_id VARCHAR, window_index BIGINT,
--         in_window BOOLEAN, filled BOOLEAN),
--     series_scales(unit VARCHAR, aggregation VARCHAR, scale INTEGER),
--     windows(window_index BIGINT, window_start TIMESTAMP, window_end TIMESTAMP)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--     window_index BIGINT, length_us BIGINT, scale INTEGER, high HUGEINT, low HUGEINT, keeps_numerator BOOLEAN, record_count BIGINT,
--     divisor_us BIGINT, carried BOOLEAN, max_metered_at TIMESTAMP, last_recorded_at TIMESTAMP, last_metered_at TIMESTAMP,
--     last_event_id VARCHAR
-- params:
WITH in_digits AS (
    SELECT
        rekeyed.*,
        series_scales.scale AS scale,
        windows.window_start AS window_start,
        epoch_us(windows.window_end) - epoch_us(windows.window_start) AS length_us,
        CASE WHEN starts_with(exact_text, '-') THEN -1 ELSE 1 END AS sign,
        replace(ltrim(exact_text, '-'), '.', '')
            || repeat('0', series_scales.scale - strlen(regexp_extract(exact_text, '\.([0-9]+)', 1))) AS digits
    FROM rekeyed
    JOIN series_scales USING (unit, aggregation)
    JOIN windows ON windows.window_index = rekeyed.window_index
    WHERE in_window AND NOT filled
)
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    aggregation,
    window_index,
    length_us,
    scale,
    sign * CAST('0' || left(digits, greatest(strlen(digits) - 19, 0)) AS HUGEINT) AS high,
    sign * CAST('0' || right(digits, 19) AS HUGEINT) AS low,
    keeps_numerator,
    record_count,
    divisor_us,
    carried AND finer_start = window_start AS carried,
    max_metered_at,
    last_recorded_at,
    last_metered_at,
    last_event_id
FROM in_digits
