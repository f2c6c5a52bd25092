-- a quantity split over the days that its span overlaps (R26), peaks per node added, and the median
-- Made by metering-duck. Runs as it stands in the DuckDB shell. It stops with an overflow, and has no row, where quantities that are added
-- pass 38 digits on the way; the run itself does not, if the result fits (see counted). What runs is each table, and the query at the end,
-- as one statement, its stages in WITH; here the stages that several begin with stand once, as views: the rows are the same.
SET TimeZone = 'UTC';

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
-- Whether a text is JSON. DuckDB also takes a comma behind the last member, which JSON does not have: text that looks like
-- one is rare and found fast, and looked at again without its strings.
CREATE OR REPLACE TEMP MACRO is_json(json) AS
    json_valid(json) AND NOT CASE
        WHEN regexp_matches(json, ',\s*[\]}]')
            THEN regexp_matches(regexp_replace(json, '"(?:[^"\\]|\\.)*"', '""', 'g'), ',\s*[\]}]')
        ELSE FALSE
    END;
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
-- R11: the moment in UTC; digits finer than a microsecond are cut, which is toward the past. NULL when there is none.
-- Without an offset it is in UTC.
CREATE OR REPLACE TEMP MACRO utc_of_text(text) AS
    CASE
        WHEN NOT is_time(text) THEN NULL
        WHEN text[-6] = '+' THEN clock_of_text(text) - offset_of_text(text)
        WHEN text[-6] = '-' THEN clock_of_text(text) + offset_of_text(text)
        ELSE clock_of_text(text)
    END;
-- Whether digits finer than a microsecond were cut.
CREATE OR REPLACE TEMP MACRO time_is_cut(text) AS
    regexp_matches(text, '\.[0-9]{6}[0-9]*[1-9]');
-- Whether a text names no offset.
CREATE OR REPLACE TEMP MACRO time_is_naive(text) AS
    NOT regexp_matches(text, '([Zz]|[+-][0-9]{2}:[0-9]{2})$');
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
-- A moment of the years 1 to 9999, but for the first, which says that there is none; NULL for another.
CREATE OR REPLACE TEMP MACRO usable_moment(moment) AS
    CASE WHEN moment > TIMESTAMP '0001-01-01' AND moment <= TIMESTAMP '9999-12-31 23:59:59.999999' THEN moment END;
-- A moment as RFC 3339 text, with as many fraction digits as it has.
CREATE OR REPLACE TEMP MACRO time_text(moment) AS
    strftime(moment, '%Y-%m-%dT%H:%M:%S')
    || CASE WHEN epoch_us(moment) % 1000000 = 0 THEN '' ELSE rtrim(strftime(moment, '.%f'), '0') END
    || 'Z';
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
-- R4: what a quantity may look like.
CREATE OR REPLACE TEMP MACRO is_quantity(text) AS
    regexp_full_match(text, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?');
-- The sign, digits and exponent of a quantity.
CREATE OR REPLACE TEMP MACRO quantity_parts(text) AS
    regexp_extract(text, '^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$', ['sign', 'whole', 'fraction', 'exponent']);
-- The digits that count: none for zero.
CREATE OR REPLACE TEMP MACRO quantity_digits(text) AS
    trim(quantity_parts(text).whole || quantity_parts(text).fraction, '0');
-- The sign of a quantity: -1, 0 or 1.
CREATE OR REPLACE TEMP MACRO quantity_sign(text) AS
    CASE
        WHEN quantity_digits(text) = '' THEN 0
        WHEN quantity_parts(text).sign = '-' THEN -1
        ELSE 1
    END;
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
-- A quantity's sign, digits and point, read once: whatever is made of them names each several times, and DuckDB plans
-- every time anew.
CREATE OR REPLACE TEMP MACRO quantity_read(text) AS
    {'sign': quantity_sign(text), 'digits': quantity_digits(text), 'point': quantity_point(text)};
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
-- R4: a quantity in plain digits; NULL for a text that is none, and for one that no DECIMAL could hold.
CREATE OR REPLACE TEMP MACRO quantity_respelled(text) AS
    CASE
        WHEN is_quantity(text) THEN list_transform([quantity_read(text)], lambda quantity: CASE
            WHEN quantity.digits = '' OR quantity.point BETWEEN -40 AND 40 THEN plain_of(quantity)
        END)[1]
    END;
-- A DECIMAL of any scale as the integer of its digits.
CREATE OR REPLACE TEMP MACRO unscaled(number) AS
    CAST(replace(CAST(number AS VARCHAR), '.', '') AS HUGEINT);
-- 10^exponent, exactly.
CREATE OR REPLACE TEMP MACRO power_of_ten(exponent) AS
    CAST('1' || repeat('0', exponent) AS HUGEINT);
-- One part of an unambiguous encoding: its length in bytes, a colon, itself; "-" for an absent one (R7, R21).
CREATE OR REPLACE TEMP MACRO encoded(text) AS
    coalesce(strlen(text) || ':' || text, '-');
-- high × base + low as one integer; NULL when it has more than 38 digits (R18). A low part of the other sign borrows.
CREATE OR REPLACE TEMP MACRO sum_of_parts(high, low, base) AS
    CASE
        WHEN abs(high + low // base) < power_of_ten(38) // base + CAST(sign(high + low // base) * sign(low % base) < 0 AS INTEGER)
            THEN (high + low // base) * base + low % base
    END;
-- The first 16 bytes of SHA-256, in hex (R21).
CREATE OR REPLACE TEMP MACRO digest(text) AS
    left(sha256(text), 32);

-- how the windows are cut, and between which moments
CREATE OR REPLACE TEMP VIEW calendars AS
SELECT
    CAST(NULL AS VARCHAR) AS universe_id,
    CAST(NULL AS VARCHAR) AS subject,
    CAST(NULL AS BIGINT) AS outer_index,
    'UTC' AS zone,
    'day' AS unit,
    CAST(1 AS BIGINT) AS step,
    date_trunc('day', local_clock(TIMESTAMP '2024-01-01 00:00:00', 'UTC')) AS origin,
    CAST(NULL AS TIMESTAMP) AS starts,
    CAST(NULL AS TIMESTAMP) AS ends,
    TIMESTAMP '2024-01-01 00:00:00' AS first_at,
    TIMESTAMP '2024-01-04 00:00:00' AS last_at,
    FALSE AS whole
FROM (VALUES (0)) AS once(n);

-- the windows of each calendar: boundary n is always so many steps from the origin, never from the boundary before it
CREATE OR REPLACE TEMP TABLE windows AS
WITH bounded AS (
    SELECT
        *,
        row_number() OVER () AS calendar_index,
        greatest(starts, first_at) AS from_at,
        least(ends, last_at) AS until_at
    FROM calendars
),
guessed AS (
    SELECT
        *,
        CASE unit
            WHEN 'month' THEN date_diff('month', origin, local_clock(from_at, zone)) // step
            WHEN 'day' THEN date_diff('day', origin, local_clock(from_at, zone)) // step
            WHEN 'microsecond' THEN (epoch_us(from_at) - epoch_us(origin)) // step
            ELSE 0
        END AS first_number,
        CASE unit
            WHEN 'month' THEN date_diff('month', origin, local_clock(until_at, zone)) // step
            WHEN 'day' THEN date_diff('day', origin, local_clock(until_at, zone)) // step
            WHEN 'microsecond' THEN (epoch_us(until_at) - epoch_us(origin)) // step
            ELSE 0
        END AS last_number
    FROM bounded
    WHERE from_at < until_at
),
numbered AS (
    SELECT
        *,
        unnest(range(CAST(first_number AS BIGINT) - 2, CAST(last_number AS BIGINT) + 3)) AS number
    FROM guessed
),
boundaries AS (
    SELECT
        *,
        CASE unit
            WHEN 'month' THEN moment_of(origin + to_months(CAST(number * step AS INTEGER)), zone)
            WHEN 'day' THEN moment_of(origin + to_days(CAST(number * step AS INTEGER)), zone)
            WHEN 'microsecond' THEN origin + to_microseconds(number * step)
            WHEN 'all' THEN CASE WHEN number <= 0 THEN coalesce(starts, first_at) ELSE coalesce(ends, last_at) END
        END AS boundary
    FROM numbered
),
periods AS (
    SELECT
        *,
        boundary AS period_start,
        lead(boundary) OVER (PARTITION BY calendar_index ORDER BY number) AS period_end
    FROM (
        SELECT * REPLACE (greatest(least(boundary, TIMESTAMP '9999-12-31 23:59:59.999999'), TIMESTAMP '0001-01-01') AS boundary)
        FROM boundaries
    )
),
clipped AS (
    SELECT
        universe_id,
        subject,
        outer_index,
        zone,
        whole,
        first_at,
        last_at,
        greatest(period_start, starts, CASE WHEN NOT whole THEN first_at END) AS window_start,
        least(period_end, ends, CASE WHEN NOT whole THEN last_at END) AS window_end
    FROM periods
    WHERE period_end IS NOT NULL
)
SELECT
    row_number() OVER (ORDER BY universe_id, subject, window_start, window_end) - 1 AS window_index,
    universe_id,
    subject,
    outer_index,
    zone,
    window_start,
    window_end
FROM clipped
WHERE window_start < window_end
    AND (NOT whole OR coalesce(window_start >= first_at, TRUE) AND coalesce(window_start < last_at, TRUE));

-- the input as it lies
CREATE OR REPLACE TEMP VIEW input AS
SELECT *
FROM (
    SELECT line, metering_duck_file
    FROM read_csv(
        ['events.ndjson'],
        columns = {'line': 'VARCHAR'},
        delim = '',
        quote = '',
        escape = '',
        header = false,
        auto_detect = false,
        max_line_size = 67108864,
        strict_mode = false,
        new_line = '\n',
        hive_partitioning = false,
        filename = 'metering_duck_file'
    )
    WHERE trim(line, chr(9) || chr(13) || ' ') <> ''
);

-- the JSON that is an object
CREATE OR REPLACE TEMP VIEW objects AS
SELECT *, CASE WHEN is_json(line) AND json_type(line) = 'OBJECT' THEN line END AS object
FROM input;

-- its texts, every digit kept
-- texts[N] is the text of a field: 1 to 3 are workspace_id, 4 to 6 are universe_id, 7 is id, 8 is type, 9 is subject, 10 is time, 11 to 12
-- are metered_at, 13 is p_0, 14 is p_1, 15 is p_2, 16 is p_3, 17 is p_4, 18 is p_5, 19 is p_0 without an object, 20 is p_1 without an
-- object, 21 is p_2 without an object, 22 is p_3 without an object, 23 is p_4 without an object, 24 is p_5 without an object.
CREATE OR REPLACE TEMP VIEW parsed AS
SELECT
    *,
    json_texts(
        object,
        [
            '/workspaceID', '/workspace_id', '/workspaceId', '/universeID', '/universe_id', '/universeId', '/id', '/type', '/subject',
            '/time', '/meteredAt', '/metered_at', '/properties/from', '/properties/gpus', '/properties/node', '/properties/read',
            '/properties/to', '/properties/written', '/from', '/gpus', '/node', '/read', '/to', '/written'
        ]
    ) AS texts
FROM objects;

-- its fields under one name each, its times in UTC microseconds (R11)
-- p_N is the text of property N: 0 is "from", 1 is "gpus", 2 is "node", 3 is "read", 4 is "to", 5 is "written".
CREATE OR REPLACE TEMP VIEW named AS
SELECT
    coalesce(texts[1], texts[2], texts[3]) AS workspace_id,
    coalesce(texts[4], texts[5], texts[6]) AS universe_id,
    texts[9] AS subject,
    texts[7] AS id,
    texts[7] AS event_id,
    texts[8] AS type,
    texts[10] AS time_text,
    coalesce(texts[10], '') <> '' AS time_given,
    utc_of_text(texts[10]) AS recorded_at,
    time_is_cut(texts[10]) IS TRUE AS time_cut,
    (is_time(texts[10]) AND time_is_naive(texts[10])) IS TRUE AS time_naive,
    coalesce(texts[11], texts[12]) AS metered_text,
    utc_of_text(coalesce(texts[11], texts[12])) AS metered_at,
    coalesce(coalesce(texts[11], texts[12]), '') <> '' AS metered_given,
    metering_duck_file AS file,
    CASE
        WHEN object IS NULL THEN 'json-invalid'
        WHEN list_bool_or(list_transform(json_keys(object, ['']), lambda found: has_twice(found))) THEN 'property-repeated'
        WHEN CASE WHEN has_number_mark(object) THEN has_fragile_number(object) ELSE FALSE END THEN 'number-inexact'
        WHEN list_count(texts[1:3]) > 1 OR list_count(texts[4:6]) > 1 OR list_count(texts[11:12]) > 1 THEN 'property-repeated'
        WHEN json_type(object, '/properties') NOT IN ('OBJECT', 'NULL') THEN 'properties-invalid'
        WHEN list_bool_or(list_transform(json_keys(object, ['/properties']), lambda found: has_twice(found))) THEN 'property-repeated'
    END AS early_reason,
    CASE
        WHEN object IS NULL THEN line
        WHEN list_bool_or(list_transform(json_keys(object, ['']), lambda found: has_twice(found))) THEN line
        WHEN CASE WHEN has_number_mark(object) THEN has_fragile_number(object) ELSE FALSE END THEN line
        WHEN list_count(texts[1:3]) > 1 OR list_count(texts[4:6]) > 1 OR list_count(texts[11:12]) > 1 THEN line
        WHEN json_type(object, '/properties') NOT IN ('OBJECT', 'NULL') THEN json_texts(object, ['/properties'])[1]
        WHEN list_bool_or(list_transform(json_keys(object, ['/properties']), lambda found: has_twice(found)))
            THEN json_texts(object, ['/properties'])[1]
    END AS early_text,
    if(json_type(object, '/properties') = 'OBJECT', texts[13], texts[19]) AS p_0,
    if(json_type(object, '/properties') = 'OBJECT', texts[14], texts[20]) AS p_1,
    if(json_type(object, '/properties') = 'OBJECT', texts[15], texts[21]) AS p_2,
    if(json_type(object, '/properties') = 'OBJECT', texts[16], texts[22]) AS p_3,
    if(json_type(object, '/properties') = 'OBJECT', texts[17], texts[23]) AS p_4,
    if(json_type(object, '/properties') = 'OBJECT', texts[18], texts[24]) AS p_5,
    CASE
        WHEN object IS NULL THEN NULL
        WHEN list_bool_or(list_transform(json_keys(object, ['']), lambda found: has_twice(found))) THEN NULL
        WHEN CASE WHEN has_number_mark(object) THEN has_fragile_number(object) ELSE FALSE END THEN NULL
        WHEN list_count(texts[1:3]) > 1 OR list_count(texts[4:6]) > 1 OR list_count(texts[11:12]) > 1 THEN NULL
        WHEN json_type(object, '/properties') NOT IN ('OBJECT', 'NULL') THEN NULL
        WHEN list_bool_or(list_transform(json_keys(object, ['/properties']), lambda found: has_twice(found))) THEN NULL
        ELSE members_of(object, '/properties', 'workspace(ID|_id|Id)|universe(ID|_id|Id)|id|type|subject|time|metered(At|_at)|properties')
    END AS properties
FROM parsed;

-- what makes a row unusable, and its content in one canonical text
CREATE OR REPLACE TEMP VIEW fields AS
SELECT
    * EXCLUDE (early_reason, early_text, time_given, metered_text, metered_given) REPLACE (usable_moment(metered_at) AS metered_at),
    (
        early_reason = 'json-invalid' OR coalesce(id, '') = '' OR coalesce(workspace_id, '') = '' OR coalesce(universe_id, '') = ''
    ) IS TRUE AS keyless,
    coalesce(
        early_reason,
        CASE
            WHEN coalesce(id, '') = '' THEN 'id-missing'
            WHEN coalesce(workspace_id, '') = '' THEN 'workspace-missing'
            WHEN coalesce(universe_id, '') = '' THEN 'universe-missing'
            WHEN coalesce(subject, '') = '' THEN 'subject-missing'
            WHEN coalesce(type, '') = '' THEN 'type-missing'
            WHEN NOT time_given THEN 'time-missing'
            WHEN recorded_at = TIMESTAMP '0001-01-01 00:00:00' THEN 'time-missing'
            WHEN usable_moment(recorded_at) IS NULL THEN 'time-invalid'
            WHEN metered_given AND usable_moment(metered_at) IS NULL THEN 'metered-at-invalid'
        END
    ) AS reason,
    CASE
        WHEN early_reason IS NOT NULL THEN early_text
        WHEN coalesce(id, '') = '' THEN id
        WHEN coalesce(workspace_id, '') = '' THEN workspace_id
        WHEN coalesce(universe_id, '') = '' THEN universe_id
        WHEN coalesce(subject, '') = '' THEN subject
        WHEN coalesce(type, '') = '' THEN type
        WHEN NOT time_given THEN time_text
        WHEN recorded_at = TIMESTAMP '0001-01-01 00:00:00' THEN time_text
        WHEN usable_moment(recorded_at) IS NULL THEN time_text
        WHEN metered_given AND usable_moment(metered_at) IS NULL THEN metered_text
    END AS reason_text,
    CAST(
        to_json(
            {
                'type': type,
                'subject': subject,
                'time': coalesce(time_text(usable_moment(recorded_at)), time_text),
                'properties': CASE WHEN early_reason IS NOT NULL THEN to_json(early_text) ELSE to_json(properties) END
            }
        ) AS VARCHAR
    ) AS content_text
FROM named;

-- the events that had entered by the cut-off, of the workspaces and universes asked for (R24)
CREATE OR REPLACE TEMP VIEW arrivals AS
SELECT * REPLACE (coalesce(metered_at, TIMESTAMP '2024-06-01 00:00:00') AS metered_at)
FROM fields;

-- which event keys may occur more than once (R8): 64-bit hashes seen twice, so few rows need the exact comparison
-- What runs takes the hashes out of one pass over the events and sorts them outside of SQL: it finds the same.
CREATE OR REPLACE TEMP TABLE repeated_keys AS
SELECT hash(workspace_id, universe_id, id) AS key_hash
FROM arrivals
WHERE NOT keyless
GROUP BY key_hash HAVING count(*) > 1;

-- the rows of keys that may occur more than once, and their content in one canonical text
CREATE OR REPLACE TEMP VIEW suspects AS
SELECT *, content_text AS content
FROM arrivals
WHERE NOT keyless
    AND hash(workspace_id, universe_id, id) IN (SELECT key_hash FROM repeated_keys);

-- one event, once (R8): of the rows that share a key the first to enter is kept, equal ones are duplicates, others conflicts
-- What runs looks at a row's key before it makes its other columns, as suspects does behind them: the same rows, sooner.
CREATE OR REPLACE TEMP TABLE settled AS
SELECT
    *,
    CASE
        WHEN row_number() OVER by_key = 1 THEN 'kept'
        WHEN row_number() OVER by_content > 1 THEN 'duplicate'
        WHEN content = first_value(content) OVER by_key THEN 'duplicate'
        ELSE 'conflict'
    END AS verdict,
    first_value(content) OVER by_key AS kept_content,
    first_value(metered_at) OVER by_key AS kept_metered_at
FROM suspects
WINDOW
    by_key AS (
        PARTITION BY workspace_id, universe_id, id
        ORDER BY metered_at, usable_moment(recorded_at) NULLS LAST, content, file
    ),
    by_content AS (
        PARTITION BY workspace_id, universe_id, id, content
        ORDER BY metered_at, file
    );

-- every event once (R8): the keys that occur once, and the kept row of each that occurs more often
-- Where no key occurs twice what runs leaves out the table settled: every arrival is accepted then, as here.
CREATE OR REPLACE TEMP VIEW accepted AS
SELECT *
FROM arrivals
WHERE (keyless OR hash(workspace_id, universe_id, id) NOT IN (SELECT key_hash FROM repeated_keys))
UNION ALL BY NAME
SELECT * EXCLUDE (content, verdict, kept_content, kept_metered_at)
FROM settled
WHERE verdict = 'kept';

-- which entry of the config an event matches (R1)
CREATE OR REPLACE TEMP VIEW matched AS
SELECT *, CASE WHEN reason IS NULL THEN 0 END AS entry
FROM accepted;

-- each measurement's text where it applies: its filter first (R2)
-- Slot 0 is "gpus" in "gpu-hours", prorated-sum: measurements[0].
-- Slot 1 is "gpus" in "gpus", sum-of-max by "node": measurements[1].
-- Slot 2 is "gpus" in "gpus per pod", p50-interpolated: measurements[2].
-- Slot 3 is "read" + "written" in "GiB", sum: measurements[3].
-- q_of_p_N_M is the text of property N for several slots of one DECIMAL; a_N says whether slot N applies; q_N is its text, q_N_M that of
-- its Mth property.
CREATE OR REPLACE TEMP VIEW projected AS
SELECT
    *,
    (entry IS NOT DISTINCT FROM 0) AS a_0,
    CASE WHEN entry IS NOT DISTINCT FROM 0 THEN p_1 END AS q_0,
    (entry IS NOT DISTINCT FROM 0) AS a_1,
    CASE WHEN entry IS NOT DISTINCT FROM 0 THEN p_1 END AS q_1,
    (entry IS NOT DISTINCT FROM 0) AS a_2,
    CASE WHEN entry IS NOT DISTINCT FROM 0 THEN p_1 END AS q_2,
    (entry IS NOT DISTINCT FROM 0 AND (coalesce(p_2 IN ('n1', 'n2'), FALSE) OR p_2 IS NULL)) AS a_3,
    CASE WHEN entry IS NOT DISTINCT FROM 0 AND (coalesce(p_2 IN ('n1', 'n2'), FALSE) OR p_2 IS NULL) THEN p_3 END AS q_3_0,
    CASE WHEN entry IS NOT DISTINCT FROM 0 AND (coalesce(p_2 IN ('n1', 'n2'), FALSE) OR p_2 IS NULL) THEN p_5 END AS q_3_1,
    CASE WHEN a_0 OR a_1 OR a_2 THEN p_1 END AS q_of_p_1_0,
    CAST(NULL AS VARCHAR) AS dimensions
FROM matched;

-- each quantity's text as a DECIMAL, exactly or not at all (R4, R5): first the texts of plain digits
-- v_of_p_N_M is its value; v_N is its value as a DECIMAL, NULL where there is none.
CREATE OR REPLACE TEMP VIEW plain AS
SELECT
    *,
    CASE WHEN is_plain_number(q_of_p_1_0, 18) THEN TRY_CAST(q_of_p_1_0 AS DECIMAL(38, 18)) END AS v_of_p_1_0,
    CASE WHEN is_plain_number(q_3_0, 9) THEN TRY_CAST(q_3_0 AS DECIMAL(38, 9)) END AS v_3_0,
    CASE WHEN is_plain_number(q_3_1, 9) THEN TRY_CAST(q_3_1 AS DECIMAL(38, 9)) END AS v_3_1
FROM projected;

-- quantities in other spellings, such as 1e3, written in plain digits
-- respelled[N] is the Nth of the texts that are listed here, NULL where that is no quantity.
CREATE OR REPLACE TEMP VIEW respelled AS
SELECT
    *,
    CASE
        WHEN (q_of_p_1_0 IS NOT NULL AND v_of_p_1_0 IS NULL AND is_quantity(q_of_p_1_0))
            OR (q_3_0 IS NOT NULL AND v_3_0 IS NULL AND is_quantity(q_3_0))
            OR (q_3_1 IS NOT NULL AND v_3_1 IS NULL AND is_quantity(q_3_1))
            THEN list_transform([q_of_p_1_0, q_3_0, q_3_1], lambda t: quantity_respelled(t))
        ELSE CAST([] AS VARCHAR[])
    END AS respelled
FROM plain;

-- the quantities in other spellings as DECIMALs too, where they fit
CREATE OR REPLACE TEMP VIEW parsed_once AS
SELECT * EXCLUDE (respelled) REPLACE (
    coalesce(
        v_of_p_1_0,
        CASE WHEN regexp_full_match(respelled[1], '-?[0-9]{1,20}(\.[0-9]{1,18})?') THEN TRY_CAST(respelled[1] AS DECIMAL(38, 18)) END
    ) AS v_of_p_1_0,
    coalesce(
        v_3_0,
        CASE WHEN regexp_full_match(respelled[2], '-?[0-9]{1,29}(\.[0-9]{1,9})?') THEN TRY_CAST(respelled[2] AS DECIMAL(38, 9)) END
    ) AS v_3_0,
    coalesce(
        v_3_1,
        CASE WHEN regexp_full_match(respelled[3], '-?[0-9]{1,29}(\.[0-9]{1,9})?') THEN TRY_CAST(respelled[3] AS DECIMAL(38, 9)) END
    ) AS v_3_1
)
FROM respelled;

-- the quantity of a property that several measurements take, for each of them where it applies
CREATE OR REPLACE TEMP VIEW quantified AS
SELECT
    *,
    CASE WHEN a_0 THEN v_of_p_1_0 END AS v_0,
    CASE WHEN a_1 THEN v_of_p_1_0 END AS v_1,
    CASE WHEN a_2 THEN v_of_p_1_0 END AS v_2
FROM parsed_once;

-- the properties that say a span, as moments and microseconds
-- start_read_N is where the span of slot N begins, as its property says it; end_read_N is where it ends.
CREATE OR REPLACE TEMP VIEW span_texts AS
SELECT
    *,
    utc_of_text(p_0) AS start_read_0,
    utc_of_text(p_4) AS end_read_0
FROM quantified;

-- from when to when a quantity extends (R11)
-- start_N is when the span of slot N begins; end_N is when it ends.
CREATE OR REPLACE TEMP VIEW extended AS
SELECT
    *,
    CASE
        WHEN start_read_0 <= end_read_0 AND start_read_0 >= TIMESTAMP '0001-01-01' AND end_read_0 < TIMESTAMP '10000-01-01'
            THEN start_read_0
    END AS start_0,
    CASE
        WHEN start_read_0 <= end_read_0 AND start_read_0 >= TIMESTAMP '0001-01-01' AND end_read_0 < TIMESTAMP '10000-01-01' THEN end_read_0
    END AS end_0
FROM span_texts;

-- several quantities of an event added
CREATE OR REPLACE TEMP VIEW added AS
SELECT
    *,
    CASE WHEN v_3_0 IS NOT NULL THEN TRY(CAST(v_3_0 AS DECIMAL(38, 9)) + CAST(v_3_1 AS DECIMAL(38, 9))) END AS v_3
FROM extended;

-- quantities and their factors × microseconds, whole numbers in two parts
-- units_high_N is the higher part of the quantity as a whole number; units_low_N its lower part; times_high_N is the higher part of what it
-- is multiplied by; times_low_N its lower part.
CREATE OR REPLACE TEMP VIEW timed AS
SELECT
    *,
    (abs(unscaled(v_0))) // power_of_ten(19) AS units_high_0,
    (abs(unscaled(v_0))) % power_of_ten(19) AS units_low_0,
    (CAST('1' AS HUGEINT) * (epoch_us(end_0) - epoch_us(start_0))) // power_of_ten(19) AS times_high_0,
    (CAST('1' AS HUGEINT) * (epoch_us(end_0) - epoch_us(start_0))) % power_of_ten(19) AS times_low_0
FROM added;

-- the products of a higher and a lower part, and what the lower two carry
-- middle_N is the product's middle part.
CREATE OR REPLACE TEMP VIEW crossed AS
SELECT
    *,
    units_high_0 * times_low_0 + units_low_0 * times_high_0 + units_low_0 * times_low_0 // power_of_ten(19) AS middle_0
FROM timed;

-- quantity × factor in parts of 19 digits, so that nothing overflows
-- top_N is the highest of three parts of a number; high_N is the higher part of a number that is too long for one; low_N is the lower part.
CREATE OR REPLACE TEMP VIEW multiplied AS
SELECT
    *,
    units_high_0 * times_high_0 + middle_0 // power_of_ten(19) AS top_0,
    middle_0 % power_of_ten(19) AS high_0,
    units_low_0 * times_low_0 % power_of_ten(19) AS low_0,
    (abs(unscaled(v_3)) // power_of_ten(19)) * CAST('1' AS HUGEINT) AS high_3,
    (abs(unscaled(v_3)) % power_of_ten(19)) * CAST('1' AS HUGEINT) AS low_3
FROM crossed;

-- the quotient and what is left of it
-- whole_N is the whole part of a quotient; rest_N is what the division leaves.
CREATE OR REPLACE TEMP VIEW divided AS
SELECT
    *,
    CASE WHEN low_0 IS NOT NULL THEN TRY(
        ((CASE WHEN top_0 < 3600000000 THEN top_0 END * power_of_ten(19) + high_0) // CAST('3600000000' AS HUGEINT)) * power_of_ten(19)
            + (
                ((CASE WHEN top_0 < 3600000000 THEN top_0 END * power_of_ten(19) + high_0) % CAST('3600000000' AS HUGEINT))
                    * power_of_ten(19)
                    + low_0
            ) // CAST('3600000000' AS HUGEINT)
    ) END AS whole_0,
    CASE WHEN low_0 IS NOT NULL THEN TRY(
        (
            ((CASE WHEN top_0 < 3600000000 THEN top_0 END * power_of_ten(19) + high_0) % CAST('3600000000' AS HUGEINT)) * power_of_ten(19)
                + low_0
        ) % CAST('3600000000' AS HUGEINT)
    ) END AS rest_0,
    CASE WHEN low_3 IS NOT NULL THEN TRY(
        (high_3 // CAST('1073741824' AS HUGEINT)) * power_of_ten(19)
            + ((high_3 % CAST('1073741824' AS HUGEINT)) * power_of_ten(19) + low_3) // CAST('1073741824' AS HUGEINT)
    ) END AS whole_3,
    CASE WHEN low_3 IS NOT NULL THEN TRY(
        ((high_3 % CAST('1073741824' AS HUGEINT)) * power_of_ten(19) + low_3) % CAST('1073741824' AS HUGEINT)
    ) END AS rest_3
FROM multiplied;

-- quantities in their unit, rounded half to even once
CREATE OR REPLACE TEMP VIEW converted AS
SELECT * EXCLUDE (
    units_high_0, units_low_0, times_high_0, times_low_0, middle_0, top_0, high_0, low_0, whole_0, rest_0, high_3, low_3, whole_3, rest_3
) REPLACE (
    TRY_CAST(
        CASE WHEN whole_0 IS NOT NULL THEN TRY(
            (
                CAST(
                    (
                        whole_0
                            + CASE
                                WHEN 2 * rest_0 > CAST('3600000000' AS HUGEINT)
                                    OR (2 * rest_0 = CAST('3600000000' AS HUGEINT) AND whole_0 % 2 = 1)
                                    THEN 1
                                ELSE 0
                            END
                    )
                        * CASE WHEN (v_0 < 0) THEN -1 ELSE 1 END AS DECIMAL(38, 0)
                )
                    * CAST('0.000000000000000001' AS DECIMAL(18, 18))
            )
        ) END AS DECIMAL(38, 18)
    ) AS v_0,
    TRY_CAST(
        CASE WHEN whole_3 IS NOT NULL THEN TRY(
            (
                CAST(
                    (
                        whole_3
                            + CASE
                                WHEN 2 * rest_3 > CAST('1073741824' AS HUGEINT)
                                    OR (2 * rest_3 = CAST('1073741824' AS HUGEINT) AND whole_3 % 2 = 1)
                                    THEN 1
                                ELSE 0
                            END
                    )
                        * CASE WHEN (v_3 < 0) THEN -1 ELSE 1 END AS DECIMAL(38, 0)
                )
                    * CAST('0.000000001' AS DECIMAL(9, 9))
            )
        ) END AS DECIMAL(38, 9)
    ) AS v_3
)
FROM divided;

-- an event is metered, unmatched or rejected as a whole (R3, R9)
CREATE OR REPLACE TEMP VIEW judged AS
SELECT
    *,
    CASE
        WHEN entry = 0 AND a_0 AND (v_0 IS NULL OR start_0 IS NULL) THEN 0
        WHEN entry = 0 AND a_1 AND v_1 IS NULL THEN 1
        WHEN entry = 0 AND a_2 AND v_2 IS NULL THEN 2
        WHEN entry = 0 AND a_3 AND v_3 IS NULL THEN 3
    END AS faulty,
    CASE
        WHEN reason IS NOT NULL OR faulty IS NOT NULL THEN 'rejected'
        WHEN entry IS NULL THEN 'unmatched-entry'
        WHEN NOT (a_0 OR a_1 OR a_2 OR a_3) THEN 'unmatched-filter'
        ELSE 'metered'
    END AS status
FROM converted;

-- the window that each row is in, or the next one where it is in none
CREATE OR REPLACE TEMP VIEW placed AS
SELECT
    *,
    CASE WHEN recorded_at < TIMESTAMP '2024-01-04 00:00:00' THEN date_diff(
        'day',
        TIMESTAMP '2024-01-01 00:00:00',
        greatest(recorded_at, TIMESTAMP '2024-01-01 00:00:00')
    ) END AS window_index,
    coalesce(recorded_at >= TIMESTAMP '2024-01-01 00:00:00' AND recorded_at < TIMESTAMP '2024-01-04 00:00:00', FALSE) AS in_window,
    date_diff('day', TIMESTAMP '2024-01-01 00:00:00', TIMESTAMP '2024-01-04 00:00:00' - to_microseconds(1)) AS last_index,
    TIMESTAMP '2024-01-04 00:00:00' AS last_end
FROM judged;

-- which rows make readings: metered, of a subject that is asked for, inside a window
CREATE OR REPLACE TEMP VIEW windowed AS
SELECT *, status = 'metered' AND in_window AS used
FROM placed;

-- one scan: what became of every event, and the counters of each subject and window
-- Where the quantities that one sum or average adds come to more than 38 digits on the way, those behind the point included, this stops
-- with an overflow; what runs then adds in two parts, and has the row if the result fits.
-- n_N is how many values slot N has; metered_N when the last of them entered; x_N what they come to.
CREATE OR REPLACE TEMP TABLE counted AS
SELECT
    used,
    CASE WHEN NOT used THEN status END AS status,
    CASE WHEN used THEN workspace_id END AS workspace_id,
    CASE WHEN used THEN universe_id END AS universe_id,
    CASE WHEN used THEN subject END AS subject,
    CAST(NULL AS VARCHAR) AS dimensions,
    CASE WHEN used THEN window_index END AS window_index,
    count(*) AS events,
    count(*) FILTER (time_cut) AS times_cut,
    count(*) FILTER (time_naive) AS times_naive,
    count(CASE WHEN used THEN v_3 END) AS n_3,
    max(CASE WHEN used AND v_3 IS NOT NULL THEN metered_at END) AS metered_3,
    sum(CASE WHEN used THEN v_3 END) AS x_3
FROM windowed
GROUP BY 1, 2, 3, 4, 5, 7;

-- one scan: what became of every event, and the counters of each subject and window
CREATE OR REPLACE TEMP TABLE inner_2_counted AS
SELECT
    used,
    CASE WHEN NOT used THEN status END AS status,
    CASE WHEN used THEN workspace_id END AS workspace_id,
    CASE WHEN used THEN universe_id END AS universe_id,
    CASE WHEN used THEN subject END AS subject,
    CASE WHEN used THEN CAST(json_array(dimensions, p_2) AS VARCHAR) END AS dimensions,
    CASE WHEN used THEN window_index END AS window_index,
    count(*) AS events,
    count(*) FILTER (time_cut) AS times_cut,
    count(*) FILTER (time_naive) AS times_naive,
    CASE WHEN used THEN count(*) ELSE 0 END AS n_1,
    max(CASE WHEN used THEN metered_at END) AS metered_1,
    max(CASE WHEN used THEN v_1 END) AS x_1
FROM windowed
GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- the max of "gpus"
CREATE OR REPLACE TEMP VIEW counter_0 AS
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    'gpus' AS unit,
    'max' AS aggregation,
    window_index,
    TRY_CAST(CAST(x_1 AS DECIMAL(38, 18)) AS DECIMAL(38, 18)) AS quantity,
    CAST(NULL AS VARCHAR) AS numerator,
    CAST(NULL AS BIGINT) AS divisor_us,
    n_1 AS record_count,
    FALSE AS carried,
    FALSE AS prorated,
    metered_1 AS max_metered_at,
    CAST(NULL AS TIMESTAMP) AS last_recorded_at,
    CAST(NULL AS TIMESTAMP) AS last_metered_at,
    CAST(NULL AS VARCHAR) AS last_event_id
FROM inner_2_counted
WHERE used AND n_1 > 0;

-- counters, gauges and the others, one row per reading
CREATE OR REPLACE TEMP TABLE inner_2_totals AS
SELECT * FROM counter_0;

-- each quantity and its span, in whole units of the last digit it is split at
CREATE OR REPLACE TEMP VIEW spanned AS
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    'gpu-hours' AS unit,
    metered_at,
    encoded(workspace_id) || encoded(universe_id) || encoded(id) || '0' AS row_id,
    CASE WHEN (unscaled(v_0)) % power_of_ten(0) = 0 THEN power_of_ten(0) ELSE 1 END AS unit_size,
    (unscaled(v_0)) // CASE WHEN (unscaled(v_0)) % power_of_ten(0) = 0 THEN power_of_ten(0) ELSE 1 END AS units,
    coalesce(start_0, recorded_at) AS span_start,
    coalesce(end_0, recorded_at) AS span_end
FROM judged
WHERE status = 'metered' AND v_0 IS NOT NULL;

-- the window that each row is in, or the next one where it is in none
CREATE OR REPLACE TEMP VIEW begun AS
SELECT
    *,
    CASE WHEN span_start < TIMESTAMP '2024-01-04 00:00:00' THEN date_diff(
        'day',
        TIMESTAMP '2024-01-01 00:00:00',
        greatest(span_start, TIMESTAMP '2024-01-01 00:00:00')
    ) END AS window_index,
    coalesce(span_start >= TIMESTAMP '2024-01-01 00:00:00' AND span_start < TIMESTAMP '2024-01-04 00:00:00', FALSE) AS in_window,
    date_diff('day', TIMESTAMP '2024-01-01 00:00:00', TIMESTAMP '2024-01-04 00:00:00' - to_microseconds(1)) AS last_index,
    TIMESTAMP '2024-01-04 00:00:00' AS last_end
FROM spanned;

-- the window that each row is in, or the next one where it is in none
CREATE OR REPLACE TEMP VIEW ended AS
SELECT
    *,
    CASE WHEN greatest(span_end - to_microseconds(1), span_start) < TIMESTAMP '2024-01-04 00:00:00' THEN date_diff(
        'day',
        TIMESTAMP '2024-01-01 00:00:00',
        greatest(greatest(span_end - to_microseconds(1), span_start), TIMESTAMP '2024-01-01 00:00:00')
    ) END AS window_index_of_end,
    coalesce(
        greatest(span_end - to_microseconds(1), span_start) >= TIMESTAMP '2024-01-01 00:00:00'
            AND greatest(span_end - to_microseconds(1), span_start) < TIMESTAMP '2024-01-04 00:00:00',
        FALSE
    ) AS in_window_of_end,
    date_diff('day', TIMESTAMP '2024-01-01 00:00:00', TIMESTAMP '2024-01-04 00:00:00' - to_microseconds(1)) AS last_index_of_end,
    TIMESTAMP '2024-01-04 00:00:00' AS last_end_of_end
FROM begun;

-- the part of each span in each window that it overlaps; a span of no length is whole in the window that it lies in (R26)
CREATE OR REPLACE TEMP VIEW window_parts AS
SELECT
    row_id,
    units,
    span_start,
    span_end,
    greatest(span_start, window_start) AS part_start,
    least(span_end, window_end) AS part_end,
    windows.window_index
FROM (
    SELECT
        * EXCLUDE (window_index),
        unnest(range(window_index, coalesce(window_index_of_end, last_index) + 1)) AS touched_index
    FROM ended
) AS touched
JOIN windows ON windows.window_index = touched_index
WHERE (part_start < part_end OR (span_start = span_end AND span_start >= window_start AND span_start < window_end));

-- the parts of a span in the windows it overlaps, and those before, between and behind them, which are parts too (R26)
CREATE OR REPLACE TEMP VIEW cuts AS
WITH in_order AS (
    SELECT
        *,
        coalesce(lag(part_end) OVER by_row, span_start) AS open_from,
        lead(part_start) OVER by_row IS NULL AS is_last
    FROM window_parts
    WINDOW by_row AS (PARTITION BY row_id ORDER BY part_start)
),
listed AS (
    SELECT row_id, units, span_start, span_end, part_start, part_end, window_index
    FROM in_order
    UNION ALL
    SELECT row_id, units, span_start, span_end, open_from, part_start, NULL
    FROM in_order
    WHERE open_from < part_start
    UNION ALL
    SELECT row_id, units, span_start, span_end, part_end, span_end, NULL
    FROM in_order
    WHERE is_last AND part_end < span_end
)
SELECT
    row_id,
    units,
    epoch_us(span_end) - epoch_us(span_start) AS span_us,
    part_start,
    epoch_us(part_end) - epoch_us(part_start) AS part_us,
    window_index
FROM listed;

-- a quantity split over the parts of its span (R26): whole units, then one more for the largest remainders, the earlier first
CREATE OR REPLACE TEMP VIEW portions AS
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
WHERE window_index IS NOT NULL;

-- each part as a value of its window
CREATE OR REPLACE TEMP VIEW values_seen AS
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    portions.window_index AS window_index,
    CASE WHEN part_units IS NOT NULL THEN TRY(
        (CAST(part_units * unit_size AS DECIMAL(38, 0)) * CAST('0.000000000000000001' AS DECIMAL(18, 18)))
    ) END AS quantity,
    1 AS record_count,
    metered_at,
    FALSE AS carried,
    is_part
FROM portions
JOIN spanned USING (row_id);

-- the sum of "gpu-hours", one row per reading
CREATE OR REPLACE TEMP TABLE valued_0 AS
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    window_index,
    CASE WHEN count(quantity) = count(*) THEN sum(unscaled(quantity) // power_of_ten(18)) END AS high,
    CASE WHEN count(quantity) = count(*) THEN sum(unscaled(quantity) % power_of_ten(18)) END AS low,
    count(*) AS divisor,
    CAST(sum(record_count) AS BIGINT) AS record_count,
    bool_or(carried) AS carried,
    bool_or(is_part) AS prorated,
    max(metered_at) AS max_metered_at
FROM values_seen
GROUP BY 1, 2, 3, 4, 5, 6;

CREATE OR REPLACE TEMP TABLE valued_1 AS
WITH
-- each record of a window
values_seen AS (
    SELECT
        workspace_id,
        universe_id,
        subject,
        dimensions,
        'gpus per pod' AS unit,
        window_index,
        CAST(v_2 AS DECIMAL(38, 18)) AS quantity,
        1 AS record_count,
        metered_at,
        FALSE AS carried,
        FALSE AS is_part
    FROM placed
    WHERE status = 'metered' AND v_2 IS NOT NULL AND in_window
),
-- the rank of each value among those of its window, and how many there are: percentiles are read off (R13 needs no tie)
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY workspace_id, universe_id, subject, dimensions, unit, window_index
            ORDER BY quantity
        ) AS value_rank,
        count(*) OVER (
            PARTITION BY workspace_id, universe_id, subject, dimensions, unit, window_index
        ) AS value_count
    FROM values_seen
)
-- the p50-interpolated of "gpus per pod", one row per reading
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    window_index,
    sum(
        (unscaled(quantity) // power_of_ten(18))
            * (
                CASE
                    WHEN value_rank = (value_count - 1) * 1 // 2 + 1 THEN 2 - ((value_count - 1) * 1) % 2
                    WHEN value_rank = (value_count - 1) * 1 // 2 + 1 + 1 THEN ((value_count - 1) * 1) % 2
                    ELSE 0
                END
            )
    ) AS high,
    sum(
        (unscaled(quantity) % power_of_ten(18))
            * (
                CASE
                    WHEN value_rank = (value_count - 1) * 1 // 2 + 1 THEN 2 - ((value_count - 1) * 1) % 2
                    WHEN value_rank = (value_count - 1) * 1 // 2 + 1 + 1 THEN ((value_count - 1) * 1) % 2
                    ELSE 0
                END
            )
    ) AS low,
    2 AS divisor,
    CAST(sum(record_count) AS BIGINT) AS record_count,
    bool_or(carried) AS carried,
    bool_or(is_part) AS prorated,
    max(metered_at) AS max_metered_at
FROM ranked
GROUP BY 1, 2, 3, 4, 5, 6;

CREATE OR REPLACE TEMP TABLE valued_2 AS
WITH
-- each inner max
values_seen AS (
    SELECT
        inner_totals.workspace_id AS workspace_id,
        inner_totals.universe_id AS universe_id,
        inner_totals.subject AS subject,
        CAST(inner_totals.dimensions AS JSON) ->> 0 AS dimensions,
        inner_totals.unit AS unit,
        inner_totals.window_index AS window_index,
        CAST(inner_totals.quantity AS DECIMAL(38, 18)) AS quantity,
        inner_totals.record_count AS record_count,
        inner_totals.max_metered_at AS metered_at,
        inner_totals.carried AS carried,
        inner_totals.prorated AS is_part
    FROM inner_2_totals AS inner_totals
)
-- the sum-of-max of "gpus", one row per reading
SELECT
    workspace_id,
    universe_id,
    subject,
    dimensions,
    unit,
    window_index,
    CASE WHEN count(quantity) = count(*) THEN sum(unscaled(quantity) // power_of_ten(18)) END AS high,
    CASE WHEN count(quantity) = count(*) THEN sum(unscaled(quantity) % power_of_ten(18)) END AS low,
    count(*) AS divisor,
    CAST(sum(record_count) AS BIGINT) AS record_count,
    bool_or(carried) AS carried,
    bool_or(is_part) AS prorated,
    max(metered_at) AS max_metered_at
FROM values_seen
GROUP BY 1, 2, 3, 4, 5, 6;

CREATE OR REPLACE TEMP TABLE readings AS
WITH
-- the sum of "GiB"
counter_0 AS (
    SELECT
        workspace_id,
        universe_id,
        subject,
        CAST(NULL AS VARCHAR) AS dimensions,
        'GiB' AS unit,
        'sum' AS aggregation,
        window_index,
        TRY_CAST(CAST(x_3 AS DECIMAL(38, 9)) AS DECIMAL(38, 18)) AS quantity,
        CAST(NULL AS VARCHAR) AS numerator,
        CAST(NULL AS BIGINT) AS divisor_us,
        n_3 AS record_count,
        FALSE AS carried,
        FALSE AS prorated,
        metered_3 AS max_metered_at,
        CAST(NULL AS TIMESTAMP) AS last_recorded_at,
        CAST(NULL AS TIMESTAMP) AS last_metered_at,
        CAST(NULL AS VARCHAR) AS last_event_id
    FROM counted
    WHERE used AND n_3 > 0
),
-- the sum of "gpu-hours"
value_0 AS (
    SELECT
        workspace_id,
        universe_id,
        subject,
        dimensions,
        unit,
        'sum' AS aggregation,
        window_index,
        TRY_CAST(
            (
                CAST(sum_of_parts(CAST(high AS HUGEINT), CAST(low AS HUGEINT), power_of_ten(18)) AS DECIMAL(38, 0))
                    * CAST('0.000000000000000001' AS DECIMAL(18, 18))
            ) AS DECIMAL(38, 18)
        ) AS quantity,
        CAST(NULL AS VARCHAR) AS numerator,
        CAST(NULL AS BIGINT) AS divisor_us,
        record_count,
        carried,
        prorated,
        max_metered_at,
        CAST(NULL AS TIMESTAMP) AS last_recorded_at,
        CAST(NULL AS TIMESTAMP) AS last_metered_at,
        CAST(NULL AS VARCHAR) AS last_event_id
    FROM valued_0
),
-- each numerator in two parts, the lower one below its base
carried_of_value_1 AS (
    SELECT
        *,
        CAST(high_sum AS HUGEINT) + low_sum // power_of_ten(18) AS high_carried,
        low_sum % power_of_ten(18) AS low_carried,
        power_of_ten(18) AS base,
        CAST(divided_by AS HUGEINT) AS divisor
    FROM (SELECT * RENAME (high AS high_sum, low AS low_sum, divisor AS divided_by) FROM valued_1)
),
-- each numerator as high × base + low, both parts of one sign (R15)
numerators_of_value_1 AS (
    WITH carried AS (SELECT * FROM carried_of_value_1)
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
),
-- numerator / divisor in whole numbers, where the numerator is too long for one: quotient and remainder (R15)
divided_of_value_1 AS (
    WITH numerators AS (SELECT * FROM numerators_of_value_1),
    positive AS (
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
),
-- a quotient to as many digits as a result has, rounded once (R16)
averages_of_value_1 AS (
    WITH divided AS (
        SELECT *, 0 AS more_digits, power_of_ten(0) AS first_step, power_of_ten(0) AS second_step,
            power_of_ten(0) AS dropped, power_of_ten(38) AS quotient_max, 'half-even' AS rounding
        FROM divided_of_value_1
    ),
    first_digits AS (
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
),
-- the p50-interpolated of "gpus per pod"
value_1 AS (
    SELECT
        workspace_id,
        universe_id,
        subject,
        dimensions,
        unit,
        'p50-interpolated' AS aggregation,
        window_index,
        TRY_CAST((CAST(rounded AS DECIMAL(38, 0)) * CAST('0.000000000000000001' AS DECIMAL(18, 18))) AS DECIMAL(38, 18)) AS quantity,
        CAST(NULL AS VARCHAR) AS numerator,
        CAST(NULL AS BIGINT) AS divisor_us,
        record_count,
        carried,
        prorated,
        max_metered_at,
        CAST(NULL AS TIMESTAMP) AS last_recorded_at,
        CAST(NULL AS TIMESTAMP) AS last_metered_at,
        CAST(NULL AS VARCHAR) AS last_event_id
    FROM averages_of_value_1
),
-- the sum-of-max of "gpus"
value_2 AS (
    SELECT
        workspace_id,
        universe_id,
        subject,
        dimensions,
        unit,
        'sum-of-max by node' AS aggregation,
        window_index,
        TRY_CAST(
            (
                CAST(sum_of_parts(CAST(high AS HUGEINT), CAST(low AS HUGEINT), power_of_ten(18)) AS DECIMAL(38, 0))
                    * CAST('0.000000000000000001' AS DECIMAL(18, 18))
            ) AS DECIMAL(38, 18)
        ) AS quantity,
        CAST(NULL AS VARCHAR) AS numerator,
        CAST(NULL AS BIGINT) AS divisor_us,
        record_count,
        carried,
        prorated,
        max_metered_at,
        CAST(NULL AS TIMESTAMP) AS last_recorded_at,
        CAST(NULL AS TIMESTAMP) AS last_metered_at,
        CAST(NULL AS VARCHAR) AS last_event_id
    FROM valued_2
),
-- counters, gauges and the others, one row per reading
totals AS (
    SELECT * FROM counter_0
    UNION ALL
    SELECT * FROM value_0
    UNION ALL
    SELECT * FROM value_1
    UNION ALL
    SELECT * FROM value_2
),
-- a reading with its identity (R21), its window, and the exact state that lets it combine with its neighbours (R20)
readings AS (
    WITH bounds AS (
        SELECT
            window_index,
            zone,
            make_timestamptz(epoch_us(window_start)) AS window_start,
            make_timestamptz(epoch_us(window_end)) AS window_end,
            encoded(CAST(epoch_us(window_start) AS VARCHAR)) || encoded(CAST(epoch_us(window_end) AS VARCHAR)) AS encoded_bounds
        FROM windows
    ),
    bounded AS (
        SELECT
            *,
            encoded(aggregation) || CASE WHEN split_part(aggregation, ' ', 2) = 'per' THEN encoded(zone) ELSE '' END AS encoded_aggregation,
            CASE
                WHEN dimensions IS NULL THEN MAP([]::VARCHAR[], []::VARCHAR[])
                ELSE CAST(CAST(dimensions AS JSON) AS MAP(VARCHAR, VARCHAR))
            END AS grouped_by
        FROM totals
        JOIN bounds USING (window_index)
    )
    SELECT
        digest(
            encoded(workspace_id) || encoded(universe_id) || encoded(subject) || encoded(unit) || encoded_aggregation || encoded_bounds
            || coalesce(array_to_string(list_transform(map_entries(grouped_by), lambda e: encoded(e.key) || encoded(e.value)), ''), '')
            || ''
        ) AS id,
        workspace_id,
        universe_id,
        subject,
        unit,
        split_part(aggregation, ' ', 1) AS aggregation,
        window_start,
        window_end,
        grouped_by AS dimensions,
        quantity,
        CAST(record_count AS BIGINT) AS record_count,
        make_timestamptz(epoch_us(max_metered_at)) AS max_metered_at,
        TIMESTAMP '2024-06-01 00:00:00' AT TIME ZONE 'UTC' AS created_at,
        numerator,
        divisor_us,
        carried,
        make_timestamptz(epoch_us(last_recorded_at)) AS last_recorded_at,
        make_timestamptz(epoch_us(last_metered_at)) AS last_metered_at,
        last_event_id,
        prorated
    FROM bounded
)
SELECT * FROM readings;

-- the readings, in the order of their keys
SELECT *
FROM readings
ORDER BY universe_id, workspace_id NULLS FIRST, subject, unit, aggregation, window_start, id;
