-- why: which events, levels or config made a reading what it is now: what each counted for then and now (R25)
-- reads:
--     changes(reading_id VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         dimensions MAP(VARCHAR, VARCHAR)),
--     old_usage(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         event_id VARCHAR, recorded_at TIMESTAMP, quantity VARCHAR, value VARCHAR, measurement VARCHAR, file VARCHAR,
--         is_carried BOOLEAN),
--     new_usage(workspace_id VARCHAR, universe_id VARCHAR, subject VARCHAR, dimensions VARCHAR, unit VARCHAR, aggregation VARCHAR,
--         event_id VARCHAR, recorded_at TIMESTAMP, quantity VARCHAR, value VARCHAR, measurement VARCHAR, file VARCHAR,
--         is_carried BOOLEAN),
--     old_rejects(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR),
--     new_rejects(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR),
--     new_conflicts(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR),
--     old_files(file VARCHAR)
-- yields:
--     reading_id VARCHAR, cause VARCHAR, workspace_id VARCHAR, universe_id VARCHAR, event_id VARCHAR,
--     recorded_at TIMESTAMP WITH TIME ZONE, old_quantity VARCHAR, new_quantity VARCHAR, measurement VARCHAR, file VARCHAR
-- params: same_config BOOLEAN
WITH keyed AS (
    SELECT
        *,
        CAST(to_json(dimensions) AS VARCHAR) AS dimensions_text
    FROM changes
),
of_both AS (
    SELECT
        TRUE AS is_new,
        *
    FROM new_usage
    UNION ALL BY NAME
    SELECT
        FALSE AS is_new,
        *
    FROM old_usage
),
of_events AS (
    SELECT
        * EXCLUDE (dimensions),
        coalesce(
            CAST(to_json(by_name(CAST(CAST(dimensions AS JSON) AS MAP(VARCHAR, VARCHAR)))) AS VARCHAR),
            '{}'
        ) AS dimensions_text
    FROM of_both
),
placed AS (
    SELECT
        keyed.reading_id,
        of_events.* EXCLUDE (dimensions_text)
    FROM of_events
    JOIN keyed
        ON of_events.universe_id = keyed.universe_id
        AND of_events.subject = keyed.subject
        AND of_events.unit = keyed.unit
        AND of_events.aggregation = keyed.aggregation
        AND of_events.workspace_id IS NOT DISTINCT FROM keyed.workspace_id
        AND of_events.dimensions_text = keyed.dimensions_text
),
counted AS (
    SELECT
        reading_id,
        is_carried,
        workspace_id,
        universe_id,
        event_id,
        any_value(recorded_at ORDER BY is_new DESC) AS recorded_at,
        string_agg(coalesce(value, quantity), ' + ' ORDER BY measurement, quantity) FILTER (NOT is_new) AS old_quantity,
        string_agg(coalesce(value, quantity), ' + ' ORDER BY measurement, quantity) FILTER (is_new) AS new_quantity,
        list(recorded_at ORDER BY recorded_at) FILTER (NOT is_new) AS old_times,
        list(recorded_at ORDER BY recorded_at) FILTER (is_new) AS new_times,
        any_value(measurement ORDER BY is_new DESC, measurement) AS measurement,
        any_value(file ORDER BY is_new DESC, file) AS file
    FROM placed
    GROUP BY ALL
),
changed AS (
    SELECT *
    FROM counted
    WHERE old_quantity IS DISTINCT FROM new_quantity OR old_times IS DISTINCT FROM new_times
),
explained AS (
    SELECT
        changed.*,
        CASE
            WHEN is_carried THEN 'carried-in'
            WHEN old_quantity IS NULL AND (workspace_id, universe_id, event_id) IN (
                SELECT (workspace_id, universe_id, id) FROM old_rejects
            ) THEN 'rejected-before'
            WHEN new_quantity IS NULL AND (workspace_id, universe_id, event_id) IN (
                SELECT (workspace_id, universe_id, id) FROM new_rejects
            ) THEN 'rejected-now'
            WHEN old_quantity IS NOT NULL AND (workspace_id, universe_id, event_id) IN (
                SELECT (workspace_id, universe_id, id) FROM new_conflicts
            ) THEN 'superseded'
            WHEN old_quantity IS NULL AND file NOT IN (SELECT file FROM old_files) THEN 'added'
            WHEN NOT $same_config THEN 'config'
            WHEN old_quantity IS NULL THEN 'added'
            WHEN new_quantity IS NULL THEN 'removed'
            ELSE 'superseded'
        END AS cause
    FROM changed
)
SELECT
    reading_id,
    cause,
    workspace_id,
    universe_id,
    event_id,
    make_timestamptz(epoch_us(recorded_at)) AS recorded_at,
    old_quantity,
    new_quantity,
    measurement,
    file
FROM explained
UNION ALL
SELECT
    reading_id,
    CASE WHEN $same_config THEN 'unknown' ELSE 'config' END AS cause,
    workspace_id,
    universe_id,
    NULL AS event_id,
    NULL AS recorded_at,
    NULL AS old_quantity,
    NULL AS new_quantity,
    NULL AS measurement,
    NULL AS file
FROM changes
WHERE reading_id NOT IN (SELECT reading_id FROM explained)
