"""Own settings: what the id of a reading says of how its own quantity was rounded (R16, R21).

Settings of the run are the same for all readings, and are a parameter. A config rounds each unit in its own way; where
that is not the plain way, the settings in ids are chosen by unit and aggregation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from metering_duck.decimals.columns import SCALE_DEFAULT
from metering_duck.judging.slots import UNIT_COLUMN
from metering_duck.readings.identity import Settings
from metering_duck.statements.quote import literal, literal_list
from metering_duck.statements.select import case
from metering_duck.statements.stages import Stage, load_stage

if TYPE_CHECKING:
    from metering_duck.readings.series import Series, Totals

SETTINGS = "$settings"


def readings_stage(totals: Totals) -> Stage:
    """The stage `readings`, with the settings of each series in ids, and the windows before one that carries theirs."""
    stage, settings = load_stage("readings"), _settings_sql(totals)
    if totals.fill == "carry":
        settings += (
            " || CASE WHEN windows_before IS NULL THEN '' ELSE encoded('windows') || encoded(windows_before) END"
        )
    return replace(stage, sql=stage.sql.replace(SETTINGS, settings))


def _settings_sql(totals: Totals) -> str:
    """SQL for the settings of a reading: the run's, or those of its unit and aggregation where any are others."""
    # Of records, units that the config does not name come last.
    listed = sorted(totals.series, key=lambda series: series.unit_sql == UNIT_COLUMN and not series.slots[0].units)
    found = [(_is_of_sql(totals, series), settings_of(totals, series)) for series in listed]
    if all(settings == totals.settings for _, settings in found):
        return SETTINGS
    return case(
        ((condition, SETTINGS if own == totals.settings else literal(own.text)) for condition, own in found), SETTINGS
    )


def _is_of_sql(totals: Totals, series: Series) -> str:
    """SQL for whether a reading is of a series."""
    conditions = [f"aggregation = {literal(series.aggregation.keyed)}"]
    units = series.slots[0].units
    if series.unit_sql != UNIT_COLUMN:
        conditions.insert(0, f"unit = {series.unit_sql}")
    elif units:
        conditions.insert(0, _is_one_of("unit", units))
    workspaces = sorted({name for slot in series.slots for name in slot.workspaces})
    if workspaces and not totals.across_workspaces:
        conditions.append(_is_one_of("workspace_id", workspaces))
    return " AND ".join(conditions)


def _is_one_of(column: str, texts: Sequence[str]) -> str:
    return f"{column} IN ({literal_list(texts)[1:-1]})"


def settings_of(totals: Totals, series: Series) -> Settings:
    """The settings of the readings of a series: how they were rounded, where that is not as plain ones are."""
    rounding = totals.rounding(series)
    aggregation, outermost = series.aggregation, series.aggregation.outermost
    percentile = aggregation.percentile
    is_quotient = outermost.divided_by is not None or bool(percentile and percentile.interpolated)
    # Inner readings and split spans are rounded on the way, whatever the result is.
    is_rounded_before = aggregation.prorated or aggregation.outer is not None
    if totals.digits is not None and not is_rounded_before:
        return totals.settings
    value_scale = 0 if outermost.is_whole else series.decimal.scale
    if is_quotient or is_rounded_before:
        scale = None if rounding.scale == SCALE_DEFAULT else rounding.scale
    elif rounding.scale < value_scale:
        scale = rounding.scale
    else:
        return totals.settings
    return replace(
        totals.settings,
        scale=totals.settings.scale if totals.scale is not None else scale,
        rounding=rounding.mode,
    )
