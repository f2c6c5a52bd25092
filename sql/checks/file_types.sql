-- why: the columns that have several types in several Parquet files, with one file of the first type and one of the last
-- reads: file_columns(file_name VARCHAR, path VARCHAR[], duckdb_type VARCHAR)
-- yields: path VARCHAR[], types VARCHAR[], one VARCHAR, other VARCHAR
-- params:
SELECT
    path,
    list(DISTINCT duckdb_type ORDER BY duckdb_type) AS types,
    arg_min(file_name, duckdb_type) AS one,
    arg_max(file_name, duckdb_type) AS other
FROM file_columns
WHERE duckdb_type IS NOT NULL
GROUP BY path
HAVING len(types) > 1
ORDER BY path
