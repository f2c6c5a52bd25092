"""`python -m benchmarks`, a command a function below. Tables on stdout, all else on stderr.

Exit codes: 0 done; 1 a contestant failed, answers differ, or something slipped or was lost; 2 wrong usage, a file that
is no report, or reports that say nothing of each other.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.comparing import SLIP, Change, changes, incomparable, lost, only_in_one
from benchmarks.events import generate
from benchmarks.pages import RESULTS, fill_pages, markdown, render
from benchmarks.pairing import Pair, checked_out, run_pairs
from benchmarks.question import CannotAsk, Dataset, Question, memory_bytes
from benchmarks.questions import QUESTIONS
from benchmarks.results import Report, parse_size, read_report, size, write_report
from benchmarks.runner import Plan, read_through, run, shape_of
from benchmarks.trial import TrialFailed
from metering_duck.errors import did_you_mean, visible

EXIT_FAILED, EXIT_USAGE = 1, 2
DATA = Path(__file__).parent / ".data"
SMOKE_EVENTS = "1M"
SLOW = "plain Python"
# Times do not count there, so two questions share the machine.
SMOKE_AT_ONCE = 2


class Size(click.ParamType[int]):
    """A count such as 10M."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """10M as a number."""
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Memory(click.ParamType[str]):
    """A size such as 4GB, as it was written."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it is a size."""
        try:
            memory_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


EVENTS = click.option("--events", type=Size(), default="10M", show_default=True, help="How many: 10M, 200k, …")
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
DATA_OPTION = click.option(
    "--data", type=FOLDER, default=DATA, help="Where generated events are kept. Default: benchmarks/.data."
)
QUESTIONS_OPTION = click.option("--questions", metavar="NAME,…", help="Only these. Default: all.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """How fast metering-duck is, next to a hand-written query, ClickHouse, Polars and plain Python."""


@cli.command("list")
@EVENTS
def list_(events: int) -> None:
    """List the questions and who answers them."""
    table = _table("question", "what", "contestants")
    for question in QUESTIONS.values():
        names = "; ".join(one.name for one in question.contestants(events))
        table.add_row(question.name, f"{question.title}. {question.why}", names)
    _console().print(table)


@cli.command("run")
@EVENTS
@QUESTIONS_OPTION
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often each answers.")
@click.option("--contestants", metavar="NAME;…", help="Only these, whole names or up to the comma; apart by ';'.")
@click.option("--memory-limit", type=Memory(), metavar="SIZE", help="Of every engine that has such a setting: 4GB.")
@click.option("--timeout", type=float, default=3600.0, show_default=True, help="Seconds for one answer.")
@DATA_OPTION
@click.option("--output", type=FOLDER, default=RESULTS, help="Default: benchmarks/results.")
def run_(
    events: int,
    questions: str | None,
    rounds: int,
    contestants: str | None,
    memory_limit: str | None,
    timeout: float,
    data: Path,
    output: Path,
) -> None:
    """Measure, check the answers, and write JSON, tables and charts."""
    chosen = _questions(questions)
    plan = Plan(events, chosen, data, rounds, _contestants(contestants, chosen, events), memory_limit, timeout)
    _check_output(output)
    report = run(plan, _say)
    path, latest = write_report(report, output)
    render(path, report)
    if latest is None:
        _say(f"note: latest-{size(events)}.json has answers that this run has not, and stays. hint: run all questions")
    else:
        render(latest, report)
        if latest.parent.resolve() == RESULTS:
            fill_pages(latest, report)
    click.echo(markdown(report))
    _say(f"written: {path}")
    _fail_with(report.errors)


@cli.command()
@click.option("--events", type=Size(), default=SMOKE_EVENTS, show_default=True, help="How many.")
@QUESTIONS_OPTION
@DATA_OPTION
def smoke(events: int, questions: str | None, data: Path) -> None:
    """Ask every question once and check the answers, not the times. Writes no results.

    Plain Python answers for a tenth of the events, beside all the others; so do all of a question that takes long.
    """
    chosen = _questions(questions)
    tenth = max(1, events // 10)
    asked_whole = tuple(q for q in chosen if not q.options.get("takes_long"))
    slow = tuple(q for q in chosen if q not in asked_whole or any(c.name == SLOW for c in q.contestants(tenth)))
    everyone = {contestant.name for question in asked_whole for contestant in question.contestants(events)}
    plan = Plan(events, asked_whole, data, 1, tuple(sorted(everyone - {SLOW})), None, 600.0, SMOKE_AT_ONCE)
    reports = [run(plan, _say), run(replace(plan, events=tenth, questions=slow, contestants=()), _say)]
    _fail_with([error for report in reports for error in report.errors])
    answers = sum(len(asked.timings) for report in reports for asked in report.questions)
    click.echo(f"{len(chosen)} questions, {answers} answers; all that must be equal are")


@cli.command()
@click.argument("file", type=FILE)
def report(file: Path) -> None:
    """Write the tables and charts of FILE anew; those of benchmarks/results/latest-… into the pages too."""
    found = _report(file)
    for path in render(file, found):
        _say(f"written: {path}")
    if file.resolve().parent == RESULTS and file.name.startswith("latest-"):
        fill_pages(file, found)


@cli.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
def compare(old: Path, new: Path) -> None:
    """Compare two reports: exit code 1 if a contestant slipped by more than 10 %, failed or is missing."""
    before, after = _report(old), _report(new)
    found, gone = changes(before, after), lost(before, after)
    _console().print(_change_table(found))
    for name in only_in_one(before, after):
        if name not in gone:
            _say(f"note: {name}: is in only one of the two")
    engines = [report.versions.get("duckdb", "none") for report in (before, after)]
    if engines[0] != engines[1]:
        _say(f"note: duckdb: found {engines[1]} against {engines[0]}; a change may be its own")
    reasons = incomparable(before, after)
    if not found and not any("failed" in what for what in gone.values()):
        reasons.append("found nothing that both have measured; expected a contestant of the same question.")
    _fail_with([f"{new}: cannot be compared with {old}: {reason}" for reason in reasons], EXIT_USAGE)
    _fail_with(
        [f"{name}: found {what}; expected an answer as before." for name, what in gone.items()]
        + [
            f"{change.question}: {change.contestant}: found {change.new:.3g} {change.measure}, {change.slip:.0%} over "
            f"the {change.old:.3g} before; expected at most {SLIP:.0%}."
            for change in found
            if change.slipped
        ]
    )


@cli.command()
@click.argument("revision", metavar="COMMIT")
@EVENTS
@QUESTIONS_OPTION
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="How often each answers.")
@click.option("--contestants", metavar="NAME;…", help="Only these, whole names or up to the comma; apart by ';'.")
@click.option("--at-most", type=float, metavar="RATIO", help="Exit code 1 where a median ratio is greater.")
@DATA_OPTION
def pair(
    revision: str,
    events: int,
    questions: str | None,
    rounds: int,
    contestants: str | None,
    at_most: float | None,
    data: Path,
) -> None:
    """Ask metering-duck as it is here and as it was at COMMIT, in turn, and show now by before. Writes no results.

    \b
    python -m benchmarks pair HEAD~1 --questions counters_by_subject_day,start_up --at-most 1.03
    """
    chosen = _questions(questions)
    plan = Plan(events, chosen, data, rounds, _contestants(contestants, chosen, events), None, 3600.0)
    try:
        with checked_out(revision) as before:
            pairs = run_pairs(plan, before, _say)
    except TrialFailed as failure:
        raise click.UsageError(str(failure)) from None
    _console().print(_pair_table(pairs))
    errors = [found.error for found in pairs if found.error]
    slower = [found for found in pairs if found.now and at_most and found.ratio("seconds") > at_most]
    _fail_with(
        errors
        + [
            f"{found.question}: {found.contestant}: found {found.ratio('seconds'):.3f} times the seconds before; "
            f"expected at most {at_most:g}."
            for found in slower
        ]
    )


@cli.command()
@click.argument("question")
@EVENTS
@click.option("--contestant", default="metering-duck", show_default=True, help="A variant of metering-duck.")
@DATA_OPTION
@click.option("--output", type=FOLDER, help="Also write it here, as profile-QUESTION-EVENTS.md.")
def profile(question: str, events: int, contestant: str, data: Path, output: Path | None) -> None:
    """Show where metering-duck's time goes: seconds by query."""
    from benchmarks.profiles import profile as measure

    asked = _questions(question)[0]
    one = next((one for one in asked.contestants(events) if one.name == contestant), None)
    if one is None:
        _fail_with(
            [f"{question}: found no contestant {contestant!r}; expected one of those that `list` shows."], EXIT_USAGE
        )
        return
    shape = shape_of(Plan(events, (asked,), data), asked, one)
    dataset = Dataset(generate(shape, data), shape)
    read_through(dataset.path)
    _write_profile(f"{question}-{size(events)}", measure(one, dataset), output)


@cli.command()
@click.option("--events", type=Size(), default="2M", show_default=True, help="How many.")
@DATA_OPTION
@click.option("--output", type=FOLDER, default=RESULTS, help="Default: benchmarks/results.")
def tasks(events: int, data: Path, output: Path) -> None:
    """Show how evenly Spark's tasks share the work when one subject has half of all events."""
    from benchmarks.tasks import fill_page, run_tasks, tasks_markdown, write_tasks

    _check_output(output)
    try:
        found = run_tasks(events, data)
    except CannotAsk as reason:
        _fail_with([f"tasks: {reason}"])
        return
    path = write_tasks(found, output)
    if output.resolve() == RESULTS:
        fill_page(found)
    click.echo(tasks_markdown(found))
    _say(f"written: {path}")


def _write_profile(name: str, seconds: dict[str, float], output: Path | None) -> None:
    whole = sum(seconds.values())
    rows = [(query, f"{taken:.2f}", f"{taken / whole:.0%}") for query, taken in seconds.items()]
    table = _table("query", "seconds", "share", right=("seconds", "share"))
    for row in [*rows, ("all", f"{whole:.2f}", "100%")]:
        table.add_row(*row)
    _console().print(table)
    if output:
        output.mkdir(parents=True, exist_ok=True)
        lines = ["| query | seconds | share |", "|---|---:|---:|", *(f"| {' | '.join(row)} |" for row in rows)]
        (output / f"profile-{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- what commands share ---------------------------------------------------------------------------------------------


def _questions(names: str | None) -> tuple[Question, ...]:
    """Those named, in their own order; all if none is."""
    wanted = [name.strip() for name in (names or "").split(",") if name.strip()]
    unknown = [name for name in wanted if name not in QUESTIONS]
    if unknown:
        raise click.UsageError(f"questions: found {unknown[0]!r}; {did_you_mean(unknown[0], QUESTIONS)}")
    return tuple(question for name, question in QUESTIONS.items() if not wanted or name in wanted)


def _contestants(names: str | None, questions: tuple[Question, ...], events: int) -> tuple[str, ...]:
    """Those named, each of which some question has, whole or up to the comma; none if none is."""
    wanted = tuple(name.strip() for name in (names or "").split(";") if name.strip())
    known = dict.fromkeys(one.name for question in questions for one in question.contestants(events))
    unknown = [name for name in wanted if name not in known and name not in {one.partition(",")[0] for one in known}]
    if unknown:
        raise click.UsageError(
            f"contestants: found {unknown[0]!r}; expected some of: {'; '.join(known)}. "
            "hint: names are separated by ';', for a name may hold a comma"
        )
    return wanted


def _check_output(folder: Path) -> None:
    """Make the folder and write into it, before anything is measured for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise click.UsageError(
            f"output: found {folder} ({error.strerror}); expected a folder that can be made and written."
        ) from None


def _report(file: Path) -> Report:
    try:
        return read_report(file)
    except ValueError as error:
        _fail_with([str(error)], EXIT_USAGE)
        raise


def _say(text: str) -> None:
    for line in text.split("\n"):
        click.echo(visible(line), err=True)


def _fail_with(errors: list[str], code: int = EXIT_FAILED) -> None:
    """Show errors and leave; without one, go on."""
    for error in errors:
        _say(f"error: {error}")
    if errors:
        sys.exit(code)


def _console() -> Console:
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=200)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _change_table(found: list[Change]) -> Table:
    table = _table("question", "contestant", "measure", "old", "new", "change", right=("old", "new", "change"))
    for change in found:
        numbers = (f"{change.old:.3g}", f"{change.new:.3g}", f"{change.slip:+.0%}")
        style = "bold red" if change.slipped else ""
        table.add_row(change.question, Text(change.contestant), change.measure, *numbers, style=style)
    return table


def _pair_table(pairs: list[Pair]) -> Table:
    columns = ("s before", "s now", "s now/before", "spread", "CPU", "peak")
    table = _table("question", "contestant", "rounds", *columns, right=("rounds", *columns))
    for found in pairs:
        if not found.now:
            continue
        seconds = [median(one.seconds for one in side) for side in (found.before, found.now)]
        ratios = found.ratios("seconds")
        table.add_row(
            found.question,
            Text(found.contestant),
            str(len(found.now)),
            f"{seconds[0]:.3f}",
            f"{seconds[1]:.3f}",
            f"{found.ratio('seconds'):.3f}",
            f"{min(ratios):.3f} – {max(ratios):.3f}",
            f"{found.ratio('cpu_seconds'):.3f}",
            f"{found.ratio('peak_mb'):.3f}",
        )
    return table


def main() -> None:
    """`python -m benchmarks`."""
    try:
        cli(prog_name="python -m benchmarks")
    except (OSError, ValueError) as error:
        _fail_with([str(error)])


if __name__ == "__main__":
    main()
