-- depends_on: {{ ref('accounting') }}
SELECT * FROM 'target/records.parquet'
