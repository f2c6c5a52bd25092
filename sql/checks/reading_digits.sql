-- why: the first unit and aggregation of a roll-up whose numbers together have more digits than can be added
-- reads: series_scales(unit VARCHAR, aggregation VARCHAR, scale INTEGER, integer_digits INTEGER)
-- yields: unit VARCHAR, aggregation VARCHAR
-- params: digits_in_parts INTEGER, digits_max INTEGER
SELECT unit, aggregation
FROM series_scales
WHERE integer_digits + scale > $digits_in_parts
    OR scale > $digits_max
ORDER BY unit, aggregation
LIMIT 1
