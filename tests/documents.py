"""Documents that run: the fenced blocks of a Markdown file are played in order, and what they show is compared.

    ```json title="event.json"   a file, written into the document's folder
    ```console                   a line that starts with "$ " is a command; the lines under it are all it shows
    ```python                    a snippet; a ```text block right behind it is what it prints
    ```bash                      set-up: shown, and run by .ci/run instead

A command must end with exit code 0; one that is meant to fail is followed by `; echo "exit code $?"`. The folder's own
path is shown as /home/you. With UPDATE_DOCS=1 the documents are rewritten with what they show now; CI refuses that.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

from tests import resident

PROJECT = Path(__file__).parent.parent
SHOWN_FOLDER = "/home/you"
_BLOCK = re.compile(
    r"^```console\n(?P<session>.*?)^```$"
    r"|^```python\n(?P<code>.*?)^```$(?P<behind>\n\n```text\n(?P<printed>.*?)^```$)?"
    r'|^```\w+ title="(?P<name>[^"]+)"\n(?P<content>.*?)^```$'
    r"|^```.*?^```$",
    re.MULTILINE | re.DOTALL,
)


def check_document(path: Path, folder: Path) -> None:
    """Play a document in a folder and compare it with itself, or rewrite it when that is asked for."""
    shown = path.read_text(encoding="utf-8")
    played = play(shown, folder)
    if os.environ.get("UPDATE_DOCS"):
        assert not os.environ.get("CI"), "UPDATE_DOCS is set under CI; documents are rewritten by people, who read them"
        path.write_text(played, encoding="utf-8")
        return
    assert shown == played


def play(text: str, folder: Path) -> str:
    """A document's text, with what its commands and snippets show now."""
    namespace: dict[str, object] = {"__name__": "document"}

    def replay(block: re.Match[str]) -> str:
        if block["session"] is not None:
            return f"```console\n{_play_session(block['session'], folder)}```"
        if block["code"] is not None:
            return _play_snippet(block, namespace, folder)
        if block["name"] is not None:
            target = folder / block["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block["content"], encoding="utf-8")
        return block[0]

    return _BLOCK.sub(replay, text)


def commands(session: str) -> list[str]:
    """The commands of a console block; one whose line ends in a backslash goes on in the next line."""
    found: list[str] = []
    continues = False
    for line in session.splitlines():
        if line.startswith("$ "):
            found.append(line[2:])
        elif continues:
            found[-1] += "\n" + line
        continues = line.endswith("\\") and (continues or line.startswith("$ "))
    return found


def _play_session(session: str, folder: Path) -> str:
    return "".join(f"$ {command}\n{run_command(command, folder)}" for command in commands(session))


def run_command(command: str, folder: Path) -> str:
    """What a command shows on both its streams, blanks at the ends of lines left out."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("METERING_DUCK_")}
    env["PATH"] = os.pathsep.join((str(resident.folder()), str(Path(sys.executable).parent), env["PATH"]))
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    expected = 0
    assert expected == done.returncode, f"{command}\n{done.stdout}"
    return _plain(done.stdout, folder)


def _play_snippet(block: re.Match[str], namespace: dict[str, object], folder: Path) -> str:
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(block["code"], "snippet", "exec"), namespace)
    output = _plain(printed.getvalue(), folder)
    if block["behind"] is None:
        assert not output, f"a ```text block must follow the snippet\n{block['code']}"
        return block[0]
    return f"```python\n{block['code']}```\n\n```text\n{output}```"


def _plain(text: str, folder: Path) -> str:
    lines = text.replace(str(folder.resolve()), SHOWN_FOLDER).splitlines()
    return "".join(line.rstrip() + "\n" for line in lines)
