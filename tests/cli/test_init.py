"""`deploybot init`: three questions or flags, and a file that the config understands."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploybot.cli import main
from deploybot.config import load

ROOT = Path(__file__).parents[2]
FLAGS = ["--server", "deploy@203.0.113.10", "--repo", "git@example.com:acme/Shop.git"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, as somebody with one SSH key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    key = tmp_path / "home" / ".ssh" / "id_ed25519"
    key.parent.mkdir(parents=True)
    key.write_text("key")
    key.chmod(0o600)


def _init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


@pytest.mark.parametrize("strategy", ["compose", "files", "script"])
def test_the_file_from_flags_passes_the_config(strategy: str) -> None:
    result = _init(*FLAGS, "--strategy", strategy)
    assert result.exit_code == 0, result.output
    settings = load(Path("bot.toml"), {})
    assert settings.apps["shop"].strategy == strategy
    assert settings.apps["shop"].directory == "/srv/shop"
    assert settings.servers["web1"].user == "deploy"
    key = settings.servers["web1"].key
    assert key is not None
    assert key.file == Path.home() / ".ssh" / "id_ed25519"
    assert [line for line in Path("bot.toml").read_text().splitlines() if line.startswith("#")]
    for step in ("trust web1", "check", "allow", "run", "chat"):
        assert f"deploybot {step}" in result.output


def test_every_commented_line_of_the_file_would_pass_too(tmp_path: Path) -> None:
    for strategy in ("compose", "files", "script"):
        assert _init(*FLAGS, "--strategy", strategy, "--force").exit_code == 0
        lines = [line for line in Path("bot.toml").read_text().splitlines() if "AAAA…" not in line]
        lines = [re.sub(r"^# (?=[a-z_]+ = )", "", line) for line in lines]
        (tmp_path / "all.toml").write_text("\n".join(lines))
        load(tmp_path / "all.toml", {"DATABASE_URL": "made up"})


def test_all_can_be_given() -> None:
    Path("k").write_text("key")
    Path("k").chmod(0o600)
    result = _init(
        *FLAGS, "--strategy", "files", "--app", "front", "--directory", "/opt/front", "--key", "k", "--data", "here"
    )
    assert result.exit_code == 0, result.output
    settings = load(Path("bot.toml"), {})
    assert settings.apps["front"].directory == "/opt/front"
    assert settings.bot.data == Path.cwd() / "here"


def test_without_a_key_the_agent_is_asked_and_a_missing_key_is_told() -> None:
    (Path.home() / ".ssh" / "id_ed25519").unlink()
    assert _init(*FLAGS, "--strategy", "files").exit_code == 0
    assert load(Path("bot.toml"), {}).servers["web1"].agent
    result = _init(*FLAGS, "--strategy", "files", "--key", "none", "--force")
    assert result.exit_code == 0
    assert f"make the key {Path.cwd() / 'none'}" in result.output


def test_a_file_that_is_there_is_left_alone() -> None:
    Path("bot.toml").write_text("mine\n")
    result = _init(*FLAGS, "--strategy", "files")
    assert result.exit_code == 1
    assert "--force replaces it" in result.output
    assert Path("bot.toml").read_text() == "mine\n"
    assert _init(*FLAGS, "--strategy", "files", "--force").exit_code == 0
    assert tomllib.loads(Path("bot.toml").read_text())


def test_without_a_terminal_what_is_missing_is_named() -> None:
    result = _init("--server", "deploy@h")
    assert result.exit_code == 2
    assert "there is no terminal to ask at: give --repo, --strategy" in result.output
    assert not Path("bot.toml").exists()


@pytest.mark.parametrize(
    ("server", "repo", "problem"),
    [
        ("h", "/r", 'should be "user@host"'),
        ("a@h", "shop", "should be a git URL"),
        ("a@h", "https://me:secret@example.com/shop", "should not hold a user or password"),
        ('a@h"\nagent = true #', "/r", 'should be "user@host"'),
    ],
)
def test_a_wrong_answer_writes_nothing(server: str, repo: str, problem: str) -> None:
    result = _init("--server", server, "--repo", repo, "--strategy", "files")
    assert result.exit_code == 2
    assert problem in result.output
    assert "secret@" not in result.output
    assert [path.name for path in Path.cwd().iterdir()] == ["home"]


@pytest.mark.parametrize(
    ("repo", "name"),
    [
        ("git@example.com:acme/My.Shop.git", "my-shop"),
        ("/srv/git/shop/", "shop"),
        ("git@example.com:___.git", "app"),
        ("https://example.com/" + "x" * 60, "x" * 40),
    ],
)
def test_the_app_is_called_as_its_repository(repo: str, name: str) -> None:
    assert _init("--server", "a@h", "--repo", repo, "--strategy", "files").exit_code == 0
    assert [*load(Path("bot.toml"), {}).apps] == [name]


def test_at_a_terminal_three_questions_are_asked() -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"203.0.113.10\ndeploy@203.0.113.10\nmy shop\ngit@example.com:acme/shop.git\nscript\n")
    done = subprocess.run(
        [sys.executable, "-m", "deploybot", "init"],
        check=False,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("Which server?") < done.stdout.index("Which repository?") < done.stdout.index("How does")
    assert 'Error: should be "user@host" or "user@host:port"\n' in done.stdout + done.stderr
    assert "Error: should be a URL of printable ASCII without spaces\n" in done.stdout + done.stderr
    assert load(Path("bot.toml"), {}).apps["shop"].script == "deploy.sh"
