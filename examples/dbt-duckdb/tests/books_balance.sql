SELECT *
FROM {{ ref('accounting') }}
WHERE read <> metered + unmatched + duplicates + conflicts + rejected
