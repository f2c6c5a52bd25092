-- depends_on: {{ ref('accounting') }}
SELECT * FROM 'target/rejects.parquet'
