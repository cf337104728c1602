"""What stops the start-up, in which words, and what people's own commands may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.command_loader import load
from deploybot.domain import Action
from deploybot.errors import ConfigError

ROOT = Path(__file__).parents[1]
GOOD = '''
"""Say hello."""

from __future__ import annotations

from deploybot import Card, Context, command


@command("hello [<name>]", needs="view", examples=("hello ana",))
async def hello(ctx: Context, name: str = "world") -> Card:
    """Say hello to somebody."""
    return Card(title=f"Hello, {name}!")
'''

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a function that writes files, by stem, and gives their folder."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    return write


def problems(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return [problem.removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_the_commands_of_the_house() -> None:
    found = load()
    names = {path.stem for path in (ROOT / "commands").glob("*.py")} - {"__init__"}
    assert set(found) == names
    assert {made.source for made in found.values()} == {f"commands/{name}.py" for name in names}
    assert list(found) == sorted(found)
    assert {name for name, made in found.items() if made.needs is Action.ANYONE} == {"help", "whoami", "claim", "link"}


def test_people_own_commands(folder: Folder) -> None:
    found = load(folder(hello=GOOD, _helpers="raise RuntimeError", bye=GOOD.replace("hello", "bye")))
    assert found["hello"].source.endswith("/hello.py")
    assert found["bye"].help == "Say bye to somebody."


def test_own_commands_cannot_shadow_a_library(folder: Folder) -> None:
    import json  # noqa: PLC0415 - the module that must stay what it is

    load(folder(json=GOOD))
    assert json.loads("1") == 1


def test_everything_wrong_is_said_at_once(folder: Folder) -> None:
    found = problems(folder(a="x = ", b="import nowhere_at_all\n", c=GOOD))
    assert found == [
        "a.py: cannot be imported (line 1): invalid syntax",
        "b.py: cannot be imported (line 1): ModuleNotFoundError: No module named 'nowhere_at_all'",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            ', needs="view"',
            "",
            'a command has no needs: write needs="view", or deploy, approve, admin',
        ),
        (
            '"view"',
            '"root"',
            "cannot be imported (line 9): ValueError: `needs` should be one of anyone, view, deploy, approve, admin",
        ),
        (
            '"view"',
            '"anyone"',
            '`hello` is open to anyone, which is allowed only for claim, help, link, whoami: write needs="view"',
        ),
        (
            '"hello [',
            '"allow [',
            "the command `allow` already exists in commands/allow.py: choose another name",
        ),
        (
            '    """Say hello to somebody."""\n',
            "",
            "`hello` has no docstring: write one; `help` shows its first line",
        ),
        ('("hello ana",)', '("hi ana",)', "the example `hi ana` does not start with `hello`"),
        ("[<name>]", "[<who>]", "`hello`: the usage has <who>, but the function has no parameter `who`"),
        ("[<name>]", "<name", "`hello`: the usage `hello <name` cannot be read: write words, <parameters>, [optional "),
        (
            "import Card",
            "import policy, Card",
            "imports deploybot.policy (line 6): a command may only import what `deploybot` itself exports",
        ),
        (
            "from deploybot import Card",
            "import deploybot.store.database\nfrom deploybot import Card",
            "imports deploybot.store.database (line 6): a command may only import what `deploybot` itself exports",
        ),
        (
            "from deploybot import Card",
            "from commands.help import page\nfrom deploybot import Card",
            "imports commands.help (line 6): a command may only import what `deploybot` itself exports",
        ),
        (
            "@command(",
            "command(",
            "has no command: mark an async function with @command, or start the file's name with _",
        ),
        ("async def", "raise SystemExit(3)\nasync def", "cannot be imported (line 10): invalid syntax"),
    ],
)
def test_what_stops_the_start(folder: Folder, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    if new == "command(":
        text = text.replace("async def", "\nasync def")
    (found,) = problems(folder(hello=text))
    assert found.startswith(f"hello.py: {problem}")


def test_a_file_that_ends_the_program(folder: Folder) -> None:
    assert problems(folder(a="raise SystemExit(3)\n")) == ["a.py: cannot be imported (line 1): SystemExit: 3"]


def test_plain_import_of_the_api_is_fine(folder: Folder) -> None:
    assert "hello" in load(folder(hello=GOOD.replace("from deploybot", "import deploybot\nfrom deploybot")))


def test_two_own_commands_of_one_name(folder: Folder) -> None:
    where = folder(a=GOOD, b=GOOD)
    assert problems(where) == [f"b.py: the command `hello` already exists in {where}/a.py: choose another name"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none")
    sentence = "No such file or directory: create the folder, or remove `plugins` from [bot]"
    assert caught.value.problems == (f"{tmp_path / 'none'}: {sentence}",)


def test_what_everybody_could_have_written_is_not_run(folder: Folder) -> None:
    where = folder(hello=GOOD)
    (where / "hello.py").chmod(0o664)
    (told,) = problems(where)
    assert told.startswith(f"hello.py: its group may write to {where}/hello.py (owner ")
    assert told.endswith(f"run `chmod g-w {where}/hello.py`, or other users can run code as the bot")
    (where / "hello.py").chmod(0o644)
    where.chmod(0o777)
    with pytest.raises(ConfigError, match="its group and everybody may write to the folder"):
        load(where)
