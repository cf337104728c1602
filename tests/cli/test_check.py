"""`deploybot check`: what was understood, the table, and its JSON."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploybot.check import CheckState, Row
from deploybot.cli import main
from deploybot.cli.check_command import plain
from tests.lab import Engine, Repo, Sshd

ROOT = Path(__file__).parents[2]
BOT = """
[bot]
data = "data"
[servers.web1]
ssh = "deploy@203.0.113.10"
password = { env = "PASSWORD" }
agent = true
[servers.web2]
ssh = "deploy@10.0.0.7"
agent = true
jump = "web1"
docker = "/run/docker.sock"
[apps.shop]
repo = "git@example.com:acme/shop.git"
branch = "main"
strategy = "compose"
directory = "/srv/shop"
tasks = { migrate = "./migrate" }
health = { docker = true }
secrets = { DATABASE_URL = { env = "PASSWORD" } }
[apps.shop.environments.production]
servers = ["web2"]
default = true
on_failure = "leave"
"""
ROWS = (
    Row("server web1", "connection", CheckState.OK, "deploy@203.0.113.10 answers in 0.1 s"),
    Row("server web1", "detached job", CheckState.FAILED, "it is orphan", "loginctl enable-linger deploy"),
    Row("app shop", "repository", CheckState.SKIPPED, "not tried"),
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot.toml and its secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    monkeypatch.setenv("PASSWORD", "pa55word-c4n4ry")
    Path("bot.toml").write_text(BOT)


def _check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def test_what_was_understood_is_said_without_a_secret(tmp_path: Path) -> None:
    result = _check("--offline")
    assert result.exit_code == 0
    assert result.output == (
        f"{tmp_path}/bot.toml\n"
        f"  data in {tmp_path}/data\n"
        "  server web1: deploy@203.0.113.10, by password or agent, no host key pinned, Docker: found automatically\n"
        "  server web2: deploy@10.0.0.7, by agent, through web1, no host key pinned, Docker at /run/docker.sock\n"
        "  app shop: compose from git@example.com:acme/shop.git, branch main, keeps the last 5 successful releases, "
        "tasks migrate\n"
        "    production: /srv/shop on web2, the default, health by Docker, a failed release stays, "
        "secrets DATABASE_URL\n"
    )


def test_what_an_environment_has_instead_is_said() -> None:
    text = BOT.replace('tasks = { migrate = "./migrate" }\n', 'images = { web = { image = "acme/shop" } }\n')
    own = """
branch = "develop"
keep = 2
channel = "console"
tasks = { seed = "./seed" }
images = { web = { tag = "develop" } }
compose = { files = ["a.yaml", "b.yaml"], profiles = ["mail"] }
"""
    Path("bot.toml").write_text(text + own)
    assert _check("--offline").output.endswith(
        "a failed release stays, secrets DATABASE_URL, branch develop, keeps the last 2 successful releases, "
        "images web acme/shop, develop, Compose files a.yaml b.yaml, profiles mail, channel console, tasks seed\n"
    )


def test_a_wrong_file_is_reported_as_text_and_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASSWORD")
    result = _check()
    assert result.exit_code == 2
    assert result.output.startswith("bot.toml has 2 problems:\n  servers.web1.password: the variable PASSWORD is not")
    result = _check("--json")
    assert result.exit_code == 2
    said = json.loads(result.output)
    assert said["ok"] is False
    assert len(said["problems"]) == 2


def test_chats_are_named() -> None:
    token = 'token = { env = "PASSWORD" }'
    Path("bot.toml").write_text(
        f'{BOT}[telegram]\n{token}\nchannel = "telegram:-1001234567890/7"\n'
        '[slack]\nbot_token = { env = "PASSWORD" }\napp_token = { env = "PASSWORD" }\nchannel = "slack:C0123456789"\n'
    )
    said = _check("--offline").output
    assert "  Telegram by long polling, channel telegram:-1001234567890/7\n" in said
    assert "  Slack by Socket Mode, channel slack:C0123456789\n" in said


def test_offline_json_says_ok() -> None:
    assert json.loads(_check("--offline", "--json").output) == {"ok": True, "problems": [], "hints": [], "rows": []}


def test_without_a_terminal_the_table_is_plain_and_stable() -> None:
    assert [*plain(ROWS)] == [
        "server web1  connection    ok       deploy@203.0.113.10 answers in 0.1 s",
        "server web1  detached job  failed   it is orphan",
        "                                    -> loginctl enable-linger deploy",
        "app shop     repository    skipped  not tried",
    ]


def test_at_a_terminal_the_table_has_colours() -> None:
    ours, theirs = pty.openpty()
    code = "from tests.cli.test_check import ROWS; from deploybot.cli.check_command import show; show(ROWS)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stdout=theirs,
        cwd=ROOT,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = _all_of(ours)
    os.close(ours)
    assert done.returncode == 0
    assert "\x1b[1;31mfailed" in shown
    assert "loginctl enable-linger deploy" in shown


def _all_of(terminal: int) -> str:
    """Read a terminal whose other end is closed: the kernel may hand over what was written in pieces."""
    shown = b""
    with suppress(OSError):  # EIO: that was all
        while piece := os.read(terminal, 65536):
            shown += piece
    return shown.decode()


def _real(sshd: Sshd, repo: str, host_key: str = "", connect: str = "30s") -> None:
    """A bot.toml for a real server and a real repository."""
    Path("bot.toml").write_text(f"""
[bot]
data = "data"
[servers.web1]
ssh = "{sshd.ssh_target}"
key = {{ file = "{sshd.client_key}" }}
host_key = "{host_key or sshd.host_key}"
connect_timeout = "{connect}"
[apps.site]
repo = "{repo}"
strategy = "files"
directory = "{sshd.box.account.home}/site"
environments.production.servers = ["web1"]
""")


def _rows(result: Result) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["subject"], row["what"]): row for row in json.loads(result.output)["rows"]}


def test_a_real_server_and_repository_are_really_tried(sshd: Sshd, make_repo: Callable[[str], Repo]) -> None:
    repo = make_repo("site")
    repo.commit({"index.html": "hello"}, "The first page")
    _real(sshd, str(repo.path))
    result = _check("--json")
    assert result.exit_code == 0, result.output
    rows = _rows(result)
    assert {row["state"] for row in rows.values()} == {"ok"}
    assert "continued while the connection was down" in rows["server web1", "detached job"]["says"]
    assert "The first page" in rows["app site", "repository"]["says"]
    assert not [*(sshd.home / ".deploybot" / "jobs").glob("check-*")]


def test_a_check_leaves_the_sockets_of_a_bot_that_runs(sshd: Sshd, make_repo: Callable[[str], Repo]) -> None:
    repo = make_repo("site")
    repo.commit({"index.html": "hello"}, "The first page")
    _real(sshd, str(repo.path))
    theirs = Path("data/sockets/1.sock")
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    assert _check().exit_code == 0
    assert theirs.exists()


def test_a_check_waits_only_briefly_for_a_fetch_of_the_bot(sshd: Sshd, make_repo: Callable[[str], Repo]) -> None:
    repo = make_repo("site")
    repo.commit({"index.html": "hello"}, "The first page")
    _real(sshd, str(repo.path))
    assert _check("--json").exit_code == 0
    (mirror,) = Path("data/mirrors").glob("*.git")
    with mirror.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = _check("--json")
    assert result.exit_code == 0, result.output
    row = _rows(result)["app site", "repository"]
    assert row["state"] == "skipped"
    assert "the bot or another check is fetching it" in row["says"]


def test_what_a_check_makes_is_for_nobody_else(sshd: Sshd, make_repo: Callable[[str], Repo]) -> None:
    repo = make_repo("site")
    repo.commit({"index.html": "hello"}, "The first page")
    _real(sshd, str(repo.path))
    assert _check().exit_code == 0
    assert Path("data").stat().st_mode & 0o777 == 0o700


def test_a_job_survives_on_busybox_too(busybox_server: Sshd, make_repo: Callable[[str], Repo]) -> None:
    repo = make_repo("site")
    repo.commit({"index.html": "hello"}, "The first page")
    _real(busybox_server, str(repo.path))
    result = _check("--json")
    assert result.exit_code == 0, result.output
    assert _rows(result)["server web1", "detached job"]["state"] == "ok"


def test_a_real_server_that_hangs_or_shows_another_key_is_one_row(
    sshd: Sshd, sshds: Callable[[int], list[Sshd]], make_repo: Callable[[str], Repo]
) -> None:
    repo = make_repo("site")
    repo.commit({"index.html": "hello"}, "The first page")
    _real(sshd, str(repo.path), connect="3s")
    sshd.pause()
    try:
        rows = _rows(_check("--json"))
    finally:
        sshd.resume()
    assert [key for key, row in rows.items() if row["state"] == "failed"] == [("server web1", "connection")]
    assert rows["app site", "repository"]["state"] == "ok"
    _real(sshd, "/nowhere/site.git", host_key=sshds(1)[0].host_key)
    result = _check()
    assert result.exit_code == 1
    assert "-> If the server was reinstalled, `deploybot trust web1`" in result.output
    assert result.output.endswith("\n2 of 4 checks are OK.\n")


def test_docker_and_compose_are_tried(engine: Engine, make_repo: Callable[[str], Repo]) -> None:
    repo = make_repo("site")
    repo.commit({"compose.yaml": "services: {web: {image: lab/busybox, command: sleep 1000}}\n"}, "A service")
    _real(engine.sshd, str(repo.path))
    text = Path("bot.toml").read_text().replace('"files"', '"compose"')
    Path("bot.toml").write_text(text.replace("connect_timeout", 'docker = "/var/run/docker.sock"\nconnect_timeout'))
    result = _check("--json")
    assert result.exit_code == 0, result.output
    rows = _rows(result)
    assert rows["server web1", "Docker"]["says"].startswith("Engine ")
    assert "docker" in rows["server web1", "Compose"]["says"]
    assert "web new" in rows["app site", "plan production"]["says"]
    engine.stop()
    rows = _rows(_check("--json"))
    assert rows["server web1", "Docker"]["state"] == "failed"
    assert rows["server web1", "Docker"]["fix"]
    assert rows["server web1", "detached job"]["state"] == "ok"
