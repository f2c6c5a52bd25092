"""Configs and options as texts that are the same for what means the same, and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from metering_duck.calls.arguments import Names, check_result_shape, names_of
from metering_duck.contract import aggregations
from metering_duck.contract.config import MeteringConfig, load_config
from metering_duck.errors import ConfigError, LedgerError
from metering_duck.ledger.store import StoreEngine

# A counter's value is carried from window to window: a ledger's runs know one window each.
LEDGER_FILLS = ("none", "zero")


def digest(*parts: object) -> str:
    """SHA-256 (hex) of values, as canonical JSON: equal where all of them are."""
    return hashlib.sha256(json_text(parts).encode()).hexdigest()


def json_text(value: object) -> str:
    """Canonical JSON: keys in order, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def config_text(config: MeteringConfig) -> str:
    """A config as canonical JSON, whatever its file looked like."""
    return json_text(config.model_dump(mode="json", by_alias=True, exclude_none=True))


@dataclass(frozen=True)
class Options:
    """How a run aggregates, beside its config: as the arguments of aggregate() of the same names."""

    aggregation: str | None = None
    fill: str = "none"
    group_by: tuple[str, ...] = ()
    workspace: tuple[str, ...] = ()
    universe: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    across_workspaces: bool = False
    scale: int | None = None
    digits: int | None = None
    universes: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """As canonical JSON, those that are not given left out."""
        return json_text(
            {
                name: value
                for name, value in asdict(self).items()
                # A scale of 0 equals False, and is given all the same.
                if value is not False and value not in (None, (), {}, "none")
            }
        )


def make_options(
    *,
    aggregation: str | None = None,
    fill: str = "none",
    group_by: Names = None,
    workspace: Names = None,
    universe: Names = None,
    subject: Names = None,
    across_workspaces: bool = False,
    scale: int | None = None,
    digits: int | None = None,
) -> Options:
    """Options, checked.

    Raises: ConfigError.
    """
    check_result_shape(scale, digits)
    if fill not in LEDGER_FILLS:
        raise ConfigError(f"fill: found {fill!r}; expected one of {', '.join(LEDGER_FILLS)}.")
    chosen = None if aggregation is None else aggregations.canonical(aggregation, "aggregation")
    named = {"group_by": group_by, "workspace": workspace, "universe": universe, "subject": subject}
    listed: dict[str, Any] = {name: tuple(sorted(names_of(given, name))) for name, given in named.items()}
    return Options(
        aggregation=chosen, fill=fill, across_workspaces=across_workspaces, scale=scale, digits=digits, **listed
    )


def options_of(text: str) -> Options:
    """Options out of their text."""
    found: dict[str, Any] = json.loads(text)
    listed: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in found.items()}
    return Options(**listed)


@dataclass(frozen=True)
class KnownConfig:
    """A config, its canonical text and its digest."""

    config: MeteringConfig
    text: str
    sha256: str


def known(config: MeteringConfig) -> KnownConfig:
    """A config with its text and digest."""
    text = config_text(config)
    return KnownConfig(config, text, hashlib.sha256(text.encode()).hexdigest())


def stored(engine: StoreEngine, sha256: str) -> KnownConfig:
    """A config of the ledger.

    Raises: LedgerError where its text is not what its digest says.
    """
    rows = engine.rows("SELECT config FROM configs WHERE config_sha256 = $sha", {"sha": sha256})
    text = str(rows[0][0]) if rows else ""
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise LedgerError(f"{engine.path}: config {sha256[:12]} is not what it was; expected it as it was stored.")
    return KnownConfig(load_config(json.loads(text)), text, sha256)


def store(engine: StoreEngine, config: KnownConfig, now: datetime) -> None:
    """Keep a config, inside a transaction."""
    engine.rows(
        "INSERT INTO configs SELECT $sha, $text, $now WHERE $sha NOT IN (SELECT config_sha256 FROM configs)",
        {"sha": config.sha256, "text": config.text, "now": now},
    )


def make_effective(engine: StoreEngine, config: KnownConfig, start: datetime, end: datetime, now: datetime) -> None:
    """From one moment to another, this config; and on from there, unless another came into effect in between."""
    later = engine.rows(
        "SELECT DISTINCT effective_from FROM config_versions WHERE effective_from > $start AND effective_from < $end "
        "ORDER BY effective_from",
        {"start": start, "end": end},
    )
    wanted = dict.fromkeys([start, *(moment for (moment,) in later)], config.sha256)
    if later:
        wanted[end] = str(effective(engine, end))
    for moment, sha256 in wanted.items():
        if effective(engine, moment) != sha256:
            engine.rows(
                "INSERT INTO config_versions VALUES ($moment, $sha, $now)",
                {"moment": moment, "sha": sha256, "now": now},
            )


def effective(engine: StoreEngine, moment: datetime) -> str | None:
    """The digest of the config for a period that starts then; None where none is known."""
    rows = engine.rows(
        "SELECT config_sha256 FROM config_versions WHERE effective_from <= $moment "
        "ORDER BY effective_from DESC, added_at DESC, rowid DESC LIMIT 1",
        {"moment": moment},
    )
    return str(rows[0][0]) if rows else None
