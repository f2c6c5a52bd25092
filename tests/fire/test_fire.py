"""The fire itself, for a few seconds: it holds where nothing is wrong, and finds what is planted."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest

from tests.fire import damage, forms, reading, texts
from tests.fire.program import main
from tests.fire.reading import NotReadable
from tests.oracle import quantity_of


def played(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of a few cases in this process, and what was printed."""
    code = main(["--workers", "0", "--seed", "smoke", "--keep", str(folder), *arguments])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("case", ["events/2", "damage/1"])
def test_what_is_right_holds(case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A case of each kind that runs in this process ends with what was tried, and with exit code 0."""
    kind, number = case.split("/")
    code, said = played(capsys, tmp_path, "--only", kind, "--case", number, "--report", str(tmp_path / "report.md"))
    assert (0, "all held") == (code, said.splitlines()[-1])
    assert f"| {kind} | 1 | " in (tmp_path / "report.md").read_text()


def test_a_wrong_digit_is_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An answer that is wrong in its last digit fails, with the command that plays the case again, and its folder."""
    code, said = played(capsys, tmp_path, "--only", "events", "--case", "2", "--plant", "digit")
    assert 1 == code
    assert "DID NOT HOLD, 1 time: readings that are not the oracle's" in said
    assert "python -m tests.fire --seed smoke --only events --case 2" in said
    assert {"question.json", "why.txt"} <= {path.name for path in (tmp_path / "events-2").iterdir()}


def test_half_of_a_file_taken_for_the_whole_is_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An answer out of half of a file, in place of the error, fails."""
    code, said = played(capsys, tmp_path, "--only", "damage", "--case", "1", "--plant", "digit")
    assert 1 == code
    assert "DID NOT HOLD" in said


@pytest.mark.slow
@pytest.mark.parametrize("plant", ["", "half-file"])
def test_what_a_killed_command_leaves_is_found(plant: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Kills of one command: they hold; a file that is left behind does not."""
    planted = ("--plant", plant) if plant else ()
    code, said = played(capsys, tmp_path, "--only", "kills/meter-over", "--cases", "6", *planted)
    assert (1 if plant else 0) == code, said
    assert ("left behind: ….partial" in said) == bool(plant)


def test_the_same_seed_makes_the_same_file() -> None:
    """A case is made of its seed and its number alone."""
    one, other = (damage.make(random.Random("a seed")) for _ in range(2))
    assert (one.form, one.data, one.reads) == (other.form, other.data, other.reads)


@pytest.mark.parametrize("codec", ["gz", "zst"])
def test_the_other_reader_takes_whole_files_alone(codec: str) -> None:
    """What the engine is compared with reads every frame, and refuses one that is cut."""
    chance = random.Random(codec)
    for _ in range(30):
        data = chance.randbytes(chance.randrange(1, 400))
        whole = forms.compressed(chance, data, codec)
        assert data == reading.decompressed(whole, codec)
        with pytest.raises(NotReadable):
            reading.decompressed(whole[:-1], codec)


def test_the_pools_are_what_they_should_be() -> None:
    """The quantities that the fire calls good are good, and those it calls bad are bad."""
    assert all(isinstance(quantity_of(text), Fraction) for text in (*texts.QUANTITIES, *texts.LARGE[:2]))
    assert all(isinstance(quantity_of(text), str) for text in texts.NO_QUANTITIES if len(text) < 4000)
