-- why: the first column, or member of one, whose name has other capitals in another Parquet file, since SQL would take both
--     for one
-- reads: file_columns(file_name VARCHAR, path VARCHAR[])
-- yields: names VARCHAR[], file_name VARCHAR, other_names VARCHAR[], other_file_name VARCHAR
-- params:
WITH spelled AS (
    SELECT
        list_transform(path, lambda name: lower(name)) AS lower_path,
        file_name,
        list(DISTINCT path[-1] ORDER BY path[-1]) AS names
    FROM file_columns
    GROUP BY ALL
),
ways AS (
    SELECT
        lower_path,
        names,
        min(file_name) AS file_name
    FROM spelled
    GROUP BY ALL
)
SELECT
    one.names,
    one.file_name,
    other.names AS other_names,
    other.file_name AS other_file_name
FROM ways AS one
JOIN ways AS other USING (lower_path)
WHERE one.names < other.names
    AND NOT list_has_all(one.names, other.names)
    AND NOT list_has_all(other.names, one.names)
ORDER BY ALL
LIMIT 1
