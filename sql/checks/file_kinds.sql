-- why: one file of each set of columns, by their names, types and members
-- reads:
--     file_columns(file_name VARCHAR, path VARCHAR[], type VARCHAR, duckdb_type VARCHAR, num_children BIGINT, precision BIGINT)
-- yields: file_name VARCHAR
-- params:
WITH listed AS (
    SELECT
        file_name,
        list(
            {'n': path, 't': type, 'd': duckdb_type, 'c': num_children, 'p': precision}
            ORDER BY path, type, duckdb_type, num_children, precision
        ) AS names
    FROM file_columns
    GROUP BY file_name
)
SELECT min(file_name) AS file_name
FROM listed
GROUP BY names
ORDER BY ALL
