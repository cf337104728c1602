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
from deploybot.cli.server_discovery import RunningProject, same_app
from deploybot.config import load
from tests.lab import Engine, Sshd

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


def test_without_a_key_the_agent_is_asked_and_a_missing_key_is_reported() -> None:
    (Path.home() / ".ssh" / "id_ed25519").unlink()
    assert _init(*FLAGS, "--strategy", "files").exit_code == 0
    assert load(Path("bot.toml"), {}).servers["web1"].agent
    result = _init(*FLAGS, "--strategy", "files", "--key", "none", "--force")
    assert result.exit_code == 0
    assert f"create the key {Path.cwd() / 'none'}" in result.output


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
    assert "no terminal to ask on: give --repo, --strategy" in result.output
    assert not Path("bot.toml").exists()


@pytest.mark.parametrize(
    ("server", "repo", "problem"),
    [
        ("h", "/r", 'should be "user@host"'),
        ("a@h", "shop", "should be a git URL"),
        ("a@h", "https://me:secret@example.com/shop", "should not contain a user or password"),
        ('a@h"\nagent = true #', "/r", 'should be "user@host"'),
    ],
)
def test_a_wrong_answer_writes_nothing(server: str, repo: str, problem: str) -> None:
    result = _init("--server", server, "--repo", repo, "--strategy", "files")
    assert result.exit_code == 2
    assert problem in result.output
    assert "secret@" not in result.output
    assert [path.name for path in Path.cwd().iterdir()] == ["home"]


def test_a_wrong_name_is_refused_as_a_name() -> None:
    result = _init("--offline", *FLAGS, "--strategy", "files", "--app", "My Shop")
    assert result.exit_code == 2
    assert 'apps."My Shop": should be a name: up to 40 of a-z, 0-9, - and _' in result.output
    assert not Path("bot.toml").exists()


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


def _trusts(*lines: str) -> None:
    """Have this user's own ssh know some hosts."""
    (Path.home() / ".ssh" / "known_hosts").write_text("\n".join(lines) + "\n")


def test_a_host_key_that_your_own_ssh_trusts_is_pinned(sshd: Sshd) -> None:
    flags = ["--server", sshd.ssh_target, "--repo", "git@example.com:acme/shop.git", "--strategy", "files"]
    assert _init(*flags).exit_code == 0
    assert not load(Path("bot.toml"), {}).servers["web1"].host_key
    _trusts("# a comment", "not a line", f"[{sshd.address}]:{sshd.port} {sshd.host_key}")
    result = _init(*flags, "--force")
    assert load(Path("bot.toml"), {}).servers["web1"].host_key == (sshd.host_key,)
    assert "deploybot trust" not in result.output
    assert f"which your own ssh trusts for {sshd.address}" in result.output


@pytest.mark.parametrize("mark", ["@revoked", "@cert-authority"])
def test_a_revoked_key_and_that_of_an_authority_are_not_pinned(sshd: Sshd, mark: str) -> None:
    both = [f"{mark} {sshd.address} {sshd.host_key}", f"{sshd.address} {sshd.host_key}"]
    _trusts(*both[: 2 if mark == "@revoked" else 1])
    assert _init("--server", sshd.ssh_target, "--repo", "/srv/git/shop.git", "--strategy", "files").exit_code == 0
    assert not load(Path("bot.toml"), {}).servers["web1"].host_key


def test_an_app_that_runs_already_is_recognised(engine: Engine) -> None:
    sshd = engine.sshd
    folder = sshd.home / "checkouts" / "Shop"
    (folder / "data").mkdir(parents=True)
    label = ["--label", "com.docker.compose.project=old", "--label", "com.docker.compose.service=web"]
    label += ["--label", f"com.docker.compose.project.working_dir={folder}"]
    mount = ["--volume", f"{folder}/data:/data", "--volume", "/etc/hostname:/etc/hostname"]
    engine.docker("run", "-d", "--name", "old-web-1", *label, *mount, "lab/busybox", "sleep", "1000")
    flags = ["--server", sshd.ssh_target, "--repo", "git@example.com:acme/shop.git", "--strategy", "compose"]
    flags += ["--key", str(sshd.client_key)]
    try:
        _trusts(f"{sshd.address} {sshd.host_key}")
        result = _init(*flags)
        assert "The app already runs there: project old has web. deploybot takes it over." in result.output
        assert load(Path("bot.toml"), {}).apps["shop"].compose.project == "old"
        text = Path("bot.toml").read_text()
        proposed = f'shared = {{ from = "{folder}", paths = ["data", ".env"] }}'
        assert f"# {proposed}\n" in text
        Path("bot.toml").write_text(text.replace(f"# {proposed}", proposed))
        shared = load(Path("bot.toml"), {}).apps["shop"].shared
        assert shared
        assert shared.paths == ("data", ".env")
        other = _init(*flags, "--app", "front", "--force", "--repo", "git@example.com:acme/front.git")
        assert "Compose projects that run there: old. If one is this app, set compose.project" in other.output
        assert "Compose" not in _init(*flags, "--app", "front", "--force", "--offline").output
        engine.stop()
        down = _init(*flags, "--force")
        assert down.exit_code == 0
        assert "Could not check what runs on the server: " in down.output
    finally:
        engine.start()
        engine.docker("rm", "-f", "old-web-1")


def test_two_projects_of_one_name_are_not_guessed() -> None:
    one, other = (
        RunningProject(name, ("web",), folder) for name, folder in (("shop", "/srv/a"), ("old", "/home/me/shop"))
    )
    assert same_app([one], ("shop", "")) == one
    assert same_app([one, other], ("shop",)) is None
    assert same_app([RunningProject("old", ("web",))], ("", "shop")) is None
