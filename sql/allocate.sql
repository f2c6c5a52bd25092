-- why: nothing lost in a split (R26): parts at the total's scale that add up to it, by largest remainder, ties by part_key
-- reads: splits(split_id VARCHAR, part_key VARCHAR, total DECIMAL(38,18), weight BIGINT)
-- yields: split_id VARCHAR, part_key VARCHAR, part DECIMAL(38,18)
-- params:
WITH units AS (
    SELECT
        split_id,
        part_key,
        total < 0 AS negative,
        abs(unscaled(CAST(total AS DECIMAL(38, 18)))) AS unit_count,
        CAST(weight AS HUGEINT) AS weight,
        CAST(sum(weight) OVER (PARTITION BY split_id) AS HUGEINT) AS weights
    FROM splits
),
divided AS (
    SELECT
        *,
        (unit_count // power_of_ten(19)) * weight AS high,
        (unit_count % power_of_ten(19)) * weight AS low
    FROM units
),
floors AS (
    SELECT
        *,
        (high // weights) * power_of_ten(19) + ((high % weights) * power_of_ten(19) + low) // weights AS floor_units,
        ((high % weights) * power_of_ten(19) + low) % weights AS remainder
    FROM divided
),
ranked AS (
    SELECT
        *,
        unit_count - CAST(sum(floor_units) OVER (PARTITION BY split_id) AS HUGEINT) AS left_over,
        row_number() OVER (PARTITION BY split_id ORDER BY remainder DESC, part_key) AS place
    FROM floors
)
SELECT
    split_id,
    part_key,
    CAST(
        CAST((floor_units + CASE WHEN place <= left_over THEN 1 ELSE 0 END) * CASE WHEN negative THEN -1 ELSE 1 END AS DECIMAL(38, 0))
            * CAST('0.000000000000000001' AS DECIMAL(18, 18))
        AS DECIMAL(38, 18)
    ) AS part
FROM ranked
ORDER BY split_id, part_key
