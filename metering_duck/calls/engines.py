"""Engines: readings are computed on this machine or on a cluster; `cluster_of` opens a cluster by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metering_duck.calls.arguments import reach_of
from metering_duck.calls.engine_names import ENGINES
from metering_duck.calls.idle_options import idle_options, idle_reading
from metering_duck.calls.notices import record_notices, with_notices
from metering_duck.contract.config import MeteringConfig
from metering_duck.errors import ConfigError
from metering_duck.inputs.source import Source
from metering_duck.judging.events import TYPE
from metering_duck.runs.local import LocalReadings, compiler_of, grouping_notices, record_compiler_of
from metering_duck.runs.machine import Machine
from metering_duck.runs.opening import closed_on_failure, open_input
from metering_duck.runs.question import Question
from metering_duck.runs.results import Result, result_of

if TYPE_CHECKING:
    from metering_duck.clusters.cluster import Cluster


def cluster_of(engine: str, master: str | None, events: Any, source: Source) -> Cluster | None:
    """The cluster that computes the readings; None for this machine.

    Raises: ConfigError; SourceError where no master answers.
    """
    _check_engine(engine)
    if engine == "duckdb":
        _check_master(master)
        return None
    if source.generate_ids:
        raise ConfigError(
            f"generate-ids: found it with the engine {engine}, whose tasks do not see all rows that are equal; "
            "expected events with ids. hint: leave the engine out, or make ids where the events are written"
        )
    from metering_duck.spark.cluster import open_spark

    return open_spark(master, events)


def check_no_cluster(engine: str, master: str | None) -> None:
    """Refuse a cluster for records, which only this machine reads.

    Raises: ConfigError.
    """
    _check_engine(engine)
    if engine != "duckdb":
        raise ConfigError(f"engine: found {engine} with records; expected events. hint: leave the engine out")
    _check_master(master)


def _check_engine(engine: str) -> None:
    if engine not in ENGINES:
        raise ConfigError(f"engine: found {engine!r}; expected one of {', '.join(ENGINES)}.")


def _check_master(master: str | None) -> None:
    """Refuse a master where there is no cluster.

    Raises: ConfigError.
    """
    if master is not None:
        raise ConfigError(f"master: found {master!r} without a cluster; expected the engine spark beside it.")


def readings_here(events: Any, config: MeteringConfig, source: Source, question: Question, machine: Machine) -> Result:
    """Readings of events, computed on this machine."""
    reach = reach_of(config, question)
    opened = open_input(machine, events, source, question, reach=reach)
    with closed_on_failure(opened.engine):
        compiler = compiler_of(config, opened)
        opened = with_notices(opened, config).noting(
            [*idle_reading(source, reach), *grouping_notices(opened, compiler)]
        )
        return result_of(opened, LocalReadings(opened, compiler), "reading")


def readings_of_cluster(
    cluster: Cluster, events: Any, config: MeteringConfig, source: Source, question: Question, machine: Machine
) -> Result:
    """Readings of events, computed on a cluster."""
    from metering_duck.clusters.driver import DistributedReadings, has_type_on_cluster, open_on_cluster

    reach = reach_of(config, question)
    has_type = TYPE in question.group_by
    if has_type:
        has_type = has_type_on_cluster(cluster, machine, events, config, source, question)
    opened, schema = open_on_cluster(cluster, machine, events, source, question, reach)
    with closed_on_failure(opened.engine):
        compiler = compiler_of(config, opened, has_type=has_type)
        opened = with_notices(opened, config).noting(
            [*idle_reading(source, reach), *grouping_notices(opened, compiler)]
        )
        computing = DistributedReadings(cluster, schema, opened, compiler, machine)
        return result_of(opened, computing, "reading")


def readings_of_records(
    records: Any, config: MeteringConfig | None, source: Source, question: Question, machine: Machine
) -> Result:
    """Readings of records; their aggregations are known only when the records are read."""
    opened = open_input(machine, records, source, question)
    with closed_on_failure(opened.engine):
        judge = record_compiler_of(config, opened)
        made = [slot.aggregation for slot in judge.slots if slot.aggregation]
        opened = with_notices(opened, config).noting(idle_reading(source, "all"))
        notices = idle_options(question, made) if config is None else record_notices(config, judge)
        opened = opened.noting(notices)
        return result_of(opened, LocalReadings(opened, judge), "reading")
