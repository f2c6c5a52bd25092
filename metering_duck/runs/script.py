"""Script: what a run does as one SQL script, for a person who reads it or runs it in the DuckDB shell.

What runs is each query as one statement, its stages in WITH. The script has the same text, laid out on lines that can
be read, and a stage that several queries begin with only once, as a view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metering_duck.errors import ConfigError
from metering_duck.inputs.in_shell import InShell
from metering_duck.readings.counters import SUMMED_TWICE
from metering_duck.statements.layout import comment, laid_out
from metering_duck.statements.stages import Query, Stage, functions, functions_of, with_values
from metering_duck.statements.tokens import tokens_of

OVERFLOWS = (
    "It stops with an overflow, and has no row, where quantities that are added pass 38 digits on the way; the run "
    "itself does not, if the result fits (see counted)."
)
RUNS = (
    "What runs is each table, and the query at the end, as one statement, its stages in WITH; here the stages that "
    "several begin with stand once, as views: the rows are the same."
)
# Family of short names → what one stands for; N is a slot unless the words say otherwise.
FAMILIES = {
    "q_of_p": "q_of_p_N_M is the text of property N for several slots of one DECIMAL",
    "v_of_p": "v_of_p_N_M is its value",
    "number_of": "number_of_N is the exact number that the input has for slot N",
    "start_read": "start_read_N is where the span of slot N begins, as its property says it",
    "end_read": "end_read_N is where it ends",
    "length_read": "length_read_N is how long the span of slot N is, in microseconds",
    "number": "number_N is the exact number that the input has for property N",
    "a": "a_N says whether slot N applies",
    "q": "q_N is its text, q_N_M that of its Mth property",
    "v": "v_N is its value as a DECIMAL, NULL where there is none",
    "start": "start_N is when the span of slot N begins",
    "end": "end_N is when it ends",
    "n": "n_N is how many values slot N has",
    "metered": "metered_N when the last of them entered",
    "x": "x_N what they come to",
    "y": "y_N the second number that is kept of them",
    "z": "z_N the third",
    "s": "s_N the fourth",
    "t": "t_N the fifth",
    "u": "u_N the sixth",
    "units_high": "units_high_N is the higher part of the quantity as a whole number",
    "units_low": "units_low_N its lower part",
    "times_high": "times_high_N is the higher part of what it is multiplied by",
    "times_low": "times_low_N its lower part",
    "middle": "middle_N is the product's middle part",
    "top": "top_N is the highest of three parts of a number",
    "rest_of_factor": "rest_of_factor_N is what the division by the factor leaves",
    "high": "high_N is the higher part of a number that is too long for one",
    "low": "low_N is the lower part",
    "whole": "whole_N is the whole part of a quotient",
    "rest": "rest_N is what the division leaves",
    "widest": "widest_N the largest level, its sign left out",
    "value": "value_N is the text that slot N tells apart, or what it comes to",
    "inner": "inner_N is the inner level of valued_N",
}
SHORT_NAME = re.compile(rf"({'|'.join(sorted(FAMILIES, key=len, reverse=True))})_\d+(?:_\d+)?")


def script_text(
    queries: Iterable[Query],
    parameters: Mapping[str, object],
    shells: Mapping[str, InShell],
    *,
    has_history: bool = False,
) -> str:
    """Queries as one SQL script with a run's values in it.

    `shells` are name → how the DuckDB shell finds the input, or the table of windows, of this name.
    """
    *before, last = [_with_values(query, parameters, shells) for query in queries]
    stages = frozenset(stage.name for query in [*before, last] for stage in query.stages)
    writer = _Writer(_views([*before, last]), stages)
    statements = [statement for query in before for statement in writer.statements(query)]
    statements += writer.statements(last, is_last=True)
    needed = [text for name, shell in shells.items() if (text := shell.needed(name))]
    copies = [path for shell in shells.values() for path in shell.copies]
    where = _where_it_runs(needed, copies, has_history=has_history)
    stops = f" {OVERFLOWS}" if _may_overflow([*before, last]) else ""
    said = comment(f"Made by metering-duck. {where}{stops} {RUNS}")
    first = dict.fromkeys(laid_out(shell.first) for shell in shells.values() if shell.first)
    opening = "\n".join([said, *first, "SET TimeZone = 'UTC';"])
    return "\n\n".join([opening, "\n".join(_macros("\n".join(statements))), *statements]) + "\n"


def _where_it_runs(needed: Sequence[str], copies: Sequence[str], *, has_history: bool) -> str:
    """Sentences on where the script runs: what the reader has to make before, and which files to replace."""
    if has_history:
        needed = [*needed, "what the ledger knew: entered, repeated_keys and levels_before"]
    sentences = []
    if needed:
        sentences.append(f"Runs in the DuckDB shell where there is what it reads: {'; '.join(needed)}.")
    if copies:
        sentences.append(
            f"Reads {', '.join(copies)}, which the run made of its input and removes when it ends: save the input to a "
            "file of the same format, and write its path in place of this one."
        )
    return " ".join(sentences) or "Runs as it stands in the DuckDB shell."


def _may_overflow(queries: Sequence[Query]) -> bool:
    """Whether a query adds quantities as one number, which a run adds again in two parts where they outgrow it."""
    return any(stage.instead == SUMMED_TWICE for query in queries for stage in query.stages)


def stage_text(queries: Sequence[Query], name: str) -> str:
    """One stage's SQL, or a whole query's, with its $parameters.

    Raises: ConfigError for a stage that there is not, with those that there are.
    """
    for query in queries:
        if query.name == name:
            return laid_out(query.sql) + "\n"
    stages = {stage.name: stage for query in queries for stage in query.stages}
    if name not in stages:
        raise ConfigError(f"stage: found {name!r}; expected one of {', '.join(stages)}.")
    found = stages[name]
    return "\n".join([*map(comment, [found.why, *found.legend]), laid_out(found.sql)]) + "\n"


def _with_values(query: Query, parameters: Mapping[str, object], shells: Mapping[str, InShell]) -> Query:
    """A query whose stages have values in place of their parameters, and read the inputs as a shell does."""

    def in_shell(sql: str) -> str:
        for name, shell in shells.items():
            sql = shell.instead(name, sql)
        return with_values(sql, dict(parameters))

    return Query(query.name, tuple(replace(stage, sql=in_shell(stage.sql)) for stage in query.stages))


def _macros(sql: str) -> list[str]:
    """The macros that the SQL calls, each behind its comment."""
    known = functions()
    return [laid_out(known[name]) for name in functions_of(sql)]


# A stage is the same in two queries if all before it is, too: it may read any of those.
Beginning = tuple[tuple[str, str], ...]


def _beginnings(query: Query) -> list[Beginning]:
    """For each stage before the last, all from the first up to it."""
    listed = tuple((stage.name, stage.sql) for stage in query.stages[:-1])
    return [listed[: n + 1] for n in range(len(listed))]


def _views(queries: Sequence[Query]) -> dict[str, Beginning]:
    """Name → beginning, of the stages that are views; where two stages have one name, the first of them is."""
    tables = {query.name for query in queries[:-1]}
    views: dict[str, Beginning] = {}
    for query in queries:
        for beginning in _beginnings(query):
            name = beginning[-1][0]
            if name in tables or views.setdefault(name, beginning) != beginning:
                break
    return views


@dataclass
class _Writer:
    """Writes queries as statements: which views there are, which of them are written, and which names explained."""

    views: Mapping[str, Beginning]
    stages: frozenset[str]
    written: set[str] = field(default_factory=set)
    explained: set[str] = field(default_factory=set)

    def statements(self, query: Query, *, is_last: bool = False) -> list[str]:
        """The views that a query reads and that are not there yet, then the query as a table, or as it is."""
        statements: list[str] = []
        local: list[Stage] = []
        for stage, beginning in zip(query.stages[:-1], _beginnings(query), strict=True):
            if local or self.views.get(stage.name) != beginning:
                local.append(stage)
            elif stage.name not in self.written:
                self.written.add(stage.name)
                create = f"CREATE OR REPLACE TEMP VIEW {stage.name} AS\n{laid_out(stage.sql)};"
                statements.append("\n".join([*self._comments(stage), create]))
        return [*statements, self._statement(query, local, is_last=is_last)]

    def _statement(self, query: Query, local: Sequence[Stage], *, is_last: bool) -> str:
        """The query as a table, or as it is, its stages that are no views in WITH."""
        last = query.stages[-1]
        head = [] if is_last else [f"CREATE OR REPLACE TEMP TABLE {query.name} AS"]
        if not local:
            return "\n".join([*self._comments(last), *head, laid_out(last.sql)]) + ";"
        ctes = []
        if last.sql.startswith("WITH"):
            local = [*local, last]
            last = Stage(last.name, "", f"SELECT * FROM {last.name}")
        for stage in local:
            ctes.append("\n".join([*self._comments(stage), f"{stage.name} AS (", laid_out(stage.sql, "    "), ")"]))
        end = [*(self._comments(last) if last.why else []), laid_out(last.sql)]
        return "\n".join([*head, "WITH", ",\n".join(ctes), *end]) + ";"

    def _comments(self, stage: Stage) -> list[str]:
        """Why a stage is there, what runs instead of it, and what its short names stand for where they are new."""
        instead = [stage.instead] if stage.instead else []
        return [comment(stage.why), *map(comment, [*instead, *stage.legend, *self._new_names(stage)])]

    def _new_names(self, stage: Stage) -> list[str]:
        words = {token.text for token in tokens_of(stage.sql) if token.kind == "word"} - self.stages
        found = {match.group(1) for word in words if (match := SHORT_NAME.fullmatch(word))}
        new = [family for family in FAMILIES if family in found - self.explained]
        self.explained |= set(new)
        return [f"{'; '.join(FAMILIES[family] for family in new)}."] if new else []
