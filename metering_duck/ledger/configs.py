"""Configs as canonical texts, which are equal for configs of one meaning, and the digests of these texts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from metering_duck.calls.arguments import checked_config
from metering_duck.contract.config import ConfigLike, MeteringConfig
from metering_duck.contract.times import utc
from metering_duck.errors import LedgerError
from metering_duck.ledger.store import StoreEngine
from metering_duck.ledger.texts import stored_config


def digest(*parts: object) -> str:
    """SHA-256 (hex) of values as canonical JSON: equal digests mean equal values."""
    return hashlib.sha256(json_text(parts).encode()).hexdigest()


def json_text(value: object) -> str:
    """Canonical JSON: keys in order, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def config_text(config: MeteringConfig) -> str:
    """A config as canonical JSON, whatever its file looked like."""
    return json_text(config.model_dump(mode="json", by_alias=True, exclude_none=True))


@dataclass(frozen=True)
class KnownConfig:
    """A config, its canonical text and its digest."""

    config: MeteringConfig
    text: str
    sha256: str


def config_or_none(given: ConfigLike | None) -> KnownConfig | None:
    """The config that is given, checked, with its text and digest; None if none is given.

    Raises: ConfigError.
    """
    return None if given is None else known_config(given)


def known_config(given: ConfigLike) -> KnownConfig:
    """The config that is given, checked, with its text and digest.

    Raises: ConfigError.
    """
    config = checked_config(given)
    text = config_text(config)
    return KnownConfig(config, text, hashlib.sha256(text.encode()).hexdigest())


def stored(engine: StoreEngine, sha256: str) -> KnownConfig:
    """A config out of the ledger, by its digest.

    Raises: LedgerError where the stored text has another digest, or is no config.
    """
    rows = engine.rows("SELECT config FROM configs WHERE config_sha256 = $sha", {"sha": sha256})
    text = str(rows[0][0]) if rows else ""
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise LedgerError(f"{engine.path}: config {sha256[:12]} is not what it was; expected it as it was stored.")
    return KnownConfig(stored_config(text), text, sha256)


def store(engine: StoreEngine, config: KnownConfig, now: datetime) -> None:
    """Keep a config, inside a transaction."""
    engine.rows(
        "INSERT INTO configs SELECT $sha, $text, $now WHERE $sha NOT IN (SELECT config_sha256 FROM configs)",
        {"sha": config.sha256, "text": config.text, "now": now},
    )


def make_effective(engine: StoreEngine, config: KnownConfig, start: datetime, end: datetime, now: datetime) -> None:
    """Make a config effective from `start` to `end`, and beyond `end` if no other came into effect in between."""
    later = engine.rows(
        "SELECT DISTINCT effective_from FROM config_versions WHERE effective_from > $start AND effective_from < $end "
        "ORDER BY effective_from",
        {"start": start, "end": end},
    )
    # Of equal moments the config counts that was added last, whatever the clock said (R24).
    ((last,),) = engine.rows("SELECT max(added_at) FROM config_versions")
    now = now if last is None else max(now, utc(last))
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
    """The digest of the config that is effective at a moment; None where no config is."""
    rows = engine.rows(
        "SELECT config_sha256 FROM config_versions WHERE effective_from <= $moment "
        "ORDER BY effective_from DESC, added_at DESC, rowid DESC LIMIT 1",
        {"moment": moment},
    )
    return str(rows[0][0]) if rows else None
