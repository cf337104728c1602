"""The command line as a whole: help, exit codes, where bot.toml is, and no traceback for what is expected."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from deploybot.cli import main
from deploybot.cli.command_base import Options, problems_text, write
from deploybot.errors import ConfigError

ROOT = Path(__file__).parents[2]


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


COMMANDS = [path for path in _commands(main) if path != ("demo",)]
"""All but the demo, whose arguments are its own."""


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_every_help_fits_a_terminal(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"], terminal_width=80)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[2].strip()
    assert max(map(len, lines)) <= 100
    assert "Traceback" not in result.output


@pytest.mark.parametrize("path", [path for path in COMMANDS if path[-1] not in {"audit", "version"}])
def test_every_subcommand_has_an_example(path: tuple[str, ...]) -> None:
    output = CliRunner().invoke(main, [*path, "--help"]).output
    assert "Example" in output
    assert f"deploybot {' '.join(path)}" in output or f"bot.toml {' '.join(path)}" in output


def test_the_help_documents_the_exit_codes_and_lists_commands_in_order() -> None:
    output = CliRunner().invoke(main, ["-h"], terminal_width=100).output
    assert "Exit codes: 0" in output
    assert output.index("  init ") < output.index("  check ") < output.index("  run ") < output.index("  audit ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["chek"], 'There is no command "chek", did you mean "check"?\n`deploybot --help` lists all commands.\n'),
        (["zzz"], 'There is no command "zzz".\n`deploybot --help` lists all commands.\n'),
        (
            ["deploy", "shop@v2", "because"],
            "`deploy` is a chat command.\nRun it with: deploybot chat -c 'deploy shop@v2 because'\n",
        ),
    ],
)
def test_a_command_that_there_is_not_gets_what_was_meant(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(main, arguments, prog_name="deploybot")
    assert (result.exit_code, result.output) == (2, told)


@pytest.mark.parametrize("arguments", [["nonsense"], ["check", "--nonsense"], ["allow", "ana", "king"], ["allow"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [["check"], ["trust", "web1"], ["allow", "ana", "admin"], ["audit", "tail"]])
def test_a_missing_or_wrong_bot_toml_ends_with_2_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    result = CliRunner().invoke(main, ["-c", str(tmp_path / "none.toml"), *arguments])
    assert result.exit_code == 2
    assert result.output == f"{tmp_path}/none.toml: no such file; `deploybot init` writes one\n"
    (tmp_path / "bot.toml").write_text("[bot]\nx = 1\ny = 1\n")
    result = CliRunner().invoke(main, ["-c", str(tmp_path / "bot.toml"), *arguments])
    assert result.exit_code == 2
    assert result.output.startswith("bot.toml has 2 problems:\n  bot.x: unknown key")


def test_bot_toml_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options().path == Path("bot.toml")
    assert Options(Path("other.toml")).path == Path("other.toml")
    monkeypatch.setenv("DEPLOYBOT_CONFIG", "named.toml")
    assert "named.toml: no such file" in CliRunner().invoke(main, ["check"]).output
    assert "option.toml: no such file" in CliRunner().invoke(main, ["-c", "option.toml", "check"]).output


def test_one_problem_stands_alone_and_many_below_their_count() -> None:
    assert problems_text(ConfigError(("a: x",))) == "bot.toml: a: x"
    assert problems_text(ConfigError(("/srv/bot.toml: no such file",))) == "/srv/bot.toml: no such file"
    assert problems_text(ConfigError(("a: x", "b: y"))) == "bot.toml has 2 problems:\n  a: x\n  b: y"


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "bot.toml"
    write(path, "one\n")
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o600)
    write(path, "two\n")
    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main,
        ["-c", f"{tmp_path}/none/bot.toml", "init", "--server", "a@b", "--repo", "/r", "--strategy", "files"],
    )
    assert result.exit_code == 1
    assert "No such file or directory" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("word", ["version", "--version"])
def test_python_m_deploybot_and_version(word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploybot", word],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
    )
    assert done.stdout.startswith("deploybot 0.")


def test_what_a_subcommand_does_not_need_is_not_imported() -> None:
    heavy = {"asyncssh", "docker", "rich", "prompt_toolkit", "tomlkit", "sqlite_utils", "requests"}
    code = f"import sys, deploybot.cli; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "[]\n"
