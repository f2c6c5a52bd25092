-- depends_on: {{ ref('rejects') }}
SELECT
    subject,
    unit,
    window_start,
    window_end,
    quantity,
    price,
    quantity * price AS amount,
    CAST(round(quantity * price, 2) AS DECIMAL(18, 2)) AS charged
FROM {{ ref('readings') }}
JOIN {{ ref('prices') }} USING (unit)
