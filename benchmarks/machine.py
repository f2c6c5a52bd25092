"""What a result was measured on: the machine, the libraries' versions, and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parent.parent
PACKAGES = ("metering-duck", "duckdb", "polars", "pyarrow", "chdb", "chdb-core")


def machine() -> dict[str, str | int | float]:
    """The machine as Linux describes it. Units: cores that this process may use; memory in GB of 10⁹ bytes."""
    return {
        "cpu": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) * 1024 / 1e9, 1),
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        "kernel": platform.release(),
    }


def versions() -> dict[str, str]:
    """The version of Python and of each library that takes part and is installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> tuple[str, bool]:
    """The commit that is checked out, and whether files differ from it; of a copy without history, "unknown"."""
    head = _git("rev-parse", "HEAD")
    return (head, bool(_git("status", "--porcelain"))) if head else ("unknown", False)


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(PROJECT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _field(path: Path, name: str) -> str:
    """The value of the first line `name: value`; a machine that does not tell is "unknown"."""
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
