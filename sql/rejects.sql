-- why: why each rejected event is at fault (R3): what is known already, else what is wrong with the quantity's text
-- reads:
--     rejected(workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, type VARCHAR, subject VARCHAR, time VARCHAR, measurement VARCHAR,
--         source_property VARCHAR, unit VARCHAR, faulty_text VARCHAR, known_reason VARCHAR, integer_digits INTEGER,
--         fraction_digits INTEGER, reason VARCHAR, reason_text VARCHAR, file VARCHAR)
-- yields:
--     workspace_id VARCHAR, universe_id VARCHAR, id VARCHAR, type VARCHAR, subject VARCHAR, time VARCHAR, measurement VARCHAR,
--     source_property VARCHAR, unit VARCHAR, text VARCHAR, reason VARCHAR, file VARCHAR
-- params:
SELECT
    workspace_id,
    universe_id,
    id,
    type,
    subject,
    "time",
    measurement,
    source_property,
    unit,
    CASE WHEN reason IS NOT NULL THEN reason_text ELSE faulty_text END AS text,
    coalesce(
        reason,
        known_reason,
        CASE
            WHEN faulty_text IS NULL THEN 'source-missing'
            ELSE coalesce(quantity_fault(faulty_text, integer_digits, fraction_digits), 'quantity-too-large')
        END
    ) AS reason,
    file
FROM rejected
