"""Random hostile events: many small worlds in one list, each in a universe of its own, so that ties, duplicates,
conflicts and carried levels are common."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.fire import texts
from tests.worlds import Event

SPAN_TIMES = (*texts.TIMES, "2024-02-10T00:00:00Z", "2024-02-20T12:34:56.789Z", "2024-03-09T00:00:00Z", "x")
EPOCHS = ("1706659200", "1707000000.5", "1708000000", "1709251200", "-1", "1e9", "1709373600.9999999", "y")
CROWDS = 0.05
LENGTHS = ("0", "1", "90", "86400", "0.0000001", "1.5", "604800", "-1", "1e3", "z")


@dataclass(frozen=True)
class Words:
    """The names and texts that the events and the config of one case are made of."""

    workspaces: list[str]
    subjects: list[str]
    types: list[str]
    ids: list[str]
    tiers: list[str]
    odd_names: list[str]
    plain: bool

    @property
    def names(self) -> list[str]:
        """The properties that hold texts."""
        return ["tier", "region", *self.odd_names]


def words(chance: random.Random, *, plain: bool = False) -> Words:
    """Plain words, or any text."""
    if plain:
        return Words(
            ["w1", "w2"], ["c:1", "c:2"], ["call", "seat"], [f"e{n}" for n in range(9)], ["a", "b", ""], ["other"], True
        )
    taken = {"q", "r", "from", "to", "at", "len", "tier", "region"}
    return Words(
        texts.several(chance, 1, 3),
        texts.several(chance, 1, 3),
        texts.several(chance, 1, 3),
        texts.several(chance, 4, 9),
        [*texts.several(chance, 2, 4), "", "1.5", "-3e2"],
        [name for name in texts.several(chance, 1, 2) if name not in taken],
        False,
    )


def events(chance: random.Random, found: Words, *, worlds: int, large: bool, bad: bool) -> list[Event]:
    """So many worlds of one to seven events, some of which come more than once; in some cases a crowd, too."""
    made = _crowd(chance, found, large=large, bad=bad) if chance.random() < CROWDS else []
    universes = [f"u{n:02}" if found.plain else f"{n:02}{texts.any_text(chance)}" for n in range(worlds)]
    for universe in universes:
        for _ in range(chance.randint(1, 7)):
            one = {**_event(chance, found, large=large, bad=bad), "universeID": universe}
            made.append(one)
            if chance.random() < 0.15:
                made += [{**one, **changed} for changed in _again(chance)]
    if bad:
        for one in made:
            if chance.random() < 0.02:
                name = chance.choice(["id", "workspaceID", "universeID", "type", "subject", "time"])
                one[name] = chance.choice([None, ""])
    chance.shuffle(made)
    return made


def _crowd(chance: random.Random, found: Words, *, large: bool, bad: bool) -> list[Event]:
    """Hundreds of events of one subject and type, each with an id of its own, so that readings have many records."""
    one = {
        "universeID": "crowd",
        "workspaceID": found.workspaces[0],
        "subject": found.subjects[0],
        "type": found.types[0],
    }
    count = chance.randint(100, 400)
    return [{**_event(chance, found, large=large, bad=bad), **one, "id": f"n{number}"} for number in range(count)]


def _again(chance: random.Random) -> list[Event]:
    """What is other in the copies of an event: nothing, or when it entered."""
    return chance.choice(([{}], [{}], [{"meteredAt": texts.METERED[2]}, {}], [{"subject": "another"}]))


def _event(chance: random.Random, found: Words, *, large: bool, bad: bool) -> Event:
    one: Event = {
        "id": chance.choice(found.ids),
        "workspaceID": chance.choice(found.workspaces),
        "type": chance.choice(found.types),
        "subject": chance.choice(found.subjects),
        "time": texts.moment(chance, bad=bad),
        "properties": _properties(chance, found, large=large, bad=bad),
    }
    if chance.random() < 0.5:
        one["meteredAt"] = chance.choice((*texts.METERED, "soon") if bad and chance.random() < 0.1 else texts.METERED)
    return one


def _properties(chance: random.Random, found: Words, *, large: bool, bad: bool) -> dict[str, str | None]:
    made: dict[str, str | None] = {"q": texts.quantity(chance, large=large, bad=bad)}
    optional = {
        "r": lambda: texts.quantity(chance, large=False, bad=bad),
        "tier": lambda: chance.choice(found.tiers),
        "region": lambda: chance.choice(("eu", "us", "")),
        "from": lambda: chance.choice(SPAN_TIMES if bad else SPAN_TIMES[:-1]),
        "to": lambda: chance.choice(SPAN_TIMES if bad else SPAN_TIMES[:-1]),
        "at": lambda: chance.choice(EPOCHS if bad else EPOCHS[:-1]),
        "len": lambda: chance.choice(LENGTHS if bad else LENGTHS[:-3]),
        **{name: lambda: chance.choice(found.tiers) for name in found.odd_names},
    }
    for name, make in optional.items():
        if chance.random() < 0.8:
            made[name] = make()
    if chance.random() < 0.05:
        made[chance.choice(list(made))] = None
    return made
