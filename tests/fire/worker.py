"""A worker: a process that plays cases until it is told to end, and says which case it is at.

It dies with what it tries: whoever started it then knows the case, and starts another one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fire.case import Case, DidNotHold, Tried

# Of the time that there is, each kind has its share.
SHARES = {"events": 0.30, "damage": 0.36, "kills": 0.34}
# What a harmed file says of its lengths may be anything: memory that is asked for beyond this is not given.
MEMORY_BYTES = 12 << 30
KEPT_OF_A_KIND = 3


@dataclass(frozen=True)
class Orders:
    """What a worker is to do: of which kinds, from which numbers on, and where failing cases are kept.

    `only` are beginnings of names of cases; `numbers` are the first case and the step to the next one.
    """

    seed: str
    kinds: tuple[str, ...]
    numbers: tuple[int, int]
    kept: str
    plant: str = ""
    only: str = ""
    counts: int = 0
    until: float = 0.0


def players() -> dict[str, Callable[[Case], Tried]]:
    """Kind → what plays a case of it."""
    from tests.fire import damage, kills, random_events

    return {"events": random_events.play, "damage": damage.play, "kills": kills.play}


def work(orders: Orders, to_chief: Connection, died_at: dict[str, int]) -> None:
    """Play cases until the time is up. `died_at` are the numbers at which workers before this one stopped."""
    faulthandler.enable(open(os.path.join(orders.kept, f"died-{os.getpid()}.txt"), "w"))  # noqa: SIM115 - for good
    warnings.simplefilter("ignore")
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
    for tried in play_cases(orders, died_at, lambda *said: to_chief.send(said)):
        to_chief.send(("tried", *tried))
    to_chief.send(("done",))
    to_chief.close()


def play_cases(
    orders: Orders, died_at: dict[str, int], say: Callable[..., None]
) -> Iterator[tuple[str, int, Tried, float]]:
    """Each case with its kind, its number, what it tried and its seconds; the kinds take turns by their shares."""
    plays, (first, step) = players(), orders.numbers
    following = {kind: died_at.get(kind, first - step) + step for kind in orders.kinds}
    spent = dict.fromkeys(orders.kinds, 0.0)
    seen: Counter[str] = Counter()
    played = 0
    while time.time() < orders.until and not (orders.counts and played >= orders.counts):
        kind = min(orders.kinds, key=lambda one: spent[one] / SHARES[one])
        number, begun = following[kind], time.monotonic()
        following[kind] += step
        with tempfile.TemporaryDirectory(prefix="fire-") as name:
            folder = Path(name, "case")
            folder.mkdir()
            case = Case(orders.seed, kind, number, folder, orders.plant, orders.only, _saying(say, kind, number))
            case.now("begin")
            tried = _tried(plays[kind], case)
            _keep(orders, case, tried, seen)
        seconds = time.monotonic() - begun
        spent[kind] += seconds
        played += 1
        yield kind, number, tried, seconds


def _saying(say: Callable[..., None], kind: str, number: int) -> Callable[[str], None]:
    return lambda step: say("at", kind, number, step)


def _tried(play: Callable[[Case], Tried], case: Case) -> Tried:
    try:
        return play(case)
    except DidNotHold as fault:
        return Tried(case.kind, runs=1, faults=[fault])
    except Exception as error:
        what = f"the fire itself failed: {type(error).__name__}"
        return Tried(case.kind, runs=1, faults=[DidNotHold(what, traceback.format_exc())])


def _keep(orders: Orders, case: Case, tried: Tried, seen: Counter[str]) -> None:
    """Keep the folder of a case that did not hold, of each kind of fault the first few."""
    seen.update(fault.what for fault in tried.faults)
    if any(seen[fault.what] <= KEPT_OF_A_KIND for fault in tried.faults):
        target = Path(orders.kept, f"{case.kind}-{case.number}")
        shutil.copytree(case.folder, target, dirs_exist_ok=True, ignore_dangling_symlinks=True)
        (target / "why.txt").write_text("\n\n".join(str(fault) for fault in tried.faults), errors="backslashreplace")
