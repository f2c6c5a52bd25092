"""Where the material shared by several projects lies. It is not part of this repository and may be absent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def need(name: str) -> Path:
    """A path in the shared folder; where it is absent, the module that asks is skipped and says so."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(
            f"{path} is absent: the shared folder is not there, so nothing is compared", allow_module_level=True
        )
    return path


def read_cases(path: Path) -> list[dict[str, Any]]:
    """Gzipped JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
