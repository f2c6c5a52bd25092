-- why: a quantity split over the parts of its span (R26): whole units, then one more for the largest remainders, the earlier first
-- reads: cuts(row_id VARCHAR, units HUGEINT, span_us BIGINT, part_start TIMESTAMP, part_us BIGINT, window_index BIGINT)
-- yields: row_id VARCHAR, window_index BIGINT, part_units HUGEINT, is_part BOOLEAN
-- params:
WITH halves AS (
    SELECT
        *,
        (abs(units) // power_of_ten(19)) * part_us AS high,
        (abs(units) % power_of_ten(19)) * part_us AS low,
        greatest(span_us, 1) AS whole_us
    FROM cuts
),
divided AS (
    SELECT
        *,
        CASE
            WHEN span_us = 0 THEN abs(units)
            ELSE (high // whole_us) * power_of_ten(19) + ((high % whole_us) * power_of_ten(19) + low) // whole_us
        END AS floor_units,
        CASE
            WHEN span_us = 0 THEN 0
            ELSE ((high % whole_us) * power_of_ten(19) + low) % whole_us
        END AS remainder
    FROM halves
),
ordered AS (
    SELECT
        *,
        abs(units) - sum(floor_units) OVER (PARTITION BY row_id) AS left_over,
        row_number() OVER (PARTITION BY row_id ORDER BY remainder DESC, part_start) AS place
    FROM divided
)
SELECT
    row_id,
    window_index,
    (floor_units + CASE WHEN place <= left_over THEN 1 ELSE 0 END) * CASE WHEN units < 0 THEN -1 ELSE 1 END AS part_units,
    part_us < span_us AS is_part
FROM ordered
WHERE window_index IS NOT NULL
