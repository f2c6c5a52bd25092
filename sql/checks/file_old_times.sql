-- why: the columns whose times are INT96 in any Parquet file, an older type that has no zone
-- reads: file_columns(name VARCHAR, type VARCHAR)
-- yields: name VARCHAR
-- params:
SELECT DISTINCT name
FROM file_columns
WHERE type = 'INT96'
ORDER BY name
