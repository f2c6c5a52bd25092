-- why: a quotient to as many digits as a result has, rounded once (R16)
-- reads:
--     divided(divisor HUGEINT, negative BOOLEAN, quotient HUGEINT, remainder HUGEINT, more_digits INTEGER, first_step HUGEINT,
--         second_step HUGEINT, dropped HUGEINT, quotient_max HUGEINT, rounding VARCHAR)
-- yields: divisor HUGEINT, negative BOOLEAN, quotient HUGEINT, remainder HUGEINT, rounded HUGEINT
-- params:
WITH first_digits AS (
    SELECT
        *,
        (remainder * first_step) // divisor AS digits_behind,
        (remainder * first_step) % divisor AS remainder_behind
    FROM divided
),
second_digits AS (
    SELECT
        *,
        CASE
            WHEN quotient < quotient_max AND more_digits > 0
                THEN (quotient * first_step + digits_behind) * second_step + (remainder_behind * second_step) // divisor
            WHEN more_digits = 0 THEN quotient // dropped
        END AS floor_digits,
        quotient % dropped AS dropped_digits,
        (remainder_behind * second_step) % divisor AS rest
    FROM first_digits
),
compared AS (
    SELECT
        *,
        CASE
            WHEN dropped > 1 AND dropped_digits <> dropped // 2 THEN sign(dropped_digits - dropped // 2)
            WHEN dropped > 1 THEN sign(rest)
            ELSE sign(2 * rest - divisor)
        END AS beyond_half
    FROM second_digits
)
SELECT
    * EXCLUDE (
        more_digits, first_step, second_step, dropped, quotient_max, rounding,
        digits_behind, remainder_behind, floor_digits, dropped_digits, rest, beyond_half
    ),
    (floor_digits + CASE
        WHEN rest = 0 AND dropped_digits = 0 THEN 0
        WHEN rounding = 'ceiling' THEN CASE WHEN negative THEN 0 ELSE 1 END
        WHEN rounding = 'floor' THEN CASE WHEN negative THEN 1 ELSE 0 END
        WHEN beyond_half > 0 OR (beyond_half = 0 AND (rounding = 'half-up' OR floor_digits % 2 = 1)) THEN 1
        ELSE 0
    END)
        * CASE WHEN negative THEN -1 ELSE 1 END AS rounded
FROM compared
