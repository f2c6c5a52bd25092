-- why: Parquet files without the column that has the properties in other files: one file of each set of columns
-- reads: file_columns(file_name VARCHAR, path VARCHAR[])
-- yields: file_name VARCHAR, other VARCHAR
-- params: bag VARCHAR
WITH listed AS (
    SELECT
        file_name,
        list(path ORDER BY path) AS names,
        bool_or(path = [$bag]) AS has_bag
    FROM file_columns
    GROUP BY file_name
)
SELECT
    min(file_name) AS file_name,
    (SELECT min(file_name) FROM listed WHERE has_bag) AS other
FROM listed
WHERE NOT has_bag
    AND EXISTS (FROM listed WHERE has_bag)
GROUP BY names
ORDER BY ALL
