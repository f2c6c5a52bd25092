"""Kills: SIGKILL, SIGTERM and a full disk at random moments of every command that writes.

Whatever the moment, what others see is as before or as after; a ledger verifies, with whole periods; the same command
again gives the bytes of a run that nobody disturbed, and leaves nothing behind that such a run would not.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fire import processes
from tests.fire.case import Case, DidNotHold, Tried
from tests.fire.scenes import SCENES, Scene, Seen, environment_in

# How a command is disturbed, and how often.
WAYS = {"SIGKILL": 55, "SIGTERM": 20, "file size": 13, "full disk": 12}
ROOM_BYTES = 1 << 28
LOOK_EVERY_SECONDS = 0.001


@dataclass(frozen=True)
class Stage:
    """A scene made ready: the folder before and after a run that nobody disturbed, and how that run went."""

    scene: Scene
    template: Path
    before: Seen
    after: Seen
    names: frozenset[str]
    seconds: float
    begins: float
    ends: float
    largest: int
    total: int


def play(case: Case) -> Tried:
    """One command, disturbed once, and run again."""
    chance = case.chance
    chosen = chance.choice(list(SCENES))
    scene = SCENES[case.only.partition("/")[2] or chosen]
    tried = Tried(f"kills/{scene.name}")
    way = chance.choices(list(WAYS), list(WAYS.values()))[0]
    case.now("undisturbed")
    stage = ready(scene.name, case.seed)
    case.now(way)
    with _Place(in_memory=way == "full disk" and may_mount()) as place:
        try:
            tried.count(_disturb(case, tried, stage, place, way))
        except DidNotHold as fault:
            fault.what = f"{fault.what} ({scene.name})"
            fault.details = f"{way}: {' '.join(scene.command)}\n{fault.details}"
            tried.fault(fault)
            shutil.copytree(place.root, case.folder / "place", symlinks=True)
    return tried


# --- the scene, undisturbed ------------------------------------------------------------------------------------------


@functools.cache
def ready(name: str, seed: str) -> Stage:
    """A scene and its undisturbed run; once a process."""
    scene = SCENES[name]
    template = _templates() / name
    with _Place() as made:
        scene.prepare(made.work, random.Random(f"{seed}/{name}").randrange(10**6))
        before = scene.look(made.work)
        shutil.copytree(made.work, template, symlinks=True)
        begun, moments = time.monotonic(), []
        command, state = made.start(scene), _state(made.work)
        while command.process.is_alive():
            now = _state(made.work)
            if now != state:
                moments.append(time.monotonic() - begun)
                state = now
            time.sleep(LOOK_EVERY_SECONDS)
        seconds = time.monotonic() - begun
        done = command.end()
        if done.code:
            raise DidNotHold(f"a command that fails undisturbed: {scene.command[0]}", f"{scene.command}\n{done}")
        after, names = scene.look(made.work), _names(made.work)
        sizes = [path.stat().st_size for path in made.work.rglob("*") if path.is_file()]
    first, last = (moments[0], moments[-1]) if moments else (0.0, seconds)
    return Stage(scene, template, before, after, names, seconds, first, last, max(sizes), sum(sizes))


# --- a place to be disturbed in --------------------------------------------------------------------------------------


@functools.cache
def _templates() -> Path:
    """Where this process keeps its scenes; it goes with the process."""
    home = Path(tempfile.mkdtemp(prefix="fire-scenes-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


class _Place:
    """A folder `work`, and beside it one for temporary files; on a small disk of its own if that is asked for.

    It is always the same path in this process, since ledgers and catalogs have paths in them.
    """

    def __init__(self, *, in_memory: bool = False) -> None:
        self.root, self.in_memory = _templates() / "place", in_memory
        self.work, self.temporary = self.root / "work", self.root / "temporary"

    def __enter__(self) -> _Place:
        self.root.mkdir()
        if self.in_memory:
            _mount("-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "fire", str(self.root))
        self.temporary.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        if self.in_memory:
            subprocess.run(["umount", "-l", str(self.root)], check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self, scene: Scene, **options: Any) -> processes.Command:
        """The scene's command, begun here."""
        environment = {"TMPDIR": str(self.temporary), **environment_in(self.work)}
        return processes.Command(scene.command, self.work, environment=environment, **options)

    def room(self, size: int) -> None:
        """Make the disk so large."""
        _mount("-o", f"remount,size={size}", str(self.root))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@functools.cache
def may_mount() -> bool:
    """Whether this process may make a small disk in memory."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory(prefix="fire-mount-") as name:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "fire", name], check=False, capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", name], check=False)
    return done.returncode == 0


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and its time."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                found[str(path)] = status.st_size, status.st_mtime_ns
    return found


def _names(folder: Path) -> frozenset[str]:
    return frozenset(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- one disturbance -------------------------------------------------------------------------------------------------


def _disturb(case: Case, tried: Tried, stage: Stage, place: _Place, way: str) -> str:
    """What came of it; whether it hit a command that had begun to write is counted."""
    chance = case.chance
    shutil.copytree(stage.template, place.work, symlinks=True)
    untouched = _state(place.work)
    if way in ("SIGKILL", "SIGTERM"):
        done = _signalled(chance, stage, place, getattr(signal, way), untouched)
        hit = done.code in (-signal.SIGKILL, -signal.SIGTERM, 130)
    else:
        done = _without_room(chance, stage, place, way)
        hit = done.code not in (0, -14)
    wrote = _state(place.work) != untouched
    tried.hits = int(hit and wrote)
    if case.plant == "half-file" and hit:
        (place.work / ".half.partial").write_bytes(b"half")
    _check_words(done, way)
    state = "killed while it wrote" if wrote else "killed before it wrote"
    seen = stage.scene.look(place.work)
    _check_seen(stage, seen)
    if stage.scene.has_ledger and (place.work / "usage.duckdb").exists():
        _check_ledger(place)
    if seen != stage.after:
        again = place.start(stage.scene).end()
        if again.code:
            raise DidNotHold("the same command again fails", repr(again))
        seen = stage.scene.look(place.work)
        if seen != stage.after:
            raise DidNotHold("other bytes than an undisturbed run's", _difference(stage.after, seen))
        _check_left(stage, place)
        if stage.scene.has_ledger:
            _check_ledger(place)
    else:
        state = "done before the kill"
    return state if hit else "not hit: it ended by itself"


def _signalled(
    chance: random.Random, stage: Stage, place: _Place, number: int, untouched: dict[str, tuple[int, int]]
) -> processes.Done:
    """Send a signal: four times of five some moments after the first write, else at any moment of the run."""
    command = place.start(stage.scene)
    if chance.random() < 0.8:
        until = time.monotonic() + 3 * stage.seconds + 1
        while _state(place.work) == untouched and command.process.is_alive() and time.monotonic() < until:
            time.sleep(LOOK_EVERY_SECONDS)
        time.sleep(chance.uniform(0, max(stage.ends - stage.begins, 0.002)))
    else:
        time.sleep(chance.uniform(0, stage.seconds))
    command.signal(number)
    return command.end()


def _without_room(chance: random.Random, stage: Stage, place: _Place, way: str) -> processes.Done:
    """Run it where no file may grow beyond some size, or where the disk is too small; there is room afterwards."""
    if not place.in_memory or way == "file size":
        return place.start(stage.scene, file_bytes_max=chance.randrange(stage.largest)).end()
    held = sum(size for size, _ in _state(place.work).values())
    place.room(held + 65536 + chance.randrange(max(stage.total - held, 1) + 262144))
    done = place.start(stage.scene).end()
    place.room(ROOM_BYTES)
    return done


# --- what must hold afterwards ---------------------------------------------------------------------------------------


def _check_words(done: processes.Done, way: str) -> None:
    if "Traceback" in done.error:
        raise DidNotHold(f"a traceback after {way}", done.error)
    if done.code == -14:
        raise DidNotHold(f"a command that does not end after {way}", done.error)
    if done.code < 0 and -done.code not in (signal.SIGKILL, signal.SIGTERM):
        raise DidNotHold(f"died of {signal.Signals(-done.code).name} after {way}", done.error)
    if done.code > 0 and "error: " not in done.error:
        raise DidNotHold(f"no words after {way}, exit code {done.code}", repr(done))


def _check_seen(stage: Stage, seen: Seen) -> None:
    """Every part is as before or as after; a ledger has what it had, and of what is new only what will be there."""
    for name, content in seen.items():
        if name == "ledger":
            _check_rows(stage, content)
        elif content not in (stage.before.get(name), stage.after.get(name)):
            size = len(content) if content is not None else "none"
            raise DidNotHold("half of something is to be seen", f"{name}: {size}")


def _check_rows(stage: Stage, content: Any) -> None:
    before, after = (found["ledger"] for found in (stage.before, stage.after))
    if content is None:
        if before is not None:
            raise DidNotHold("the ledger is gone")
        return
    for table in ("runs", "periods", "readings", "rejects", "conflicts", "restatements", "adjustments", "causes"):
        held, late = set((before or {}).get(table, ())), set(after.get(table, ()))
        extra = set(content.get(table, ())) - held - late
        lost = (held & late) - set(content.get(table, ()))
        if extra or lost:
            shown = [f"lost {row}" for row in list(lost)[:2]] + [f"more {row}" for row in list(extra)[:2]]
            raise DidNotHold(f"rows of a ledger that are of no whole run: {table}", "\n".join(shown))
        if len(content.get(table, ())) > max(len((before or {}).get(table, ())), len(after.get(table, ()))):
            raise DidNotHold(f"rows of a ledger twice: {table}")


def _check_ledger(place: _Place) -> None:
    done = processes.run(["ledger", "verify", "--ledger", "usage.duckdb", "-q"], place.work)
    if done.code:
        raise DidNotHold("ledger verify does not hold", f"{done.output.decode(errors='replace')[-1500:]}\n{done.error}")


def _check_left(stage: Stage, place: _Place) -> None:
    """What is left behind is what an undisturbed run leaves; files of a table that no version names may stay."""
    left = {name for name in _names(place.work) - stage.names if not name.startswith(stage.scene.leaves or ("\0",))}
    left |= {f"TMPDIR/{name}" for name in _names(place.temporary)}
    if left:
        kinds = sorted({_kind(name) for name in left})
        raise DidNotHold(f"left behind: {', '.join(kinds)}", "\n".join(sorted(left)[:10]))


def _kind(name: str) -> str:
    """A name without what is random in it."""
    parts = []
    for part in name.split("/")[:2]:
        if part.startswith("metering-duck-"):
            part = "metering-duck-…"
        elif part.endswith(".partial"):
            part = "….partial"
        elif part.startswith(".metering-duck-"):
            part = ".metering-duck-…"
        parts.append(part)
    return "/".join(parts)


def _difference(after: Seen, seen: Seen) -> str:
    for name in after:
        if after[name] == seen.get(name):
            continue
        if name != "ledger" or seen.get(name) is None:
            return f"{name}: {str(after[name])[:300]}\n{str(seen.get(name))[:300]}"
        for table, rows in after[name].items():
            if rows != seen[name].get(table):
                ours, theirs = set(rows), set(seen[name].get(table, ()))
                return f"{table}: expected {list(ours - theirs)[:2]}\nfound {list(theirs - ours)[:2]}"
    return "more than expected: " + ", ".join(sorted(set(seen) - set(after)))
