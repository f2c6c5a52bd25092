"""Reports as Markdown: a table a question, one of the targets, and the pages that show the latest ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.results import Asked, Ratio, Report, Timing, counterpart, size

PROJECT = Path(__file__).parent.parent
RESULTS = PROJECT / "benchmarks" / "results"
README = PROJECT / "benchmarks" / "README.md"
DOCS = PROJECT / "docs" / "benchmarks.md"
OURS = "metering-duck"
CLOSING = "<!-- /latest -->"


def markdown(report: Report) -> str:
    """The whole report: what it was measured on, the targets, then every question."""
    parts = [f"# {size(report.events)} events", measured_on(report), target_table(report)]
    parts += [_section(asked, level=2) for asked in report.questions]
    return "\n\n".join(part for part in parts if part) + "\n"


def measured_on(report: Report) -> str:
    """A paragraph: machine, versions, commit, how often."""
    machine, versions = report.machine, report.versions
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items())
    limit = f", engines limited to {report.memory_limit}" if report.memory_limit else ""
    rounds = f"{report.rounds} round{'s' if report.rounds != 1 else ''}"
    return (
        f"{report.started_at[:10]}, {size(report.events)} events, {rounds}{limit}. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['os']}, {machine['kernel']}; "
        f"load {report.load} at the start. {libraries}. "
        f"Commit {report.commit[:12]}{' with changes' if report.dirty else ''}."
    )


def target_table(report: Report) -> str:
    """What was aimed at, and what was found."""
    rows = [
        (
            asked.title,
            f"{ratio.contestant} ≤ {ratio.at_most:g} × {_fastest_of(ratio)}{', per event' if ratio.per_event else ''}",
            number_text(ratio.ratio),
            "" if ratio.low is None else f"{number_text(ratio.low)} – {number_text(ratio.high)}",
            {True: "met", False: "**missed**", None: "not measured"}[ratio.met],
        )
        for asked in report.questions
        for ratio in asked.ratios
    ]
    return table_text(("question", "target", "ratio", "spread", ""), rows, texts=2) if rows else ""


def question_tables(report: Report) -> str:
    """All questions, each with its table."""
    return "\n\n".join(_section(asked, level=3) for asked in report.questions)


def render(path: Path, report: Report) -> list[Path]:
    """Write the report's Markdown and charts beside its JSON file; the files that were written."""
    from benchmarks.charts import write_charts

    text = path.with_suffix(".md")
    text.write_text(markdown(report), encoding="utf-8")
    return [text, *write_charts(report, path)]


def fill_pages(path: Path, report: Report, pages: Iterable[Path] = (README, DOCS)) -> None:
    """Put the report where a page has `<!-- latest 10M targets -->` or tables, charts, machine … `<!-- /latest -->`."""
    for page in pages:
        text = page.read_text(encoding="utf-8")
        filled = filled_text(text, report, os.path.relpath(path.parent, page.parent), path)
        if filled != text:
            page.write_text(filled, encoding="utf-8")


def filled_text(text: str, report: Report, folder: str, path: Path) -> str:
    """A page's text with what its markers ask for; `folder` leads from the page to the results."""
    charts = [
        f"![{title}]({folder}/{path.stem}-{kind}.svg)"
        for kind, title in (("ratios", "Time relative to metering-duck"), ("growth", "Time over size"))
        if path.with_name(f"{path.stem}-{kind}.svg").exists()
    ]
    parts = {
        "machine": measured_on(report),
        "targets": target_table(report),
        "tables": question_tables(report),
        "charts": "\n\n".join(charts),
    }
    for name, part in parts.items():
        text = with_block(text, f"<!-- latest {size(report.events)} {name} -->", part)
    return text


def with_block(text: str, opening: str, part: str) -> str:
    """The text with the part between the opening and CLOSING, where it has them."""
    before, mark, rest = text.partition(opening)
    if not mark:
        return text
    return f"{before}{opening}\n\n{part}\n\n{CLOSING}{rest.partition(CLOSING)[2]}"


# --- tables ----------------------------------------------------------------------------------------------------------


def _section(asked: Asked, level: int) -> str:
    parts = [f"{'#' * level} {asked.title}", asked.why, asked.notes, _timings(asked.timings)]
    parts += [f"**{line}**" for error in asked.errors for line in error.splitlines()[:1]]
    return "\n\n".join(part for part in parts if part)


def _timings(timings: Sequence[Timing]) -> str:
    header = ("contestant", "events", "median s", "min – max", f"× {OURS}", "CPU s", "peak MB", "rows")
    return table_text(header, [_timing(one, counterpart(timings, one, OURS)) for one in timings])


def _timing(one: Timing, ours: Timing | None) -> tuple[str, ...]:
    if one.median is None:
        return one.contestant, size(one.events), "failed", "", "", "", "", ""
    return (
        one.contestant,
        size(one.events),
        number_text(one.median),
        f"{number_text(one.min)} – {number_text(one.max)}",
        number_text(one.median / ours.median) if ours and ours.median else "",
        number_text(one.cpu_median),
        f"{one.peak_mb:,.0f}",
        f"{one.answer_rows:,}",
    )


def _fastest_of(ratio: Ratio) -> str:
    if ratio.against and len(ratio.of) > 1:
        return f"{ratio.against} (the fastest of {', '.join(ratio.of)})"
    return ratio.of[0] if len(ratio.of) == 1 else f"the fastest of {', '.join(ratio.of)}"


def number_text(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    return (
        f"{value:,.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 1
        else f"{value:.3f}"
    )


def table_text(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table: the first columns are texts, the others numbers, to the right."""
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * texts + "---:|" * (len(header) - texts)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
