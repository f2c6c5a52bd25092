-- why: what each window sees of the levels: Σ level × microseconds in two parts that cannot overflow (R15), the extremes, the last
-- reads: pieces(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, level DECIMAL(38,18), level_high HUGEINT, level_low DECIMAL(38,18), window_index BIGINT, window_start TIMESTAMP, held_us BIGINT, holds_at_end BOOLEAN)
-- yields: workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR, window_index BIGINT, high_us DECIMAL(38,0), low_us DECIMAL(38,18), known_us BIGINT, peak DECIMAL(38,18), lowest DECIMAL(38,18), last STRUCT(recorded_at TIMESTAMP, metered_at TIMESTAMP, id VARCHAR, quantity DECIMAL(38,18)), record_count BIGINT, carried BOOLEAN, max_metered_at TIMESTAMP
-- params:
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    aggregation,
    window_index,
    CAST(sum(level_high * CAST(held_us AS DECIMAL(18, 0))) AS DECIMAL(38, 0)) AS high_us,
    sum(level_low * CAST(held_us AS DECIMAL(18, 0))) AS low_us,
    CAST(sum(held_us) AS BIGINT) AS known_us,
    max(CASE WHEN held_us > 0 THEN level END) AS peak,
    min(CASE WHEN held_us > 0 THEN level END) AS lowest,
    max(CASE WHEN holds_at_end THEN {
        'recorded_at': recorded_at, 'metered_at': metered_at, 'id': id, 'quantity': level
    } END) AS last,
    count(*) FILTER (recorded_at >= window_start) AS record_count,
    bool_or(recorded_at < window_start) AS carried,
    max(metered_at) AS max_metered_at
FROM pieces
GROUP BY
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    aggregation,
    window_index
