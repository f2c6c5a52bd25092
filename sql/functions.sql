-- why: the small functions that stages share: reading quantities and times from text, exact JSON, ids, plain text
-- reads:
-- yields:
-- params:

-- R4: what a quantity may look like.
CREATE OR REPLACE TEMP MACRO is_quantity(text) AS
    regexp_full_match(text, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?');

-- Whether a cast to DECIMAL takes a text only if it is a quantity in plain digits, and rounds nothing away: without
-- what a cast allows and R4 does not, blanks around and _ between the digits, and without an exponent. Cheaper than a
-- regular expression; a text that this refuses is looked at again.
CREATE OR REPLACE TEMP MACRO is_plain_number(text, fraction_digits) AS
    text >= '+'
    AND text[-1] >= '.'
    AND (
        strlen(text) <= fraction_digits + 1
        OR strpos(text, '.') = 0
        OR strlen(text) - strpos(text, '.') <= fraction_digits
    )
    AND NOT contains(text, '_')
    AND NOT contains(text, 'e')
    AND NOT contains(text, 'E');

-- The sign, digits and exponent of a quantity.
CREATE OR REPLACE TEMP MACRO quantity_parts(text) AS
    regexp_extract(text, '^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$', ['sign', 'whole', 'fraction', 'exponent']);

-- The digits that count: none for zero.
CREATE OR REPLACE TEMP MACRO quantity_digits(text) AS
    trim(quantity_parts(text).whole || quantity_parts(text).fraction, '0');

-- How many digits the decimal point stands after the first digit that counts. An exponent beyond INTEGER
-- is as good as any number beyond every DECIMAL and every filter.
CREATE OR REPLACE TEMP MACRO quantity_point(text) AS
    CASE
        WHEN quantity_parts(text).exponent = '' THEN 0
        ELSE coalesce(
            TRY_CAST(quantity_parts(text).exponent AS INTEGER),
            CASE WHEN starts_with(quantity_parts(text).exponent, '-') THEN -1000000000000 ELSE 1000000000000 END
        )
    END
    + strlen(quantity_parts(text).whole)
    - strlen(quantity_parts(text).whole || quantity_parts(text).fraction)
    + strlen(ltrim(quantity_parts(text).whole || quantity_parts(text).fraction, '0'));

-- The sign of a quantity: -1, 0 or 1.
CREATE OR REPLACE TEMP MACRO quantity_sign(text) AS
    CASE WHEN quantity_digits(text) = '' THEN 0 WHEN quantity_parts(text).sign = '-' THEN -1 ELSE 1 END;

-- A quantity as a key that sorts as its value does, whatever its number of digits; those of a negative one turned round.
CREATE OR REPLACE TEMP MACRO quantity_key(text) AS
    {
        'sign': quantity_sign(text),
        'point': quantity_sign(text) * quantity_point(text),
        'digits': CASE
            WHEN quantity_sign(text) < 0 THEN translate(quantity_digits(text), '0123456789', '9876543210') || '~'
            ELSE quantity_digits(text)
        END
    };

-- Whether a text is a quantity in plain digits that DECIMAL(38, 18) holds.
CREATE OR REPLACE TEMP MACRO is_short(text) AS
    regexp_full_match(text, '[+-]?[0-9]{1,20}(\.[0-9]{0,18})?');

-- A quantity's sign, digits and point, read once: whatever is made of them names each several times, and DuckDB plans
-- every time anew.
CREATE OR REPLACE TEMP MACRO quantity_read(text) AS
    {'sign': quantity_sign(text), 'digits': quantity_digits(text), 'point': quantity_point(text)};

-- R5: why a text is no DECIMAL of so many digits before and after its point; NULL when it is one.
CREATE OR REPLACE TEMP MACRO quantity_fault(text, integer_digits, fraction_digits) AS
    CASE
        WHEN NOT is_quantity(text) THEN 'quantity-syntax'
        WHEN text IS NOT NULL THEN list_transform([quantity_read(text)], lambda quantity: CASE
            WHEN quantity.digits = '' THEN NULL
            WHEN quantity.point > integer_digits THEN 'quantity-too-large'
            WHEN strlen(quantity.digits) - quantity.point > fraction_digits THEN 'quantity-too-fine'
        END)[1]
    END;

-- R17: a quantity as it was read, as plain text: no exponent, no zeros that say nothing, no "-0".
CREATE OR REPLACE TEMP MACRO plain_of(quantity) AS
    CASE WHEN quantity.sign < 0 THEN '-' ELSE '' END
    || CASE
        WHEN quantity.digits = '' THEN '0'
        WHEN quantity.point <= 0 THEN '0.' || repeat('0', -quantity.point) || quantity.digits
        WHEN quantity.point >= strlen(quantity.digits)
            THEN quantity.digits || repeat('0', quantity.point - strlen(quantity.digits))
        ELSE left(quantity.digits, quantity.point) || '.' || substr(quantity.digits, quantity.point + 1)
    END;

-- A quantity's text as plain text.
CREATE OR REPLACE TEMP MACRO quantity_plain(text) AS
    list_transform([quantity_read(text)], lambda quantity: plain_of(quantity))[1];

-- R4: a quantity in plain digits; NULL for a text that is none, and for one that no DECIMAL could hold.
CREATE OR REPLACE TEMP MACRO quantity_respelled(text) AS
    CASE
        WHEN is_quantity(text) THEN list_transform([quantity_read(text)], lambda quantity: CASE
            WHEN quantity.digits = '' OR quantity.point BETWEEN -40 AND 40 THEN plain_of(quantity)
        END)[1]
    END;

-- A number without zeros at the end of its fraction.
CREATE OR REPLACE TEMP MACRO without_idle_zeros(text) AS
    CASE WHEN contains(text, '.') THEN rtrim(rtrim(text, '0'), '.') ELSE text END;

-- R17 for a DECIMAL or HUGEINT; DuckDB writes no zero before the point of a DECIMAL that has no digit there.
CREATE OR REPLACE TEMP MACRO plain_text(number) AS
    CASE
        WHEN starts_with(CAST(number AS VARCHAR), '.') THEN without_idle_zeros('0' || CAST(number AS VARCHAR))
        WHEN starts_with(CAST(number AS VARCHAR), '-.')
            THEN '-0' || substr(without_idle_zeros(CAST(number AS VARCHAR)), 2)
        ELSE without_idle_zeros(CAST(number AS VARCHAR))
    END;

-- Digits with zeros before them, so that one stands before the point of `scale` digits.
CREATE OR REPLACE TEMP MACRO padded(digits, scale) AS
    lpad(digits, CAST(greatest(strlen(digits), scale + 1) AS INTEGER), '0');

-- Digits with a point before the last `scale` of them, as plain text.
CREATE OR REPLACE TEMP MACRO point_text(digits, scale) AS
    CASE
        WHEN scale = 0 THEN digits
        ELSE rtrim(rtrim(left(padded(digits, scale), -scale) || '.' || right(padded(digits, scale), scale), '0'), '.')
    END;

-- high × 10^low_digits + low, both of one sign, counted in units of 10^-scale: as plain text (R15, R17).
CREATE OR REPLACE TEMP MACRO parts_text(high, low, low_digits, scale) AS
    CASE WHEN high < 0 OR low < 0 THEN '-' ELSE '' END
    || point_text(
        CASE
            WHEN high = 0 THEN CAST(abs(low) AS VARCHAR)
            WHEN low_digits = 0 THEN CAST(abs(high) AS VARCHAR)
            ELSE CAST(abs(high) AS VARCHAR) || lpad(CAST(abs(low) AS VARCHAR), low_digits, '0')
        END,
        scale);

-- high × base + low as one integer; NULL when it has more than 38 digits (R18). A low part of the other sign borrows.
CREATE OR REPLACE TEMP MACRO sum_of_parts(high, low, base) AS
    CASE
        WHEN abs(high + low // base) < power_of_ten(38) // base + CAST(sign(high + low // base) * sign(low % base) < 0 AS INTEGER)
            THEN (high + low // base) * base + low % base
    END;

-- R16: a DECIMAL at a smaller scale, half to even, given its cast (which rounds half away from zero), how many digits
-- go, and the last digit's worth.
CREATE OR REPLACE TEMP MACRO half_even(number, rounded, dropped, last_digit) AS
    CASE
        WHEN right(CAST(number AS VARCHAR), dropped) = rpad('5', dropped, '0')
            AND right(CAST(rounded AS VARCHAR), 1) IN ('1', '3', '5', '7', '9')
            THEN rounded - CASE WHEN number < 0 THEN -last_digit ELSE last_digit END
        ELSE rounded
    END;

-- A DECIMAL of any scale as the integer of its digits.
CREATE OR REPLACE TEMP MACRO unscaled(number) AS
    CAST(replace(CAST(number AS VARCHAR), '.', '') AS HUGEINT);

-- 10^exponent, exactly.
CREATE OR REPLACE TEMP MACRO power_of_ten(exponent) AS
    CAST('1' || repeat('0', exponent) AS HUGEINT);

-- R16: an integer without its last `dropped` digits, rounded by its mode.
CREATE OR REPLACE TEMP MACRO rounded_off(number, dropped, mode) AS
    number // power_of_ten(dropped)
    + CASE
        WHEN number % power_of_ten(dropped) = 0 THEN 0
        WHEN mode = 'ceiling' THEN CASE WHEN number > 0 THEN 1 ELSE 0 END
        WHEN mode = 'floor' THEN CASE WHEN number < 0 THEN -1 ELSE 0 END
        WHEN abs(number % power_of_ten(dropped)) > power_of_ten(dropped) // 2 THEN sign(number)
        WHEN abs(number % power_of_ten(dropped)) < power_of_ten(dropped) // 2 THEN 0
        WHEN mode = 'half-up' OR (number // power_of_ten(dropped)) % 2 <> 0 THEN sign(number)
        ELSE 0
    END;

-- RFC 3339, the offset optional, a blank for the T allowed.
CREATE OR REPLACE TEMP MACRO is_time(text) AS
    regexp_full_match(
        text,
        '[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?'
        || '([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?'
    );

-- The date and time of day, without the offset.
CREATE OR REPLACE TEMP MACRO clock_of_text(text) AS
    TRY_CAST(
        substr(text, 1, 10) || ' ' || substr(text, 12, 8) || left(regexp_extract(text, '\.[0-9]+'), 7) AS TIMESTAMP
    );

-- The offset's length, without its sign.
CREATE OR REPLACE TEMP MACRO offset_of_text(text) AS
    to_hours(CAST(substr(text, strlen(text) - 4, 2) AS BIGINT)) + to_minutes(CAST(right(text, 2) AS BIGINT));

-- What the clocks of a zone show at a moment in UTC.
CREATE OR REPLACE TEMP MACRO local_clock(moment, zone) AS
    CASE WHEN zone = 'UTC' THEN moment ELSE (moment AT TIME ZONE 'UTC') AT TIME ZONE zone END;

-- A local time as a moment by the offset that held a day before.
CREATE OR REPLACE TEMP MACRO moment_by_offset_before(local, zone) AS
    local - (
        local_clock((local AT TIME ZONE zone) AT TIME ZONE 'UTC' - to_days(1), zone)
        - ((local AT TIME ZONE zone) AT TIME ZONE 'UTC' - to_days(1))
    );

-- The moment at which clocks show a local time: the first of two, and where clocks skip it, by the offset before.
CREATE OR REPLACE TEMP MACRO moment_of(local, zone) AS
    CASE
        WHEN zone = 'UTC' THEN local
        WHEN local_clock(moment_by_offset_before(local, zone), zone) = local THEN moment_by_offset_before(local, zone)
        ELSE (local AT TIME ZONE zone) AT TIME ZONE 'UTC'
    END;

-- Whether a text names no offset.
CREATE OR REPLACE TEMP MACRO time_is_naive(text) AS
    NOT regexp_matches(text, '([Zz]|[+-][0-9]{2}:[0-9]{2})$');

-- R11: the moment in UTC; digits finer than a microsecond are cut, which is toward the past. NULL when there is none.
-- Without an offset it is in UTC.
CREATE OR REPLACE TEMP MACRO utc_of_text(text) AS
    CASE
        WHEN NOT is_time(text) THEN NULL
        WHEN text[-6] = '+' THEN clock_of_text(text) - offset_of_text(text)
        WHEN text[-6] = '-' THEN clock_of_text(text) + offset_of_text(text)
        ELSE clock_of_text(text)
    END;

-- The moment of such a text; without an offset it is what the clocks of a zone show.
CREATE OR REPLACE TEMP MACRO time_of_text(text, zone) AS
    CASE
        WHEN NOT is_time(text) THEN NULL
        WHEN time_is_naive(text) THEN moment_of(clock_of_text(text), zone)
        ELSE utc_of_text(text)
    END;

-- A bare date is its midnight.
CREATE OR REPLACE TEMP MACRO with_clock(text) AS
    CASE WHEN regexp_full_match(text, '[0-9]{4}-[0-9]{2}-[0-9]{2}') THEN text || 'T00:00:00' ELSE text END;

-- What the clocks of a zone show at a time that people wrote; NULL when there is none.
CREATE OR REPLACE TEMP MACRO clock_in_zone(text, zone) AS
    CASE
        WHEN NOT is_time(with_clock(text)) THEN NULL
        WHEN time_is_naive(with_clock(text)) THEN clock_of_text(with_clock(text))
        ELSE local_clock(utc_of_text(with_clock(text)), zone)
    END;

-- A quantity's text, counted in units of so many microseconds, as whole microseconds, finer ones cut toward the past.
CREATE OR REPLACE TEMP MACRO whole_us(text, unit_us) AS
    CASE
        WHEN text IS NOT NULL
            THEN TRY_CAST(floor(TRY(
                CAST(list_transform([text], lambda one: quantity_respelled(one))[1] AS DECIMAL(38, 15))
                * CAST(unit_us AS DECIMAL(12, 0))
            )) AS BIGINT)
    END;

-- The moment so many microseconds after 1970 began; NULL outside of the years 1 to 9999.
CREATE OR REPLACE TEMP MACRO moment_since_1970(us) AS
    CASE WHEN us BETWEEN -62135596800000000 AND 253402300799999999 THEN make_timestamp(us) END;

-- A moment of the years 1 to 9999, but for the first, which says that there is none; NULL for another.
CREATE OR REPLACE TEMP MACRO usable_moment(moment) AS
    CASE WHEN moment > TIMESTAMP '0001-01-01' AND moment <= TIMESTAMP '9999-12-31 23:59:59.999999' THEN moment END;

-- Whether digits finer than a microsecond were cut.
CREATE OR REPLACE TEMP MACRO time_is_cut(text) AS
    regexp_matches(text, '\.[0-9]{6}[0-9]*[1-9]');

-- A moment as RFC 3339 text, with as many fraction digits as it has.
CREATE OR REPLACE TEMP MACRO time_text(moment) AS
    strftime(moment, '%Y-%m-%dT%H:%M:%S')
    || CASE WHEN epoch_us(moment) % 1000000 = 0 THEN '' ELSE rtrim(strftime(moment, '.%f'), '0') END
    || 'Z';

-- What the clocks of a zone show at a moment, as RFC 3339 text with the offset.
CREATE OR REPLACE TEMP MACRO clock_text(moment, zone) AS
    rtrim(time_text(local_clock(moment, zone)), 'Z')
    || CASE WHEN local_clock(moment, zone) < moment THEN '-' ELSE '+' END
    || strftime(
        TIMESTAMP '2000-01-01' + to_microseconds(abs(epoch_us(local_clock(moment, zone)) - epoch_us(moment))),
        '%H:%M'
    );

-- Whether JSON text may hold a number that a parser would change: DuckDB reads one with a fraction, an exponent or
-- more than 15 digits as a DOUBLE, and -0 as 0. May say so of a number inside a string, which costs time and no truth.
CREATE OR REPLACE TEMP MACRO has_fragile_number(json) AS
    regexp_matches(json, '[:\[,]\s*-?([0-9]+[.eE]|[0-9]{16})|[:\[,]\s*-0');

-- The mark of a number: two Unicode noncharacters, one before and one behind. JSON that holds one already, as a
-- character or as an escape, and a fragile number as well cannot be read exactly, and is rejected. An escape has an odd
-- number of backslashes before it; few texts have any.
CREATE OR REPLACE TEMP MACRO has_number_mark(json) AS
    contains(json, chr(64976)) OR contains(json, chr(64977))
    OR (contains(json, '\u') AND regexp_matches(json, '(^|[^\\])(\\\\)*\\u[fF][dD][dD][01]'));

-- JSON with each number as a marked string, every digit kept. A string is matched whole, first, so that nothing
-- inside one is taken for a number; what the pattern marks behind a string is empty, and goes again.
CREATE OR REPLACE TEMP MACRO marked_numbers(json) AS
    replace(replace(replace(
        regexp_replace(
            json,
            '("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)',
            '\1' || chr(64976) || '\2' || chr(64977),
            'g'
        ),
        chr(64976) || chr(64977), ''),
        chr(64976), '"' || chr(64976)),
        chr(64977), chr(64977) || '"');

-- A value taken out of marked JSON, as its sender wrote it.
CREATE OR REPLACE TEMP MACRO unmarked(value) AS
    replace(replace(replace(replace(value,
        '"' || chr(64976), ''), chr(64977) || '"', ''), chr(64976), ''), chr(64977), '');

-- The texts at some paths of a JSON object, every digit kept; NULL where there is none.
CREATE OR REPLACE TEMP MACRO json_texts(json, paths) AS
    CASE
        WHEN has_fragile_number(json) AND NOT has_number_mark(json)
            THEN list_transform(json_extract_string(marked_numbers(json), paths), lambda value: unmarked(value))
        ELSE json_extract_string(json, paths)
    END;

-- All of a JSON object's members as texts.
CREATE OR REPLACE TEMP MACRO json_members(json) AS
    CASE
        WHEN has_fragile_number(json) AND NOT has_number_mark(json)
            THEN map_from_entries(list_transform(
                map_entries(CAST(CAST(marked_numbers(json) AS JSON) AS MAP(VARCHAR, VARCHAR))),
                lambda entry: {'key': entry.key, 'value': unmarked(entry.value)}
            ))
        ELSE CAST(CAST(json AS JSON) AS MAP(VARCHAR, VARCHAR))
    END;

-- The members of the object at a pointer, as texts; without it, those of the JSON object whose names do not fit a pattern.
CREATE OR REPLACE TEMP MACRO members_of(json, pointer, fields) AS
    if(json_type(json, pointer) = 'OBJECT', list_transform(json_texts(json, [pointer]), lambda text: in_order(json_members(text)))[1],
        in_order(map_from_entries(list_filter(map_entries(json_members(json)), lambda e: NOT regexp_full_match(e.key, fields)))));

-- Whether a text is JSON. DuckDB also takes a comma behind the last member, which JSON does not have: text that looks like
-- one is rare and found fast, and looked at again without its strings.
CREATE OR REPLACE TEMP MACRO is_json(json) AS
    json_valid(json) AND NOT CASE
        WHEN regexp_matches(json, ',\s*[\]}]')
            THEN regexp_matches(regexp_replace(json, '"(?:[^"\\]|\\.)*"', '""', 'g'), ',\s*[\]}]')
        ELSE FALSE
    END;

-- Whether a list of names has one twice. Few names are looked up one by one, which costs a third of a set of them. Where
-- the list takes work, it is given as the variable of a lambda, since it is used for each of its names.
CREATE OR REPLACE TEMP MACRO has_twice(names) AS
    CASE
        WHEN len(names) <= 32
            THEN list_bool_or(list_transform(names, lambda name, place: list_position(names, name) <> place))
        ELSE len(names) <> len(list_distinct(names))
    END;

-- Properties in the order of their names, absent ones left out.
CREATE OR REPLACE TEMP MACRO in_order(properties) AS
    map_from_entries(list_sort(list_filter(map_entries(properties), lambda entry: entry.value IS NOT NULL)));

-- The dimensions of a reading in the order of their names, absent ones included (R21).
CREATE OR REPLACE TEMP MACRO by_name(dimensions) AS
    map_from_entries(list_sort(map_entries(dimensions)));

-- One part of an unambiguous encoding: its length in bytes, a colon, itself; "-" for an absent one (R7, R21).
CREATE OR REPLACE TEMP MACRO encoded(text) AS
    coalesce(strlen(text) || ':' || text, '-');

-- The first 16 bytes of SHA-256, in hex (R21).
CREATE OR REPLACE TEMP MACRO digest(text) AS
    left(sha256(text), 32);

-- A plain decimal text, or none for 0, as a whole number of its last of so many fraction digits: of any length.
CREATE OR REPLACE TEMP MACRO units_of(number, digits) AS
    CAST(split_part(coalesce(number, '0'), '.', 1) || rpad(split_part(coalesce(number, '0'), '.', 2), digits, '0') AS BIGNUM);

-- Its digits without the sign, zeros before them so that one stands before the point.
CREATE OR REPLACE TEMP MACRO after_zeros(units, digits) AS
    lpad(ltrim(units, '-'), CAST(greatest(length(ltrim(units, '-')), digits + 1) AS INTEGER), '0');

-- And back, from its text.
CREATE OR REPLACE TEMP MACRO text_of_units(units, digits) AS
    plain_text(
        CASE WHEN starts_with(units, '-') THEN '-' ELSE '' END
        || left(after_zeros(units, digits), CAST(length(after_zeros(units, digits)) - digits AS INTEGER))
        || '.'
        || right(after_zeros(units, digits), digits)
    );
