-- why: the files with a DECIMAL whose values DuckDB may change without looking at them: it holds them in fewer bytes than the
--     file, or brings them together with another type of the column in another file
-- reads:
--     file_columns(file_name VARCHAR, path VARCHAR[], type VARCHAR, duckdb_type VARCHAR, type_length VARCHAR, precision BIGINT)
-- yields: file_name VARCHAR
-- params:
WITH differing AS (
    SELECT path
    FROM file_columns
    WHERE duckdb_type IS NOT NULL
    GROUP BY path
    HAVING count(DISTINCT duckdb_type) > 1
),
sized AS (
    SELECT
        file_name,
        path,
        CASE type
            WHEN 'INT32' THEN 4
            WHEN 'INT64' THEN 8
            WHEN 'BYTE_ARRAY' THEN 32
            ELSE coalesce(TRY_CAST(type_length AS INTEGER), 32)
        END AS bytes_in_file,
        CASE WHEN precision <= 4 THEN 2 WHEN precision <= 9 THEN 4 WHEN precision <= 18 THEN 8 ELSE 16 END AS bytes
    FROM file_columns
    WHERE starts_with(duckdb_type, 'DECIMAL(')
        AND type IS NOT NULL
)
SELECT DISTINCT file_name
FROM sized
WHERE bytes_in_file > bytes
    OR path IN (SELECT path FROM differing)
ORDER BY file_name
