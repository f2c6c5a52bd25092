-- events metered into bundles: one record per event with all it measured, what is left as dimensions (R6)
-- Made by metering-duck. Runs as it stands in the DuckDB shell. What runs is each table, and the query at the end, as one statement, its
-- stages in WITH; here the stages that several begin with stand once, as views: the rows are the same.
SET TimeZone = 'UTC';

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
-- are metered_at, 13 is p_0, 14 is p_1, 15 is p_2, 16 is p_3, 17 is p_0 without an object, 18 is p_1 without an object, 19 is p_2 without
-- an object, 20 is p_3 without an object.
CREATE OR REPLACE TEMP VIEW parsed AS
SELECT
    *,
    json_texts(
        object,
        [
            '/workspaceID', '/workspace_id', '/workspaceId', '/universeID', '/universe_id', '/universeId', '/id', '/type', '/subject',
            '/time', '/meteredAt', '/metered_at', '/properties/images', '/properties/input_tokens', '/properties/kind',
            '/properties/output_tokens', '/images', '/input_tokens', '/kind', '/output_tokens'
        ]
    ) AS texts
FROM objects;

-- its fields under one name each, its times in UTC microseconds (R11)
-- p_N is the text of property N: 0 is "images", 1 is "input_tokens", 2 is "kind", 3 is "output_tokens".
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
    if(json_type(object, '/properties') = 'OBJECT', texts[13], texts[17]) AS p_0,
    if(json_type(object, '/properties') = 'OBJECT', texts[14], texts[18]) AS p_1,
    if(json_type(object, '/properties') = 'OBJECT', texts[15], texts[19]) AS p_2,
    if(json_type(object, '/properties') = 'OBJECT', texts[16], texts[20]) AS p_3,
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
-- Slot 0 is "input_tokens" in "input-tokens": measurements[0].
-- Slot 1 is "output_tokens" in "output-tokens", sum: measurements[1].
-- Slot 2 is "images" in "images": measurements[2].
-- a_N says whether slot N applies; q_N is its text, q_N_M that of its Mth property.
CREATE OR REPLACE TEMP VIEW projected AS
SELECT
    *,
    (entry IS NOT DISTINCT FROM 0) AS a_0,
    CASE WHEN entry IS NOT DISTINCT FROM 0 THEN p_1 END AS q_0,
    (entry IS NOT DISTINCT FROM 0) AS a_1,
    CASE WHEN entry IS NOT DISTINCT FROM 0 THEN p_3 END AS q_1,
    (entry IS NOT DISTINCT FROM 0 AND p_2 IS NOT DISTINCT FROM 'image') AS a_2,
    CASE WHEN entry IS NOT DISTINCT FROM 0 AND p_2 IS NOT DISTINCT FROM 'image' THEN p_0 END AS q_2,
    CAST(NULL AS VARCHAR) AS dimensions
FROM matched;

-- each quantity's text as a DECIMAL, exactly or not at all (R4, R5): first the texts of plain digits
-- v_N is its value as a DECIMAL, NULL where there is none.
CREATE OR REPLACE TEMP VIEW plain AS
SELECT
    *,
    CASE WHEN is_plain_number(q_0, 18) THEN TRY_CAST(q_0 AS DECIMAL(38, 18)) END AS v_0,
    CASE WHEN is_plain_number(q_1, 18) THEN TRY_CAST(q_1 AS DECIMAL(38, 18)) END AS v_1,
    CASE WHEN is_plain_number(q_2, 18) THEN TRY_CAST(q_2 AS DECIMAL(38, 18)) END AS v_2
FROM projected;

-- quantities in other spellings, such as 1e3, written in plain digits
-- respelled[N] is the Nth of the texts that are listed here, NULL where that is no quantity.
CREATE OR REPLACE TEMP VIEW respelled AS
SELECT
    *,
    CASE
        WHEN (q_0 IS NOT NULL AND v_0 IS NULL AND is_quantity(q_0))
            OR (q_1 IS NOT NULL AND v_1 IS NULL AND is_quantity(q_1))
            OR (q_2 IS NOT NULL AND v_2 IS NULL AND is_quantity(q_2))
            THEN list_transform([q_0, q_1, q_2], lambda t: quantity_respelled(t))
        ELSE CAST([] AS VARCHAR[])
    END AS respelled
FROM plain;

-- the quantities in other spellings as DECIMALs too, where they fit
CREATE OR REPLACE TEMP VIEW quantified AS
SELECT * EXCLUDE (respelled) REPLACE (
    coalesce(
        v_0,
        CASE WHEN regexp_full_match(respelled[1], '-?[0-9]{1,20}(\.[0-9]{1,18})?') THEN TRY_CAST(respelled[1] AS DECIMAL(38, 18)) END
    ) AS v_0,
    coalesce(
        v_1,
        CASE WHEN regexp_full_match(respelled[2], '-?[0-9]{1,20}(\.[0-9]{1,18})?') THEN TRY_CAST(respelled[2] AS DECIMAL(38, 18)) END
    ) AS v_1,
    coalesce(
        v_2,
        CASE WHEN regexp_full_match(respelled[3], '-?[0-9]{1,20}(\.[0-9]{1,18})?') THEN TRY_CAST(respelled[3] AS DECIMAL(38, 18)) END
    ) AS v_2
)
FROM respelled;

-- an event is metered, unmatched or rejected as a whole (R3, R9)
CREATE OR REPLACE TEMP VIEW judged AS
SELECT
    *,
    CASE
        WHEN entry = 0 AND a_0 AND v_0 IS NULL THEN 0
        WHEN entry = 0 AND a_1 AND v_1 IS NULL THEN 1
        WHEN entry = 0 AND a_2 AND v_2 IS NULL THEN 2
    END AS faulty,
    CASE
        WHEN reason IS NOT NULL OR faulty IS NOT NULL THEN 'rejected'
        WHEN entry IS NULL THEN 'unmatched-entry'
        WHEN NOT (a_0 OR a_1 OR a_2) THEN 'unmatched-filter'
        ELSE 'metered'
    END AS status
FROM quantified;

-- which rows make readings: metered, of a subject that is asked for, inside a window
CREATE OR REPLACE TEMP VIEW windowed AS
SELECT *, FALSE AS used
FROM judged;

-- one scan: what became of every event, and the counters of each subject and window
CREATE OR REPLACE TEMP TABLE counted AS
SELECT
    used,
    CASE WHEN NOT used THEN status END AS status,
    count(*) AS events,
    count(*) FILTER (time_cut) AS times_cut,
    count(*) FILTER (time_naive) AS times_naive
FROM windowed
GROUP BY 1, 2;

-- what each metered event measured, and the dimensions that are left (R6)
CREATE OR REPLACE TEMP VIEW observed AS
SELECT
    *,
    list_filter(
        CASE entry WHEN 0 THEN [
            CASE WHEN a_0 THEN {
                'quantity': CAST(v_0 AS DECIMAL(38, 18)),
                'unit': 'input-tokens',
                'aggregation': CAST(NULL AS VARCHAR),
                'measurement': '12:input_tokens12:input-tokens',
                'window_start': CAST(NULL AS TIMESTAMP),
                'window_end': CAST(NULL AS TIMESTAMP),
                'value': CAST(NULL AS VARCHAR)
            } END,
            CASE WHEN a_1 THEN {
                'quantity': CAST(v_1 AS DECIMAL(38, 18)),
                'unit': 'output-tokens',
                'aggregation': 'sum',
                'measurement': '13:output_tokens13:output-tokens',
                'window_start': CAST(NULL AS TIMESTAMP),
                'window_end': CAST(NULL AS TIMESTAMP),
                'value': CAST(NULL AS VARCHAR)
            } END,
            CASE WHEN a_2 THEN {
                'quantity': CAST(v_2 AS DECIMAL(38, 18)),
                'unit': 'images',
                'aggregation': CAST(NULL AS VARCHAR),
                'measurement': '6:images6:images4:kind5:image',
                'window_start': CAST(NULL AS TIMESTAMP),
                'window_end': CAST(NULL AS TIMESTAMP),
                'value': CAST(NULL AS VARCHAR)
            } END
        ] END,
        lambda o: o IS NOT NULL
    ) AS observations,
    map_from_entries(
        list_filter(
            map_entries(properties),
            lambda e: NOT list_contains(CASE entry WHEN 0 THEN ['images', 'input_tokens', 'output_tokens'] END, e.key)
        )
    ) AS rest
FROM judged
WHERE status = 'metered';

-- one record per event, with all that was measured of it in one list
SELECT
    id,
    workspace_id,
    universe_id,
    subject,
    recorded_at AT TIME ZONE 'UTC' AS recorded_at,
    list_transform(
        observations,
        lambda o: {
            'quantity': o.quantity,
            'unit': o.unit,
            'aggregation': o.aggregation,
            'window': {
                'start': coalesce(o.window_start, recorded_at) AT TIME ZONE 'UTC',
                'end': coalesce(o.window_end, recorded_at) AT TIME ZONE 'UTC'
            },
            'value': o.value
        }
    ) AS observations,
    rest AS dimensions,
    event_id AS source_event_id,
    metered_at AT TIME ZONE 'UTC' AS metered_at
FROM observed
ORDER BY workspace_id, universe_id, observed.id;
