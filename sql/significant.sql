-- why: a quotient as plain text of so many significant digits, rounded half to even once (R16)
-- reads: divided(negative BOOLEAN, quotient HUGEINT, remainder HUGEINT, divisor HUGEINT, scale INTEGER, digits INTEGER)
-- yields: negative BOOLEAN, quotient HUGEINT, remainder HUGEINT, divisor HUGEINT, scale INTEGER, digits INTEGER, significant VARCHAR
-- params:
WITH first_step AS (
    SELECT
        *,
        (remainder * power_of_ten(19)) // divisor AS more_1,
        (remainder * power_of_ten(19)) % divisor AS remainder_1
    FROM divided
),
second_step AS (
    SELECT
        *,
        (remainder_1 * power_of_ten(19)) // divisor AS more_2,
        (remainder_1 * power_of_ten(19)) % divisor AS remainder_2
    FROM first_step
),
third_step AS (
    SELECT
        *,
        (remainder_2 * power_of_ten(19)) // divisor AS more_3,
        (remainder_2 * power_of_ten(19)) % divisor AS rest
    FROM second_step
),
written AS (
    SELECT
        *,
        ltrim(
            CAST(quotient AS VARCHAR)
            || lpad(CAST(more_1 AS VARCHAR), 19, '0')
            || lpad(CAST(more_2 AS VARCHAR), 19, '0')
            || lpad(CAST(more_3 AS VARCHAR), 19, '0'),
            '0'
        ) AS written_digits
    FROM third_step
),
cut AS (
    SELECT
        *,
        CAST('0' || left(written_digits, digits) AS HUGEINT) AS head,
        substr(written_digits, digits + 1) AS tail,
        '5' || repeat('0', greatest(strlen(written_digits) - digits - 1, 0)) AS half
    FROM written
),
rounded AS (
    SELECT
        *,
        head + CASE
            WHEN tail > half OR (tail = half AND (rest > 0 OR head % 2 = 1)) THEN 1
            ELSE 0
        END AS kept
    FROM cut
)
SELECT
    * EXCLUDE (more_1, remainder_1, more_2, remainder_2, more_3, rest, written_digits, head, tail, half, kept),
    CASE WHEN negative AND kept <> 0 THEN '-' ELSE '' END
        || quantity_plain(CAST(kept AS VARCHAR) || 'e' || CAST(strlen(tail) - scale - 57 AS VARCHAR)) AS significant
FROM rounded
