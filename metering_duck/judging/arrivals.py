"""Arrivals: the events that a run sees, once each: tenants, the cut-off, and repeated keys (R8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metering_duck.inputs.fields import ENTERED_BY_FILE, Reach, reach_conditions
from metering_duck.inputs.layout import Layout
from metering_duck.statements.quote import literal, shown
from metering_duck.statements.select import case, names, select
from metering_duck.statements.stages import Query, Stage, load_stage


@dataclass(frozen=True)
class Selection:
    """Which events are read (R10, R24); empty is all of them.

    The package judging is below runs and cannot hold a Question or a History, so `selection_of` (runs/opening.py), the
    only function that makes a selection, copies what events are chosen by.

    `reach` bounds the events' times by the window's; `entered` is SQL for when an event without a metered_at entered.
    `renamed` are universes that have another name in what is made of their events, though not in the events' keys.
    """

    workspaces: tuple[str, ...] = ()
    universes: tuple[str, ...] = ()
    as_of: bool = False
    reach: Reach = "all"
    entered: str = "$clock"
    renamed: tuple[tuple[str, str], ...] = ()
    types: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Column → what its values are called among the parameters, and the values that are asked for, if any are."""
        named = {"workspace_id": ("workspace", self.workspaces), "universe_id": ("universe", self.universes)}
        return named | {"type": ("type", self.types)}

    @property
    def several(self) -> dict[str, tuple[str, ...]]:
        """Column → the values that are asked for, where they are several, of which a run notes which ones it saw."""
        if self.renamed:
            return {}
        return {column: values for column, (_, values) in self.columns.items() if len(values) > 1}

    @property
    def parameters(self) -> dict[str, object]:
        """The values that are asked for, by their names in SQL."""
        return {f"{name}_{n}": value for name, values in self.columns.values() for n, value in enumerate(values)}


def arrivals_stages(
    layout: Layout, properties: Sequence[str], selection: Selection, *, suspects: bool = False
) -> list[Stage]:
    """From the input to `arrivals`; of keys that may occur more than once, the `suspects`, also those out of reach."""
    reach: Reach = "all" if suspects else selection.reach
    stages = [
        replace(stage, legend=_properties_legend(properties)) if stage.name == "named" else stage
        for stage in layout.stages(properties, suspects=suspects, reach=reach)
    ]
    return [*stages, arrivals_stage(replace(selection, reach=reach))]


def _properties_legend(properties: Sequence[str]) -> tuple[str, ...]:
    """What is in the columns p_N."""
    listed = ", ".join(f"{n} is {shown(name)}" for n, name in enumerate(properties))
    return (f"p_N is the text of property N: {listed}.",) if properties else ()


def reads_all(layout: Layout, selection: Selection) -> bool:
    """Whether a repeated key can only be among the arrivals: nothing is out of reach, and no file is only compared."""
    return selection.reach == "all" and not layout.only_files


def arrivals_stage(selection: Selection) -> Stage:
    """`arrivals`: the rows that had entered by the cut-off, of what is asked for, in reach."""
    where = reach_conditions(selection.reach, "recorded_at")
    for column, (name, values) in selection.columns.items():
        if values:
            where.append(f"{column} IN ({', '.join(f'${name}_{n}' for n in range(len(values)))})")
    if selection.as_of:
        where.append(f"coalesce(metered_at, {selection.entered}) <= $as_of")
    by_file = "EXCLUDE (entered_at) " if selection.entered == ENTERED_BY_FILE else ""
    star = f"* {by_file}REPLACE (coalesce(metered_at, {selection.entered}) AS metered_at)"
    sql = select({}, "fields", star=star, where=where)
    return Stage(
        "arrivals", "the events that had entered by the cut-off, of the workspaces and universes asked for (R24)", sql
    )


def accepted_stage(*, repeated: bool) -> Stage:
    """`accepted`: one row per key (R8); where no key is repeated that is every row."""
    if not repeated:
        return Stage("accepted", "every event once (R8): no key occurs twice", select({}, "arrivals", star="*"))
    instead = (
        "Where no key occurs twice what runs leaves out the table settled: every arrival is accepted then, as here."
    )
    return replace(load_stage("accepted"), instead=instead)


def renamed_stages(selection: Selection, source: str = "accepted", name: str = "renamed") -> list[Stage]:
    """`renamed`: the events of `source` under the other names of their universes, if there are any."""
    if not selection.renamed:
        return []
    names_sql = case([(literal(old), literal(new)) for old, new in selection.renamed], "universe_id", of="universe_id")
    sql = select({}, source, star=f"* REPLACE ({names_sql} AS universe_id)")
    return [Stage(name, "the events of universes that have other names in what is made of them", sql)]


def key_hashes_query(arrivals: Sequence[Stage], *, keys: bool, moments: bool) -> Query:
    """`key_hashes`: of every row the hash of its key, NULL where it has none, and of its subject's moment."""
    wanted = [name for name, is_wanted in (("key_hash", keys), ("moment_hash", moments)) if is_wanted]
    why = "the hashes that are compared"
    looked_for = Stage("wanted_hashes", why, select(names(wanted), "key_hashes"))
    return Query("key_hashes", (*arrivals, load_stage("key_hashes"), looked_for))


def tied_moments_query(arrivals: Sequence[Stage]) -> Query:
    """`tied_moments`: where the order of a subject's events is not that of their times alone (R13)."""
    instead = (
        "What runs finds these in the pass that looks for repeated keys. Where there are none, it orders levels by "
        "their times alone: where no moment has two events that is the same order."
    )
    return Query("tied_moments", (*arrivals, replace(load_stage("tied_moments"), instead=instead)))


def repeated_keys_query(arrivals: Sequence[Stage]) -> Query:
    """`repeated_keys`: the few keys that may occur twice (R8)."""
    instead = (
        "What runs takes the hashes out of one pass over the events and sorts them outside of SQL: it finds the same."
    )
    return Query("repeated_keys", (*arrivals, replace(load_stage("repeated_keys"), instead=instead)))


def settled_query(of_suspects: Sequence[Stage], reach: Reach = "all") -> Query:
    """`settled`: of each row whose key occurs twice, whether it counts, or is a duplicate or a conflict (R8).

    Of those rows, the table has the ones whose times are in reach of the windows.
    """
    stages = [*of_suspects, load_stage("suspects"), load_stage("verdicts")]
    if reach != "all":
        within = select({}, "verdicts", star="*", where=reach_conditions(reach, "recorded_at"))
        stages.append(Stage("in_reach", "the rows of repeated keys whose times are in reach of the windows", within))
    instead = (
        "What runs looks at a row's key before it makes its other columns, as suspects does behind them: the same "
        "rows, sooner."
    )
    return Query("settled", (*stages[:-1], replace(stages[-1], instead=instead)))
