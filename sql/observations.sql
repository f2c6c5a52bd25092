-- why: a bundled record as one row per observation; a record without one is a row too, so that it can be rejected
-- reads: parsed(object VARCHAR)
-- yields: object VARCHAR, bundled BOOLEAN, listed JSON[], has_window BOOLEAN, observed_twice BOOLEAN,
--     observed VARCHAR[], place_text VARCHAR
-- params:
WITH found AS (
    SELECT
        *,
        json_type(object, '/observations') IS NOT DISTINCT FROM 'ARRAY' AS bundled,
        CASE
            WHEN json_type(object, '/observations') IS DISTINCT FROM 'ARRAY' THEN CAST([] AS JSON[])
            WHEN has_fragile_number(object) AND NOT has_number_mark(object)
                THEN CAST(json_extract(marked_numbers(object), '/observations') AS JSON[])
            ELSE CAST(json_extract(object, '/observations') AS JSON[])
        END AS listed
    FROM parsed
),
unnested AS (
    SELECT
        *,
        unnest(CASE WHEN len(listed) > 0 THEN listed ELSE [NULL] END) AS observation,
        unnest(range(1, greatest(len(listed), 1) + 1)) AS place
    FROM found
),
texts AS (
    SELECT
        *,
        json_extract_string(
            observation,
            ['/quantity', '/unit', '/aggregation', '/window/start', '/window/end', '/value']
        ) AS marked
    FROM unnested
)
SELECT
    * EXCLUDE (observation, place, marked),
    coalesce(json_type(observation, '/window') IS NOT NULL, FALSE) AS has_window,
    CASE
        WHEN observation IS NOT NULL
            THEN list_bool_or(list_transform(
                json_keys(observation, ['', '/window']),
                lambda found: has_twice(found)
            ))
        ELSE FALSE
    END AS observed_twice,
    CASE
        WHEN observation IS NULL THEN CAST([NULL, NULL, NULL, NULL, NULL, NULL] AS VARCHAR[])
        WHEN has_fragile_number(object) AND NOT has_number_mark(object)
            THEN list_transform(marked, lambda value: unmarked(value))
        ELSE marked
    END AS observed,
    CASE WHEN bundled THEN '[' || CAST(place AS VARCHAR) || ']' ELSE '' END AS place_text
FROM texts
