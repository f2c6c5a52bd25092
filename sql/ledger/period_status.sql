-- why: every period with its run, and what has changed under it since: files that are new, changed or gone
-- reads:
--     periods(period_start TIMESTAMP WITH TIME ZONE, period_end TIMESTAMP WITH TIME ZONE, name VARCHAR, timezone VARCHAR, run_id BIGINT,
--         closed_at TIMESTAMP WITH TIME ZONE, closed_by VARCHAR),
--     runs(run_id BIGINT, as_of TIMESTAMP WITH TIME ZONE, reach VARCHAR, readings BIGINT, read BIGINT, rejected BIGINT,
--         levels_before_sha256 VARCHAR),
--     run_files(run_id BIGINT, file_id INTEGER, counts BOOLEAN),
--     source_files(file_id INTEGER, path VARCHAR, gone_at TIMESTAMP WITH TIME ZONE),
--     source_hours(file_id INTEGER, events BIGINT, first_recorded_at TIMESTAMP, last_recorded_at TIMESTAMP),
--     new_hours(file VARCHAR, events BIGINT, first_recorded_at TIMESTAMP, last_recorded_at TIMESTAMP),
--     lost_files(file_id INTEGER)
-- yields:
--     name VARCHAR, timezone VARCHAR, period_start TIMESTAMP WITH TIME ZONE, period_end TIMESTAMP WITH TIME ZONE,
--     closed_at TIMESTAMP WITH TIME ZONE, closed_by VARCHAR, run_id BIGINT, readings BIGINT, read BIGINT, rejected BIGINT,
--     because VARCHAR[], has_levels_before BOOLEAN
-- params:
WITH here AS (
    SELECT
        periods.*,
        runs.as_of,
        runs.readings,
        runs.read,
        runs.rejected,
        runs.levels_before_sha256,
        CASE
            WHEN runs.reach = 'window' THEN periods.period_start AT TIME ZONE 'UTC'
            ELSE TIMESTAMP '-infinity'
        END AS first_at,
        CASE
            WHEN runs.reach = 'all' THEN TIMESTAMP 'infinity'
            ELSE periods.period_end AT TIME ZONE 'UTC'
        END AS last_at
    FROM periods
    JOIN runs USING (run_id)
),
came AS (
    SELECT
        period_start,
        period_end,
        source_files.path AS file,
        sum(source_hours.events) AS events
    FROM here
    JOIN source_hours
        ON source_hours.last_recorded_at >= here.first_at
        AND source_hours.first_recorded_at < here.last_at
    JOIN source_files USING (file_id)
    WHERE source_files.gone_at IS NULL
        AND here.as_of IS NULL
        AND (here.run_id, source_files.file_id) NOT IN (SELECT (run_id, file_id) FROM run_files WHERE counts)
    GROUP BY ALL
    UNION ALL
    SELECT
        period_start,
        period_end,
        new_hours.file,
        sum(new_hours.events) AS events
    FROM here
    JOIN new_hours
        ON new_hours.last_recorded_at >= here.first_at
        AND new_hours.first_recorded_at < here.last_at
    GROUP BY ALL
),
why AS (
    SELECT
        period_start,
        period_end,
        'new: ' || file || ' (' || format('{:,}', events) || CASE WHEN events = 1 THEN ' event)' ELSE ' events)' END AS reason
    FROM came
    UNION ALL
    SELECT
        period_start,
        period_end,
        'gone or changed: ' || path AS reason
    FROM here
    JOIN run_files USING (run_id)
    JOIN source_files USING (file_id)
    WHERE gone_at IS NOT NULL OR file_id IN (SELECT file_id FROM lost_files)
),
touched AS (
    SELECT
        period_start,
        period_end,
        list(reason ORDER BY reason) AS because
    FROM why
    GROUP BY ALL
)
SELECT
    here.name,
    here.timezone,
    here.period_start,
    here.period_end,
    here.closed_at,
    here.closed_by,
    here.run_id,
    here.readings,
    here.read,
    here.rejected,
    coalesce(touched.because, []) AS because,
    here.levels_before_sha256 IS NOT NULL AS has_levels_before
FROM here
LEFT JOIN touched USING (period_start, period_end)
ORDER BY here.period_start, here.period_end
