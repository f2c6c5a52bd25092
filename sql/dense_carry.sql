-- why: a row for every key and window: the quantity of the window before where there is no reading, zero where none was before
-- reads:
--     filled_windows(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         window_index BIGINT, zero DECIMAL(38,18), no_numerator VARCHAR, no_divisor_us BIGINT, windows_before VARCHAR),
--     totals(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         window_index BIGINT, quantity DECIMAL(38,18), numerator VARCHAR, divisor_us BIGINT, record_count BIGINT, carried BOOLEAN,
--         prorated BOOLEAN, max_metered_at TIMESTAMP, last_recorded_at TIMESTAMP, last_metered_at TIMESTAMP, last_event_id VARCHAR)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--     window_index BIGINT, quantity DECIMAL(38,18), numerator VARCHAR, divisor_us BIGINT, record_count BIGINT, carried BOOLEAN,
--     prorated BOOLEAN, max_metered_at TIMESTAMP, last_recorded_at TIMESTAMP, last_metered_at TIMESTAMP, last_event_id VARCHAR,
--     windows_before VARCHAR
-- params:
SELECT
    filled_windows.workspace_id,
    filled_windows.universe_id,
    filled_windows.subject,
    filled_windows.dimensions,
    filled_windows.unit,
    filled_windows.aggregation,
    filled_windows.window_index,
    CASE
        WHEN totals.window_index IS NOT NULL THEN totals.quantity
        ELSE coalesce(last_value(totals.quantity IGNORE NULLS) OVER so_far, zero)
    END AS quantity,
    CASE WHEN totals.window_index IS NOT NULL THEN totals.numerator ELSE no_numerator END AS numerator,
    CASE WHEN totals.window_index IS NOT NULL THEN totals.divisor_us ELSE no_divisor_us END AS divisor_us,
    coalesce(totals.record_count, 0) AS record_count,
    CASE
        WHEN totals.window_index IS NOT NULL THEN totals.carried
        ELSE last_value(totals.quantity IGNORE NULLS) OVER so_far IS NOT NULL
    END AS carried,
    coalesce(totals.prorated, FALSE) AS prorated,
    coalesce(totals.max_metered_at, last_value(totals.max_metered_at IGNORE NULLS) OVER so_far) AS max_metered_at,
    totals.last_recorded_at,
    totals.last_metered_at,
    totals.last_event_id,
    CASE WHEN totals.window_index IS NULL THEN windows_before END AS windows_before
FROM filled_windows
LEFT JOIN totals
    ON totals.window_index = filled_windows.window_index
    AND totals.workspace_id IS NOT DISTINCT FROM filled_windows.workspace_id
    AND totals.universe_id IS NOT DISTINCT FROM filled_windows.universe_id
    AND totals.subject IS NOT DISTINCT FROM filled_windows.subject
    AND totals.dimensions IS NOT DISTINCT FROM filled_windows.dimensions
    AND totals.unit IS NOT DISTINCT FROM filled_windows.unit
    AND totals.aggregation IS NOT DISTINCT FROM filled_windows.aggregation
WINDOW so_far AS (
    PARTITION BY
        filled_windows.workspace_id,
        filled_windows.universe_id,
        filled_windows.subject,
        filled_windows.dimensions,
        filled_windows.unit,
        filled_windows.aggregation
    ORDER BY filled_windows.window_index
)
