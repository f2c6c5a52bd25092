"""Charts of a report as SVG: how long each took relative to metering-duck, and how time grows with size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt

from benchmarks.results import Asked, Report, counterpart

OURS = "metering-duck"
WIDTH, BAR, PANEL = 520, 16, 240
COLORS = {
    OURS: "#f2b134",
    "bare query": "#8d99ae",
    "ClickHouse": "#c8553d",
    "Polars": "#3d7ea6",
    "plain Python": "#5b8e55",
}
TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]
AXES = {"events": "events", "subjects": "subjects", "measurements": "measurements", "answer_rows": "rows of the answer"}


def write_charts(report: Report, path: Path) -> list[Path]:
    """Write the charts that the report has numbers for, named like its JSON file; the files that were written."""
    ratios, growth = ratio_values(report), growth_values(report)
    charts = {"ratios": ratio_chart(ratios) if ratios else None, "growth": growth_chart(growth) if growth else None}
    written = []
    for kind, chart in charts.items():
        target = path.with_name(f"{path.stem}-{kind}.svg")
        target.unlink(missing_ok=True)
        if chart is not None:
            chart.save(str(target))
            written.append(target)
    return written


def ratio_values(report: Report) -> list[dict[str, Any]]:
    """A row for each contestant that did the same work as metering-duck: its median by metering-duck's."""
    return [value for asked in report.questions if asked.growth is None for value in _ratios_of(asked)]


def _ratios_of(asked: Asked) -> list[dict[str, Any]]:
    values = []
    for one in asked.timings:
        ours = counterpart(asked.timings, one, OURS)
        if ours is None or not ours.median or not one.median:
            continue
        ratio = one.median / ours.median
        names = {"question": asked.title, "contestant": one.contestant, "kind": _kind(one.contestant)}
        values.append({**names, "ratio": ratio, "one": 1.0, "label": f"{ratio:.2f} × ({one.median:.2f} s)"})
    return values if any(value["ratio"] != 1 for value in values) else []


def growth_values(report: Report) -> list[dict[str, Any]]:
    """A row for each point of each line: seconds over the field that the question lets grow."""
    return [
        {"panel": f"{asked.title}: seconds over {AXES[asked.growth]}", "line": _kind(one.contestant)}
        | {"size": getattr(one, asked.growth), "seconds": one.median}
        for asked in report.questions
        if asked.growth is not None
        for one in asked.timings
        if one.median
    ]


def ratio_chart(values: list[dict[str, Any]]) -> alt.FacetChart:
    """Bars from 1, on a logarithmic scale: twice as fast is as long as twice as slow."""
    base = alt.Chart().encode(y=alt.Y("contestant:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)))
    scale = alt.Scale(type="log", domain=_domain(values), nice=False)
    bars = base.mark_bar(height=BAR - 5).encode(
        x=alt.X(
            "ratio:Q",
            scale=scale,
            axis=alt.Axis(values=_ticks(values)),
            title=f"time relative to {OURS}; left is faster",
        ),
        x2="one:Q",
        color=alt.Color("kind:N", scale=_colors(values, "kind"), legend=None),
    )
    labels = base.mark_text(align="left", dx=4, fontSize=10).encode(x=alt.X("end:Q", scale=scale), text="label:N")
    layers = alt.layer(bars, labels, data=alt.InlineData(values=values))
    chart = layers.transform_calculate(end="max(datum.ratio, 1)").properties(width=WIDTH, height=alt.Step(BAR))
    header = alt.Header(labelOrient="top", labelAnchor="start", labelFontWeight="bold", labelFontSize=12)
    order = list(dict.fromkeys(value["question"] for value in values))
    rows = alt.Row("question:N", title=None, sort=order, header=header)
    panels: alt.FacetChart = chart.facet(row=rows, spacing=12).resolve_scale(y="independent")
    return panels


def growth_chart(values: list[dict[str, Any]]) -> alt.FacetChart:
    """A panel a question, both axes logarithmic: what grows in step with its size is a line that rises by its width."""
    lines = alt.Chart(alt.InlineData(values=values)).mark_line(point=True)
    axis = alt.Axis(format="~s", labelOverlap="greedy", labelSeparation=8, grid=False)
    chart = lines.encode(
        x=alt.X("size:Q", scale=alt.Scale(type="log", nice=False), title=None, axis=axis),
        y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds", axis=alt.Axis(format="~g")),
        color=alt.Color("line:N", scale=_colors(values, "line"), title=None),
    ).properties(width=PANEL, height=PANEL)
    order = list(dict.fromkeys(value["panel"] for value in values))
    facet = alt.Facet("panel:N", title=None, sort=order, header=alt.Header(labelFontWeight="bold"))
    panels: alt.FacetChart = chart.facet(facet=facet, columns=2).resolve_scale(x="independent", y="independent")
    return panels


def _kind(contestant: str) -> str:
    return contestant.partition(",")[0]


def _colors(values: list[dict[str, Any]], key: str) -> alt.Scale:
    names = list(dict.fromkeys(value[key] for value in values))
    return alt.Scale(domain=names, range=[COLORS.get(name, "#b8b8b8") for name in names])


def _domain(values: list[dict[str, Any]]) -> list[float]:
    """From the fastest to the slowest, with room for a label."""
    ratios = [value["ratio"] for value in values]
    return [min(0.5, *ratios) / 1.1, max(2.0, *ratios) * 4]


def _ticks(values: list[dict[str, Any]]) -> list[float]:
    low, high = _domain(values)
    return [tick for tick in TICKS if low <= tick <= high]
