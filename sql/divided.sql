-- why: numerator / divisor in whole numbers, where the numerator is too long for one: quotient and remainder (R15)
-- reads: numerators(high HUGEINT, low HUGEINT, divisor HUGEINT, base HUGEINT)
-- yields: high HUGEINT, low HUGEINT, divisor HUGEINT, base HUGEINT, negative BOOLEAN, quotient HUGEINT, remainder HUGEINT
-- params:
WITH positive AS (
    SELECT
        *,
        high < 0 OR (high = 0 AND low < 0) AS negative,
        CASE WHEN high < 0 OR (high = 0 AND low < 0) THEN -high ELSE high END AS a,
        CASE WHEN high < 0 OR (high = 0 AND low < 0) THEN -low ELSE low END AS b
    FROM numerators
)
SELECT
    * EXCLUDE (a, b),
    CASE
        WHEN a // divisor < power_of_ten(38) // base
            THEN (a // divisor) * base + ((a % divisor) * base + b) // divisor
    END AS quotient,
    ((a % divisor) * base + b) % divisor AS remainder
FROM positive
