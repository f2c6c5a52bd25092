-- why: each numerator as high × base + low, both parts of one sign (R15)
-- reads: carried(high_carried HUGEINT, low_carried HUGEINT, base HUGEINT, divisor HUGEINT)
-- yields: high_carried HUGEINT, low_carried HUGEINT, base HUGEINT, divisor HUGEINT, high HUGEINT, low HUGEINT
-- params:
SELECT
    *,
    high_carried + CASE
        WHEN high_carried > 0 AND low_carried < 0 THEN -1
        WHEN high_carried < 0 AND low_carried > 0 THEN 1
        ELSE 0
    END AS high,
    low_carried + CASE
        WHEN high_carried > 0 AND low_carried < 0 THEN base
        WHEN high_carried < 0 AND low_carried > 0 THEN -base
        ELSE 0
    END AS low
FROM carried
