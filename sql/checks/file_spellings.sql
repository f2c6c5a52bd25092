-- why: the first column whose name has other capitals in another Parquet file, since SQL would take both for one column
-- reads: file_columns(file_name VARCHAR, name VARCHAR)
-- yields: names VARCHAR[], file_name VARCHAR, other_names VARCHAR[], other_file_name VARCHAR
-- params:
WITH spelled AS (
    SELECT
        lower(name) AS lower_name,
        file_name,
        list(DISTINCT name ORDER BY name) AS names
    FROM file_columns
    GROUP BY ALL
),
ways AS (
    SELECT
        lower_name,
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
JOIN ways AS other USING (lower_name)
WHERE one.names < other.names
    AND NOT list_has_all(one.names, other.names)
    AND NOT list_has_all(other.names, one.names)
ORDER BY ALL
LIMIT 1
