"""Result scales: to how many fraction digits the readings that a measurement takes part in are rounded (R16)."""

from __future__ import annotations

from metering_duck.contract.config import MeteringConfig


def result_scales(config: MeteringConfig, chosen: str | None = None) -> dict[str, int | None]:
    """Path of a measurement → the scale of its readings, None where no measurement says one.

    A reading has one scale: the largest that the measurements of its workspace, unit and aggregation say. An entry
    without a workspace is of every workspace, so that its readings share a scale with those of all. `chosen` is the
    aggregation that a call asks for.
    """
    together: dict[tuple[str, str], list[tuple[str, str | None, int | None]]] = {}
    paths = iter(config.measurements)
    for entry in config.entries:
        for measurement in entry.measurements:
            aggregation = measurement.aggregated(chosen)
            key = measurement.unit, aggregation.name if aggregation else ""
            together.setdefault(key, []).append((next(paths)[0], entry.workspace_id, measurement.result_scale))
    found: dict[str, int | None] = {}
    for same in together.values():
        is_of_all = any(workspace is None for _, workspace, _ in same)
        for path, workspace, _ in same:
            said = [scale for _, other, scale in same if scale is not None and (is_of_all or other == workspace)]
            found[path] = max(said, default=None)
    return found
