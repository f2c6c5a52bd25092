-- why: how many digits the numbers of each unit and aggregation have, so that all can be whole numbers of one unit
-- reads: finer(unit VARCHAR, aggregation VARCHAR, exact_text VARCHAR, filled BOOLEAN)
-- yields: unit VARCHAR, aggregation VARCHAR, scale INTEGER, integer_digits INTEGER
-- params:
SELECT
    unit,
    aggregation,
    CAST(max(strlen(regexp_extract(exact_text, '\.([0-9]+)', 1))) AS INTEGER) AS scale,
    CAST(max(strlen(regexp_extract(exact_text, '^-?0*([0-9]*)', 1))) AS INTEGER) AS integer_digits
FROM finer
WHERE NOT filled
GROUP BY
    unit,
    aggregation
