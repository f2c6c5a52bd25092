-- why: an id for events that have none, from the row's own content; equal rows are counted apart, in any order and layout
-- reads:
--     named(workspace_id VARCHAR, universe_id VARCHAR, type VARCHAR, subject VARCHAR, time_text VARCHAR,
--         properties MAP(VARCHAR, VARCHAR), id VARCHAR, event_id VARCHAR)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, type VARCHAR, subject VARCHAR, time_text VARCHAR, properties MAP(VARCHAR, VARCHAR),
--     id VARCHAR, event_id VARCHAR
-- params:
WITH written AS (
    SELECT
        *,
        CAST(to_json({
            'workspace': workspace_id,
            'universe': universe_id,
            'type': type,
            'subject': subject,
            'time': time_text,
            'properties': properties
        }) AS VARCHAR) AS row_text
    FROM named
),
numbered AS (
    SELECT
        * EXCLUDE (row_text),
        digest(row_text) || '-' || CAST(row_number() OVER (PARTITION BY row_text) AS VARCHAR) AS generated_id
    FROM written
)
SELECT
    * EXCLUDE (generated_id) REPLACE (generated_id AS id, generated_id AS event_id)
FROM numbered
