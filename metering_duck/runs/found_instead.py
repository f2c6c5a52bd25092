"""Found instead: what a run was asked for that no event has, and what its events have in place of it.

A run in which something is found costs nothing: the books and the readings say whether anything is missing, and only
then the input is looked at once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from metering_duck.contract.config import Entry, MeteringConfig
from metering_duck.contract.times import format_time
from metering_duck.errors import first_few, nearest
from metering_duck.inputs.layout import property_column
from metering_duck.readings.counters import BITS, noted_columns
from metering_duck.runs.books import counted_noun
from metering_duck.runs.sight import Row, Sight
from metering_duck.statements.quote import literal
from metering_duck.statements.select import select
from metering_duck.statements.stages import Query, Stage

VALUES_MAX = 1_000
OPTIONS = {"workspace_id": "workspace", "universe_id": "universe", "type": "event-type"}
# What readings are by in any case → the name by which people may ask for it.
ALREADY = {"subject": "subject", "workspace_id": "workspace", "universe_id": "universe"}
SPAN = {"events": "count(*)", "first_at": "min(recorded_at)", "last_at": "max(recorded_at)"}


def found_instead(sight: Sight) -> list[str]:
    """What was asked for and is not there, a sentence each; no sentence where all is."""
    if sight.books.read == 0:
        return _nothing_read(sight)
    notices = _unseen_names(sight)
    if not sight.makes_readings:
        notices += _unrenamed(sight, _noted_universes(sight))
    if sight.books.metered == 0:
        return notices + _nothing_metered(sight)
    if not sight.makes_readings:
        return notices
    there = sight.opened.engine.rows("SELECT DISTINCT universe_id FROM readings")
    notices += _unrenamed(sight, {row[0] for row in there})
    missing = _subjects_without_readings(sight)
    if missing:
        notices += _of_subjects(sight, missing)
    if not sight.opened.engine.rows("SELECT 1 FROM readings WHERE record_count > 0 OR carried LIMIT 1"):
        return notices or _outside(sight)
    return notices + _ungrouped(sight)


# --- names that no event has -----------------------------------------------------------------------------------------


def _nothing_read(sight: Sight) -> list[str]:
    """Why no row was read: a name that no event has, a cut-off, or a time that is out of reach."""
    opened = sight.opened
    if opened.is_elsewhere:
        return [f"input: found no {sight.noun}{_asked(sight)}."]
    if opened.history is not None and not _asked(sight):
        # Periods without an event are nothing special in a ledger, which knows the times of its files.
        return [f"{_nothing_in_window(sight)}."]
    around = _around(sight)
    if not around:
        return [f"input: found no {sight.noun}."]
    asked = {column: names for column, (_, names) in opened.selection.columns.items() if names}
    notices: list[str] = []
    for column, names in asked.items():
        if not {row[column] for row in around} & set(names):
            notices += _missing_names(sight, column, names, around)
    return notices or _not_together(sight, asked, around)


def _not_together(sight: Sight, asked: Mapping[str, Sequence[str]], around: Sequence[Row]) -> list[str]:
    """Why no row was read where each name has rows: not of all names together, not entered yet, or out of reach."""
    left = [row for row in around if all(row[column] in names for column, names in asked.items())]
    if not left:
        options = " and ".join(OPTIONS[column] for column in asked)
        return [f"{options}: each is there, but no {sight.noun} has them together."]
    as_of = sight.opened.question.as_of
    entered = [row["entered_at"] for row in left if row["entered_at"] is not None]
    if as_of is not None and entered and _utc(min(entered)) > as_of:
        when = format_time(_utc(min(entered)))
        return [f"as-of: nothing had entered by {format_time(as_of)}; the first {sight.noun} entered at {when}."]
    return _outside(sight, left)


def _asked(sight: Sight) -> str:
    """The names that were asked for, as the end of a sentence."""
    asked = [
        f"{OPTIONS[column]} {first_few(map(repr, names))}"
        for column, (_, names) in sight.opened.selection.columns.items()
        if names
    ]
    return f" of the {' and '.join(asked)}" if asked else ""


def _around(sight: Sight) -> list[Row]:
    """How many rows the input has of each workspace, universe and type, whatever is asked for, and of which times."""
    with ExitStack() as stack:
        opened = sight.opened
        if opened.again is not None:
            opened = opened.again()
            stack.enter_context(opened.engine)
        stages = opened.layout.stages((), reach="all")
        columns = {name: name for name in OPTIONS} | SPAN | {"entered_at": "min(metered_at)"}
        sql = select(columns, "fields", where=sight.kept, group_by=["1", "2", "3"], order_by=["events DESC", "1", "2"])
        query = Query("around", (*stages, Stage("around", "what is there", f"{sql}\nLIMIT {VALUES_MAX}")))
        rows: list[Row] = opened.table(query).to_pylist()
        return rows


def _missing_names(sight: Sight, column: str, names: Iterable[str], around: Sequence[Row]) -> list[str]:
    """A sentence about each name of an option that no row has."""
    known = _most_first(around, column)
    return [_no_such(sight, OPTIONS[column], name, known, around) for name in names if name not in known]


def _most_first(around: Sequence[Row], column: str) -> list[str]:
    """The names in a column, those of the most rows first."""
    counts: Counter[str] = Counter()
    for row in around:
        counts[row[column]] += row["events"]
    return sorted(counts, key=lambda name: (-counts[name], name))


def _no_such(sight: Sight, option: str, name: str, known: Sequence[str], around: Sequence[Row]) -> str:
    """The sentence that no row has a name, with those that there are and the nearest of them."""
    found = f"found {first_few(map(repr, known))} in {_spanned(around, sight.noun)}"
    return f"{option}: no {sight.noun} has {name!r}; {found}.{_near(name, known)}"


def _near(name: str, known: Sequence[str]) -> str:
    """The hint with the nearest name, if one is near."""
    return f' hint: did you mean "{found}"?' if (found := nearest(name, known)) else ""


def _spanned(around: Sequence[Row], noun: str) -> str:
    """How many rows there are, from when to when."""
    count = counted_noun(sum(row["events"] for row in around), noun)
    first = min(row["first_at"] for row in around)
    last = max(row["last_at"] for row in around)
    return f"{count} from {format_time(_utc(first))} to {format_time(_utc(last))}"


def _utc(naive: datetime) -> datetime:
    """A moment of DuckDB's TIMESTAMP, which is UTC here."""
    return naive.replace(tzinfo=UTC)


def _unseen_names(sight: Sight) -> list[str]:
    """Of several names of one option, those that no row has, as the scan has noted."""
    opened = sight.opened
    missing: dict[str, list[str]] = {}
    for column, names in opened.selection.several.items():
        if opened.is_elsewhere:
            continue
        unseen = _unseen(sight, column, names)
        missing |= {column: unseen} if unseen else {}
    if not missing:
        return []
    around = _around(sight)
    return [sentence for column, names in missing.items() for sentence in _missing_names(sight, column, names, around)]


def _unseen(sight: Sight, column: str, names: Sequence[str]) -> list[str]:
    """The names that no row has in a column, as the scan has noted; none where it has no row."""
    noted = list(noted_columns(column, len(names)))
    ((*bits,),) = sight.opened.engine.rows(select({name: f"bit_or({name})" for name in noted}, "counted"))
    if None in bits:
        return []
    return [name for n, name in enumerate(names) if not bits[n // BITS] >> n % BITS & 1]


def _noted_universes(sight: Sight) -> set[str]:
    """The new names of universes that the scan of records has noted."""
    noted = sight.opened.noted_universes
    if not noted:
        return set()
    return set(noted).difference(_unseen(sight, "universe_id", noted))


def _unrenamed(sight: Sight, there: Collection[str]) -> list[str]:
    """The universes that were to have another name, and that no row has; `there` are names that rows have."""
    renamed, opened = sight.opened.source.universe_names, sight.opened
    if not renamed or opened.is_elsewhere or opened.history:
        return []
    missing = [old for old, new in renamed.items() if new not in there]
    known = _most_first(around := _around(sight) if missing else [], "universe_id")
    return [_no_such(sight, "map-universe", old, known, around) for old in missing if renamed[old] not in known]


# --- nothing metered -------------------------------------------------------------------------------------------------


def _nothing_metered(sight: Sight) -> list[str]:
    """Why no row that was read is metered."""
    books = sight.books
    config = getattr(sight.judge, "config", None)
    notices = [f"{sight.noun}s: none of {books.read:,} was metered ({books})."]
    if sight.opened.is_elsewhere or config is None:
        return notices
    if books.unmatched_entry:
        notices += _no_entry(sight, config)
    if books.unmatched_filter:
        notices += _no_filter(sight, config)
    return notices


def _no_entry(sight: Sight, config: MeteringConfig) -> list[str]:
    """Which types, workspaces or times no entry of the config has."""
    columns = {name: name for name in ("workspace_id", "type")} | SPAN
    sql = select(columns, "arrivals", where=sight.kept, group_by=["1", "2"], order_by=["events DESC", "1", "2"])
    around = sight.rows("of_no_entry", f"{sql}\nLIMIT {VALUES_MAX}", sight.judge.arrivals())
    for column, option in (("type", "type"), ("workspace_id", "workspaceID")):
        expected = {getattr(entry, column) for entry in config.entries}
        found = _most_first(around, column)
        if around and None not in expected and not expected & set(found):
            near = next((hint for name in found if (hint := _near(name, sorted(expected)))), "")
            listed = f"expected {first_few(map(repr, sorted(expected)))}"
            where = f"found {first_few(map(repr, found))} in {_spanned(around, sight.noun)}"
            return [f"config: no entry has the {option} of any event: {where}; {listed}.{near}"]
    return _not_in_effect(sight, config, around)


def _not_in_effect(sight: Sight, config: MeteringConfig, around: Sequence[Row]) -> list[str]:
    """That the entries of the rows' types are in effect at other times than theirs."""
    theirs = [(entry, row) for entry in config.entries for row in around if _is_of(entry, row)]
    if not theirs or any(_is_in_effect(entry, row) for entry, row in theirs):
        return []
    spans = dict.fromkeys(f"from {_bound(e.effective_from)} to {_bound(e.effective_to)}" for e, _ in theirs)
    out = _spanned([row for row in around if any(row is other for _, other in theirs)], sight.noun)
    return [f"config: no entry is in effect at the time of any event: found {out}; expected {first_few(spans)}."]


def _is_of(entry: Entry, row: Row) -> bool:
    """Whether an entry is of the workspace and type of rows."""
    return entry.workspace_id in (None, row["workspace_id"]) and entry.type in (None, row["type"])


def _is_in_effect(entry: Entry, row: Row) -> bool:
    """Whether an entry is in effect some time between the first and the last of rows."""
    begins = entry.effective_from is None or _utc(row["last_at"]) >= entry.effective_from
    return begins and (entry.effective_to is None or _utc(row["first_at"]) < entry.effective_to)


def _bound(moment: datetime | None) -> str:
    return "any time" if moment is None else format_time(moment)


def _no_filter(sight: Sight, config: MeteringConfig) -> list[str]:
    """What the events have in place of what the filters ask for: of the first property that each filter tests."""
    notices: list[str] = []
    known = sight.judge.properties
    for path, measurement in config.measurements[:VALUES_MAX]:
        tested = sorted(measurement.filter.properties) if measurement.filter else []
        if not tested or len(notices) == 5:
            continue
        name = tested[0]
        column = property_column(known.index(name))
        sql = select({"value": column, "events": "count(*)"}, "arrivals", where=sight.kept, group_by=["1"])
        rows = sight.rows("of_no_filter", f"{sql}\nORDER BY events DESC, value\nLIMIT 5", sight.judge.arrivals())
        values = first_few("absent" if row["value"] is None else repr(row["value"]) for row in rows)
        notices.append(f"{path}.filter: no event passes it; found {name!r}: {values}.")
    return notices


# --- no reading ------------------------------------------------------------------------------------------------------


def _outside(sight: Sight, around: Sequence[Row] | None = None) -> list[str]:
    """That no row is in a window, and when the rows are."""
    opened = sight.opened
    if opened.windows.by_subject:
        return _unnamed_subjects(sight)
    what = _nothing_in_window(sight)
    if opened.is_elsewhere:
        return [f"{what}."]
    if around is None:
        around = sight.rows("around", select(SPAN, "arrivals", where=sight.kept), sight.judge.arrivals())
    found = [row for row in around if row["events"]]
    return [f"{what}; found {_spanned(found, sight.noun)}."] if found else [f"{what}."]


def _nothing_in_window(sight: Sight) -> str:
    """That no row makes a reading between the first start and the last end of all windows, without a full stop."""
    bounds = {"first": "min(window_start)", "last": "max(window_end)"}
    ((first, last),) = sight.opened.engine.rows(select(bounds, sight.opened.windows.name))
    if first is None:
        return "window: no period is whole within the bounds"
    window = f"[{format_time(_utc(first))}, {format_time(_utc(last))})"
    return f"window: no {sight.noun} makes a reading in {window}"


def _unnamed_subjects(sight: Sight) -> list[str]:
    """That no period is of a subject that has rows, and whose periods there are."""
    opened = sight.opened
    kind = opened.question.periods.kind if opened.question.periods else "windows"
    sql = select({"universe_id": "DISTINCT universe_id", "subject": "subject"}, opened.windows.name)
    named = opened.engine.rows(f"{sql}\nORDER BY ALL\nLIMIT {VALUES_MAX}")
    whose = first_few(f"{subject!r} of {universe!r}" for universe, subject in named)
    if opened.is_elsewhere:
        return [f"{kind}: no row makes a reading; they are of {whose}."]
    grouped = {"universe_id": "universe_id", "subject": "subject"} | SPAN
    found = select(grouped, "arrivals", where=sight.kept, group_by=["1", "2"], order_by=["events DESC", "1", "2"])
    around = sight.rows("around", f"{found}\nLIMIT {VALUES_MAX}", sight.judge.arrivals())
    if not around:
        return [f"{kind}: no row makes a reading; they are of {whose}."]
    there = first_few(f"{row['subject']!r} of {row['universe_id']!r}" for row in around)
    subjects = [row["subject"] for row in around]
    near = "" if set(subjects) & {subject for _, subject in named} else _near(str(named[0][1]), subjects)
    return [
        f"{kind}: no row makes a reading: they are of {whose}; found {there} in {_spanned(around, sight.noun)}.{near}"
    ]


# --- subjects and dimensions -----------------------------------------------------------------------------------------


def _subjects_without_readings(sight: Sight) -> list[str]:
    """The subjects that are asked for and have no reading."""
    asked = sight.opened.question.subjects
    if not asked:
        return []
    sql = select({"subject": "DISTINCT subject"}, "readings", where=["record_count > 0 OR carried"])
    there = {row[0] for row in sight.opened.engine.rows(sql)}
    return [name for name in asked if name not in there]


def _of_subjects(sight: Sight, missing: Sequence[str]) -> list[str]:
    """A sentence about each subject without a reading: it has no row, or none in a window."""
    if sight.opened.is_elsewhere:
        return [f"subject: {first_few(map(repr, missing))} has no reading."]
    notices: list[str] = []
    for name in missing[:5]:
        lower = literal(name.lower())
        near = f"contains(lower(subject), {lower}) DESC, jaro_winkler_similarity(lower(subject), {lower}) DESC"
        sql = select({"subject": "subject"} | SPAN, "arrivals", where=sight.kept, group_by=["subject"])
        order = f"ORDER BY subject = {literal(name)} DESC, {near}, subject\nLIMIT 5"
        around = sight.rows("around", f"{sql}\n{order}", sight.judge.arrivals())
        own = [row for row in around if row["subject"] == name]
        if own:
            notices.append(f"subject: {name!r} has {_spanned(own, sight.noun)}, but no reading in a window.")
        elif around:
            notices.append(_no_such_subject(sight, name, around))
    if len(missing) > 5:
        notices.append(f"subject: {len(missing) - 5:,} more have no reading.")
    return notices


def _no_such_subject(sight: Sight, name: str, around: Sequence[Row]) -> str:
    known = [row["subject"] for row in around]
    return f"subject: no {sight.noun} has {name!r}; found {first_few(map(repr, known))}.{_near(name, known)}"


def _ungrouped(sight: Sight) -> list[str]:
    """The properties that are grouped by, and that no row of a reading has."""
    asked = sight.opened.question.group_by
    if not asked:
        return []
    there = {f"has_{n}": f"bool_or(dimensions[{literal(name)}] IS NOT NULL)" for n, name in enumerate(asked)}
    ((*has,),) = sight.opened.engine.rows(select(there, "readings"))
    missing = [name for name, is_there in zip(asked, has, strict=True) if not is_there]
    return [_no_such_property(sight, name, known) for known in _property_names(sight, missing) for name in missing]


def _property_names(sight: Sight, missing: Sequence[str]) -> Iterator[list[str]]:
    """The names of the properties that there are, once; nothing where no name is missing."""
    if not missing:
        return
    if sight.opened.is_elsewhere:
        yield []
        return
    sql = select({"name": "DISTINCT unnest(map_keys(properties))"}, "arrivals", where=sight.kept)
    rows = sight.rows("names", f"{sql}\nORDER BY 1\nLIMIT {VALUES_MAX}", sight.judge.arrivals())
    yield [row["name"] for row in rows]


def _no_such_property(sight: Sight, name: str, known: Sequence[str]) -> str:
    noun = "dimension" if sight.opened.source.is_records else "property"
    if name in known:
        return f"group-by: no {sight.noun} that makes a reading has the {noun} {name!r}."
    what = f"group-by: no {sight.noun} has the {noun} {name!r}"
    if name in ALREADY:
        return f"{what}. hint: readings are by {ALREADY[name]} in any case"
    found = f"; found {first_few(map(repr, known))}" if known else ""
    return f"{what}{found}.{_near(name, known)}"
