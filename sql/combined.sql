-- why: the readings of each new window as one: what is added, which one counts, and what it is divided by (R20)
-- reads:
--     exact_parts(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         window_index BIGINT, length_us BIGINT, scale INTEGER, high HUGEINT, low HUGEINT, keeps_numerator BOOLEAN, record_count BIGINT,
--         divisor_us BIGINT, carried BOOLEAN, max_metered_at TIMESTAMP, last_recorded_at TIMESTAMP, last_metered_at TIMESTAMP,
--         last_event_id VARCHAR),
--     rules(aggregation VARCHAR, combines VARCHAR, divided_by VARCHAR, divisor BIGINT)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--     window_index BIGINT, scale INTEGER, high HUGEINT, low HUGEINT, base HUGEINT, divisor HUGEINT, keeps_numerator BOOLEAN,
--     record_count BIGINT, carried BOOLEAN, max_metered_at TIMESTAMP, last_recorded_at TIMESTAMP, last_metered_at TIMESTAMP,
--     last_event_id VARCHAR
-- params:
WITH ruled AS (
    SELECT
        exact_parts.*,
        rules.combines AS combines,
        rules.divided_by AS divided_by,
        rules.divisor AS fixed_divisor
    FROM exact_parts
    JOIN rules USING (aggregation)
),
gathered AS (
    SELECT
        workspace_id,
        universe_id,
        subject,
        dimensions,
        unit,
        aggregation,
        window_index,
        any_value(scale) AS scale,
        any_value(length_us) AS length_us,
        any_value(divided_by) AS divided_by,
        any_value(fixed_divisor) AS fixed_divisor,
        max({'high': high, 'low': low}) FILTER (combines = 'greatest') AS greatest_value,
        min({'high': high, 'low': low}) FILTER (combines = 'least') AS least_value,
        max({
            'recorded_at': last_recorded_at, 'metered_at': last_metered_at, 'id': last_event_id, 'high': high, 'low': low
        }) FILTER (combines = 'last') AS last_one,
        min({
            'recorded_at': last_recorded_at, 'metered_at': last_metered_at, 'id': last_event_id, 'high': high, 'low': low
        }) FILTER (combines = 'first') AS first_one,
        sum(high) AS high_sum,
        sum(low) AS low_sum,
        bool_or(keeps_numerator) AS keeps_numerator,
        CAST(sum(record_count) AS BIGINT) AS record_count,
        sum(divisor_us) AS known_us,
        bool_or(carried) AS carried,
        max(max_metered_at) AS max_metered_at
    FROM ruled
    GROUP BY
        workspace_id,
        universe_id,
        subject,
        dimensions,
        unit,
        aggregation,
        window_index
),
chosen AS (
    SELECT
        *,
        coalesce(last_one, first_one) AS decisive,
        coalesce(greatest_value.high, least_value.high, last_one.high, first_one.high, high_sum) AS high_part,
        coalesce(greatest_value.low, least_value.low, last_one.low, first_one.low, low_sum) AS low_part,
        power_of_ten(19) AS base
    FROM gathered
),
carried_over AS (
    SELECT
        *,
        high_part + low_part // base AS whole,
        low_part % base AS rest
    FROM chosen
)
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    aggregation,
    window_index,
    scale,
    whole + CASE WHEN whole > 0 AND rest < 0 THEN -1 WHEN whole < 0 AND rest > 0 THEN 1 ELSE 0 END AS high,
    rest + CASE WHEN whole > 0 AND rest < 0 THEN base WHEN whole < 0 AND rest > 0 THEN -base ELSE 0 END AS low,
    base,
    CAST(
        CASE divided_by
            WHEN 'records' THEN record_count
            WHEN 'window' THEN length_us
            WHEN 'known-time' THEN known_us
            ELSE fixed_divisor
        END AS HUGEINT
    ) AS divisor,
    keeps_numerator,
    record_count,
    carried,
    max_metered_at,
    decisive.recorded_at AS last_recorded_at,
    decisive.metered_at AS last_metered_at,
    decisive.id AS last_event_id
FROM carried_over
