-- why: the first gauge whose levels would no longer be kept apart: by a dimension that is dropped, then by the workspace
-- reads:
--     finer(aggregation VARCHAR, unit VARCHAR, subject VARCHAR, is_gauge BOOLEAN, workspace_id VARCHAR, dimensions VARCHAR,
--         kept_dimensions VARCHAR)
-- yields: option VARCHAR, aggregation VARCHAR, unit VARCHAR, subject VARCHAR
-- params: across_workspaces BOOLEAN
WITH merged AS (
    SELECT 1 AS place, 'drop' AS option, aggregation, unit, subject
    FROM finer
    WHERE is_gauge AND kept_dimensions IS DISTINCT FROM dimensions
    UNION ALL
    SELECT 2, 'across-workspaces', aggregation, unit, subject
    FROM finer
    WHERE is_gauge AND $across_workspaces AND workspace_id IS NOT NULL
)
SELECT option, aggregation, unit, subject
FROM merged
ORDER BY place, aggregation, unit, subject
LIMIT 1
