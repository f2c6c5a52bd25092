"""Faults: what a ledger's tables say of one another, as queries with one row for each thing that does not fit.

Each row says where, and what was found. NULL is never equal to a value, and sums are too wide to overflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from metering_duck.ledger.level_digests import EMPTY_LEVELS
from metering_duck.ledger.runs import BOOKS
from metering_duck.runs.books import SHOWN_BOOKS

# What every run has that is done, and none that has failed.
RESULTS = ("readings_sha256", "readings_of", "readings", "quantity_type", *BOOKS)
KINDS = ("backfill", "rerun", "simulation", "levels")
# A quantity as plain text (R17).
PLAIN = r"'-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?'"
DONE = "(SELECT * FROM runs WHERE status = 'done')"
HOLDERS = "SELECT run_id FROM runs WHERE status = 'done' AND readings_of = run_id"


def _sum(columns: Iterable[str]) -> str:
    return " + ".join(f"CAST({column} AS HUGEINT)" for column in columns)


def _shown(value: str) -> str:
    return f"coalesce(CAST({value} AS VARCHAR), 'nothing')"


def _where(columns: Sequence[str], condition: str) -> str:
    """SQL for the names of the columns of which a condition holds."""
    named = ", ".join(f"CASE WHEN {name} {condition} THEN '{name}' END" for name in columns)
    return f"concat_ws(', ', {named})"


def _orphans(table: str, column: str, of: str) -> str:
    """Rows of a table that belong to something that is not there."""
    return (
        f"SELECT '{table}', 'the {column} ' || {_shown(column)} || ' is not there; rows of it: ' || count(*) "
        f"FROM (SELECT CAST({column} AS VARCHAR) AS {column} FROM {table} ANTI JOIN ({of}) AS known(known_id) "
        f"ON known_id = {table}.{column}) GROUP BY {column} ORDER BY ALL"
    )


def _gaps(table: str, column: str, word: str) -> str:
    """Numbers that were given and are not there: they are given one after another, and nothing is taken away."""
    before = f"SELECT {column}, coalesce(lag({column}) OVER (ORDER BY {column}), 0) AS before FROM {table}"
    return f"SELECT '{word} ' || (before + 1), 'is not there' FROM ({before}) WHERE {column} - before <> 1"


def _of_period(one: str, other: str) -> str:
    """Whether two rows are of one period."""
    return f"({one}.period_start = {other}.period_start AND {one}.period_end = {other}.period_end)"


BALANCE = _sum(name for name in SHOWN_BOOKS if name != "read")
PLACED = "CAST(rows_without_time AS HUGEINT) + coalesce(sum(events), 0)"

BOOKS_FAULTS = (
    f"SELECT 'run ' || run_id, {_shown('read')} || ' read, ' || {_shown(BALANCE)} || ' accounted for' FROM {DONE} "
    f"WHERE read IS DISTINCT FROM {BALANCE}",
    f"SELECT 'run ' || run_id, {_shown('unmatched')} || ' unmatched, for other reasons' FROM {DONE} "
    f"WHERE unmatched IS DISTINCT FROM {_sum(('unmatched_entry', 'unmatched_filter'))}",
    f"SELECT 'run ' || run_id, 'less than nothing: ' || {_where(BOOKS, '< 0')} FROM {DONE} "
    f"WHERE {_where(BOOKS, '< 0')} <> ''",
)
RUN_FAULTS = (
    _gaps("runs", "run_id", "run"),
    "SELECT 'run ' || run_id, 'is of the kind ' || kind || ' and the status ' || status FROM runs "
    f"WHERE kind NOT IN {KINDS} OR status NOT IN ('done', 'failed')",
    f"SELECT 'run ' || run_id, 'is done and lacks ' || {_where(RESULTS, 'IS NULL')} FROM {DONE} "
    f"WHERE {_where(RESULTS, 'IS NULL')} <> ''",
    f"SELECT 'run ' || run_id, 'has failed, and has ' || {_where(RESULTS, 'IS NOT NULL')} FROM runs "
    f"WHERE status = 'failed' AND {_where(RESULTS, 'IS NOT NULL')} <> ''",
    "SELECT 'run ' || run_id, 'is ' || status || CASE WHEN message IS NULL THEN ' and does not say why' "
    "ELSE ' and says why not' END FROM runs WHERE (message IS NULL) IS DISTINCT FROM (status = 'done')",
    "SELECT 'run ' || run_id, 'is of the kind ' || kind || ' and has readings, or none' FROM "
    f"{DONE} WHERE (kind = 'levels') IS DISTINCT FROM (readings_sha256 = '') "
    f"OR (kind = 'levels' AND (readings <> 0 OR {_sum(BOOKS)} <> 0 OR levels_sha256 IS NULL))",
    "SELECT 'run ' || run_id, 'holds its readings as ' || quantity_type || ', which is no type' FROM "
    rf"{DONE} WHERE NOT regexp_full_match(quantity_type, 'VARCHAR|DECIMAL\([0-9]{{1,2}}, ?[0-9]{{1,2}}\)')",
    # A run that has the readings of an earlier run is made of the same.
    f"SELECT 'run ' || runs.run_id, 'has the readings of run ' || {_shown('runs.readings_of')} || ', which has others, "
    f"or none' FROM {DONE} AS runs LEFT JOIN {DONE} AS holder ON holder.run_id = runs.readings_of "
    "WHERE holder.run_id IS NULL OR holder.run_id > runs.run_id OR holder.readings_of IS DISTINCT FROM holder.run_id "
    f"OR NOT {_of_period('runs', 'holder')} OR (runs.readings > 0 AND runs.clock <> holder.clock) OR "
    + " OR ".join(
        f"runs.{name} IS DISTINCT FROM holder.{name}"
        for name in ("readings_sha256", "inputs_sha256", "levels_sha256", "readings", "rejected", "conflicts")
    ),
    "SELECT 'run ' || run_id, count(*) || ' readings that were not made at its clock' FROM readings "
    "JOIN runs USING (run_id) WHERE created_at IS DISTINCT FROM clock GROUP BY run_id",
    "SELECT 'run ' || run_id, count(*) || ' levels without a digest' FROM levels JOIN runs USING (run_id) "
    "WHERE levels_sha256 IS NULL GROUP BY run_id",
    "SELECT 'run ' || runs.run_id, 'begins with levels that run ' || "
    f"{_shown('runs.levels_before_run_id')} || ' does not end with' FROM {DONE} AS runs "
    f"LEFT JOIN {DONE} AS before ON before.run_id = runs.levels_before_run_id WHERE "
    f"CASE WHEN runs.levels_before_run_id IS NULL THEN runs.levels_before_sha256 <> '{EMPTY_LEVELS}' "
    "ELSE before.levels_sha256 IS DISTINCT FROM runs.levels_before_sha256 OR before.period_end > runs.period_start END",
    "SELECT 'run ' || run_id, 'holds under files of the digest ' || left(history_sha256, 80) || ', which is none' "
    "FROM run_histories WHERE NOT regexp_full_match(history_sha256, '[0-9a-f]{64}')",
    "SELECT 'run ' || run_id, 'file ' || file_id || ' is a day of a table or a file, and was read as the other' FROM "
    "run_files JOIN source_files USING (file_id) WHERE "
    "(versioned_path IS NULL) = regexp_matches(path, '^(delta|iceberg)://')",
)
FILE_FAULTS = (
    _gaps("source_files", "file_id", "file"),
    f"SELECT path, {_shown('rows')} || ' rows, ' || {_shown(PLACED)} || ' accounted for' FROM source_files "
    "LEFT JOIN source_hours USING (file_id) GROUP BY file_id, path, rows, rows_without_time "
    f"HAVING rows IS DISTINCT FROM {PLACED} OR rows_without_time < 0",
    "SELECT path, 'events from ' || coalesce(CAST(source_files.first_recorded_at AS VARCHAR), 'no moment') || ' to ' "
    "|| coalesce(CAST(source_files.last_recorded_at AS VARCHAR), 'no moment') || ', and its hours say otherwise' "
    "FROM source_files LEFT JOIN source_hours USING (file_id) "
    "GROUP BY file_id, path, source_files.first_recorded_at, source_files.last_recorded_at "
    "HAVING make_timestamptz(epoch_us(min(source_hours.first_recorded_at))) "
    "IS DISTINCT FROM source_files.first_recorded_at OR "
    "make_timestamptz(epoch_us(max(source_hours.last_recorded_at))) IS DISTINCT FROM source_files.last_recorded_at",
    "SELECT path, 'the hour ' || hour || ' with events of other hours, or none, or twice' FROM "
    "(SELECT *, count(*) OVER (PARTITION BY file_id, hour) AS times FROM source_hours) AS hours "
    "JOIN source_files USING (file_id) WHERE times > 1 OR events < 1 OR hours.first_recorded_at > "
    "hours.last_recorded_at OR date_trunc('hour', hours.first_recorded_at) <> hour "
    "OR date_trunc('hour', hours.last_recorded_at) <> hour",
    "SELECT path, 'is there ' || count(*) || ' times' FROM source_files WHERE gone_at IS NULL GROUP BY path "
    "HAVING count(*) > 1",
    "SELECT path, 'was gone before it was seen' FROM source_files WHERE gone_at < entered_at",
    "SELECT 'rejects of run 0', here || ' there, ' || of_files || ' events of files have no time' FROM "
    "(SELECT count(*) AS here FROM rejects WHERE run_id = 0), "
    "(SELECT coalesce(sum(rows_without_time), 0) AS of_files FROM source_files) WHERE here <> of_files",
)
PERIOD_FAULTS = (
    *(
        f"SELECT name, '{words} ' || {column} || ' is not there, or is none of this period' FROM periods "
        f"LEFT JOIN {DONE} AS runs ON runs.run_id = {column} AND {_of_period('runs', 'periods')} "
        f"AND kind IN ('backfill', 'rerun') WHERE {column} IS NOT NULL AND runs.run_id IS NULL"
        for column, words in (("periods.run_id", "its run"), ("closed_run_id", "the run it was closed with,"))
    ),
    "SELECT name, 'is closed by half' FROM periods WHERE (closed_at IS NULL) <> (closed_by IS NULL) "
    "OR (closed_at IS NULL) <> (closed_run_id IS NULL)",
    f"SELECT 'run ' || run_id, 'is a backfill of a period that is not there' FROM {DONE} AS runs ANTI JOIN periods "
    f"ON {_of_period('runs', 'periods')} WHERE kind = 'backfill'",
    "SELECT name, 'run ' || max(runs.run_id) || ' came after the run that counts' FROM periods "
    f"JOIN {DONE} AS runs ON {_of_period('runs', 'periods')} WHERE kind = 'backfill' GROUP BY name, periods.run_id, "
    "closed_run_id HAVING max(runs.run_id) > coalesce(closed_run_id, periods.run_id)",
    # Each booking leads from readings to others: the way begins where the period was closed, and ends at what counts.
    """
    WITH steps AS (
        SELECT period_start, period_end, unnest([old_run_id, new_run_id]) AS run_id, unnest([1, -1]) AS step
        FROM restatements WHERE booked_at IS NOT NULL
        UNION ALL
        SELECT period_start, period_end, unnest([coalesce(closed_run_id, run_id), run_id]), unnest([-1, 1]) FROM periods
        WHERE closed_at IS NOT NULL
    )
    SELECT coalesce(any_value(name), 'a restatement'), 'its bookings do not lead from the run it was closed with to '
        || 'the one that counts'
    FROM (
        SELECT period_start, period_end, readings_sha256, sum(step) AS steps FROM steps
        LEFT JOIN (SELECT run_id, readings_sha256 FROM runs) USING (run_id) GROUP BY ALL HAVING sum(step) <> 0
    )
    LEFT JOIN periods USING (period_start, period_end)
    GROUP BY period_start, period_end ORDER BY ALL
    """,
    "SELECT name, 'run ' || run_id || ' counts, and was neither closed with nor booked' FROM periods "
    "WHERE closed_at IS NOT NULL AND run_id <> closed_run_id AND run_id NOT IN "
    "(SELECT new_run_id FROM restatements WHERE booked_at IS NOT NULL)",
    "SELECT restatement_id, 'is booked by half' FROM restatements WHERE (booked_at IS NULL) <> (booked_by IS NULL)",
    *(
        f"SELECT restatement_id, 'run ' || {column} || ' is not there, or is none of its period' FROM restatements "
        f"LEFT JOIN {DONE} AS runs ON runs.run_id = {column} AND {_of_period('runs', 'restatements')} "
        "WHERE runs.run_id IS NULL"
        for column in ("old_run_id", "new_run_id")
    ),
)
DONE_RUNS = "SELECT run_id FROM runs WHERE status = 'done'"
FILES = "SELECT file_id FROM source_files"
CONFIGS = "SELECT config_sha256 FROM configs"
REFERENCE_FAULTS = (
    "SELECT 'ledger', count(*) || ' rows' FROM ledger HAVING count(*) <> 1",
    *(_orphans(table, "run_id", HOLDERS) for table in ("readings", "levels", "conflicts")),
    _orphans("rejects", "run_id", f"{HOLDERS} UNION ALL SELECT 0"),
    *(_orphans(table, "run_id", DONE_RUNS) for table in ("run_files", "run_histories")),
    *(_orphans(table, "file_id", FILES) for table in ("run_files", "source_hours", "repeated_rows")),
    *(_orphans(table, "config_sha256", CONFIGS) for table in ("runs", "config_versions")),
    *(
        _orphans(table, "restatement_id", "SELECT restatement_id FROM restatements")
        for table in ("adjustments", "causes")
    ),
    "SELECT 'config_versions', 'run ' || run_id || ' has a config that was not in force' FROM runs "
    "WHERE kind = 'backfill' AND status = 'done' AND NOT EXISTS (FROM config_versions AS known "
    "WHERE known.config_sha256 = runs.config_sha256 AND effective_from <= period_start)",
)
QUANTITY_FAULTS = (
    f"""
    WITH typed AS (
        SELECT run_id, CAST(nullif(regexp_extract(quantity_type, '([0-9]+), ?([0-9]+)', 1), '') AS INTEGER) AS digits,
            CAST(nullif(regexp_extract(quantity_type, '([0-9]+), ?([0-9]+)', 2), '') AS INTEGER) AS scale
        FROM runs WHERE status = 'done'
    ),
    parts AS (
        SELECT run_id, id, quantity, numerator, digits, scale, ltrim(split_part(quantity, '.', 1), '-') AS whole,
            split_part(quantity, '.', 2) AS fraction
        FROM readings LEFT JOIN typed USING (run_id)
    )
    SELECT 'run ' || run_id || ', reading ' || id, 'the quantity ' || left(coalesce(quantity, 'NULL'), 80)
        || coalesce(' and the numerator ' || left(numerator, 80), '') || '; expected plain numbers that the type of '
        || 'its run holds'
    FROM parts
    WHERE NOT regexp_full_match(quantity, {PLAIN}) OR quantity = '-0' OR NOT regexp_full_match(numerator, {PLAIN})
        OR length(fraction) > scale OR (whole <> '0' AND length(whole) > digits - scale)
    ORDER BY ALL
    """,
    f"""
    SELECT restatement_id || ' ' || reading_id, left(concat_ws(', ', old, new, delta), 160)
        || '; expected plain numbers'
    FROM adjustments
    WHERE NOT regexp_full_match(delta, {PLAIN}) OR NOT regexp_full_match(old, {PLAIN})
        OR NOT regexp_full_match(new, {PLAIN})
    ORDER BY ALL
    """,
)
EXPLAINED_FAULTS = (
    """
    WITH by_cause AS (
        SELECT restatement_id, reading_id, cause, count(event_id) AS events FROM causes GROUP BY ALL
    ),
    in_words AS (
        SELECT restatement_id, reading_id, sum(events) AS events,
            string_agg(cause || CASE WHEN events > 0 THEN ' ' || events ELSE '' END, ', ' ORDER BY cause) AS why
        FROM by_cause GROUP BY ALL
    )
    SELECT restatement_id || ' ' || reading_id, 'its causes are ' || coalesce(in_words.why, 'none') || ', and not '
        || coalesce(adjustments.why, 'none')
    FROM adjustments FULL JOIN in_words USING (restatement_id, reading_id)
    WHERE coalesce(in_words.why, '') IS DISTINCT FROM adjustments.why
        OR coalesce(in_words.events, 0) IS DISTINCT FROM adjustments.events
    ORDER BY ALL
    """,
)


def _counted(table: str, column: str) -> tuple[str, ...]:
    """The rows of each run, as it counts them."""
    there = (
        f"SELECT runs.run_id, count({table}.run_id) AS there FROM runs LEFT JOIN {table} "
        f"ON {table}.run_id = runs.readings_of GROUP BY runs.run_id"
    )
    return (
        f"SELECT 'run ' || run_id, {_shown(column)} || ' said, ' || there || ' there' FROM {DONE} AS runs "
        f"JOIN ({there}) USING (run_id) WHERE {column} IS DISTINCT FROM there",
    )


# Name of a check → its queries.
FAULTS: dict[str, tuple[str, ...]] = {
    "runs": RUN_FAULTS,
    "books": BOOKS_FAULTS,
    **{
        f"{table} counted": _counted(table, column)
        for table, column in (("readings", "readings"), ("rejects", "rejected"), ("conflicts", "conflicts"))
    },
    "quantities": QUANTITY_FAULTS,
    "events of files": FILE_FAULTS,
    "periods": PERIOD_FAULTS,
    "rows without an owner": REFERENCE_FAULTS,
    "causes": EXPLAINED_FAULTS,
}
