-- depends_on: {{ ref('accounting') }}
SELECT * FROM 'target/events.parquet'
