SELECT *
FROM {{ ref('rejects') }}
