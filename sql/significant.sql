-- why: a quotient as plain text of so many significant digits, rounded half to even once (R16)
-- reads: divided(negative BOOLEAN, quotient HUGEINT, remainder HUGEINT, divisor HUGEINT, scale INTEGER, digits INTEGER)
-- yields: negative BOOLEAN, quotient HUGEINT, remainder HUGEINT, divisor HUGEINT, scale INTEGER, digits INTEGER, significant VARCHAR
-- params:
WITH first_step AS (
    SELECT
        *,
        (remainder * power_of_ten(19)) // divisor AS first_more,
        (remainder * power_of_ten(19)) % divisor AS first_remainder
    FROM divided
),
second_step AS (
    SELECT
        *,
        (first_remainder * power_of_ten(19)) // divisor AS second_more,
        (first_remainder * power_of_ten(19)) % divisor AS second_remainder
    FROM first_step
),
third_step AS (
    SELECT
        *,
        (second_remainder * power_of_ten(19)) // divisor AS third_more,
        (second_remainder * power_of_ten(19)) % divisor AS rest
    FROM second_step
),
written AS (
    SELECT
        *,
        ltrim(
            CAST(quotient AS VARCHAR)
            || lpad(CAST(first_more AS VARCHAR), 19, '0')
            || lpad(CAST(second_more AS VARCHAR), 19, '0')
            || lpad(CAST(third_more AS VARCHAR), 19, '0'),
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
    * EXCLUDE (first_more, first_remainder, second_more, second_remainder, third_more, rest, written_digits, head, tail, half, kept),
    CASE WHEN negative AND kept <> 0 THEN '-' ELSE '' END
        || quantity_plain(CAST(kept AS VARCHAR) || 'e' || CAST(strlen(tail) - scale - 57 AS VARCHAR)) AS significant
FROM rounded
