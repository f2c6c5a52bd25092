-- why: one event, once (R8): of the rows that share a key the first to enter is kept, equal ones are duplicates, others conflicts
-- reads:
--     suspects(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, metered_at TIMESTAMP, recorded_at TIMESTAMP, content VARCHAR,
--         file VARCHAR)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, metered_at TIMESTAMP, recorded_at TIMESTAMP, content VARCHAR, file VARCHAR,
--     verdict VARCHAR, kept_content VARCHAR, kept_metered_at TIMESTAMP
-- params:
SELECT
    *,
    CASE
        WHEN row_number() OVER by_key = 1 THEN 'kept'
        WHEN row_number() OVER by_content > 1 THEN 'duplicate'
        WHEN content = first_value(content) OVER by_key THEN 'duplicate'
        ELSE 'conflict'
    END AS verdict,
    first_value(content) OVER by_key AS kept_content,
    first_value(metered_at) OVER by_key AS kept_metered_at
FROM suspects
WINDOW
    by_key AS (
        PARTITION BY workspace_id, universe_id, id
        ORDER BY metered_at, usable_moment(recorded_at) NULLS LAST, content, file
    ),
    by_content AS (
        PARTITION BY workspace_id, universe_id, id, content
        ORDER BY metered_at, file
    )
