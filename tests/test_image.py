"""The container image: built by `make image` on a base made here, run by docs/compose.yaml, and talked to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import Engine, Lab, LabError, debian, until
from tests.lab.run import run

ROOT = Path(__file__).parents[1]
UID = 10001
BASE = "lab/debian"
ADDED_AT_MOST = 107_000_000
BOT = """
[bot]
data = "/var/lib/deploybot"
[servers.web1]
ssh = "deploy@{address}:22"
key = {{ file = "/etc/deploybot/key" }}
[apps.site]
repo = "/etc/deploybot/site.git"
strategy = "files"
directory = "{home}/site"
[apps.site.environments.production]
servers = ["web1"]
"""
QUICK = "services: {bot: {healthcheck: {interval: 0.5s, timeout: 5s, retries: 2}}}\n"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def builder(lab: Lab) -> Iterator[Engine]:
    """An engine that holds the image, and the base it was built on."""
    engine = lab.engine("builder")
    engine.docker("import", debian.base(), BASE)
    yield engine
    lab.discard(engine.box)


@pytest.fixture(scope="module")
def image(builder: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, built from what git knows of this tree and, as the laboratory has no network, from `wheels/`."""
    context = tmp_path_factory.mktemp("context")
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).exists():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, context / name)
    for lock in ("requirements", "requirements-build"):
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--only-binary=:all:", "--dest", context / "wheels", "-r", ROOT / f"{lock}.lock"),
        )
    env = {"DOCKER_HOST": builder.url, "DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    run("make", "image", f"BASE={BASE}", "TAG=deploybot", cwd=context, env=env, within=300)
    return "deploybot"


@pytest.fixture
def place(tmp_path: Path, builder: Engine, image: str) -> Iterator[Path]:
    """A folder with docs/compose.yaml, and what the bot needs beside it."""
    assert image
    shutil.copy(ROOT / "docs" / "compose.yaml", tmp_path)
    (tmp_path / "quick.yaml").write_text(QUICK)
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "bot.toml").write_text(BOT.format(address=builder.address, home=builder.sshd.home))
    shutil.copy(builder.sshd.client_key, etc / "key")
    yield tmp_path
    builder.docker(*COMPOSE, "down", "--volumes", "--timeout", "10", cwd=tmp_path)


COMPOSE = ("compose", "--project-name", "bot", "--file", "compose.yaml", "--file", "quick.yaml")
Compose = Callable[..., str]


@pytest.fixture
def compose(place: Path, builder: Engine) -> Compose:
    """`docker compose` there; what it printed. Raises LabError."""

    def run_it(*args: str) -> str:
        for path in (place / "etc", *(place / "etc").rglob("*")):
            os.chown(path, UID, UID)
        return builder.docker(*COMPOSE, *args, cwd=place)

    return run_it


def test_it_is_small_and_declares_what_it_is(builder: Engine, image: str, record_property: Callable[..., None]) -> None:
    base, made = (json.loads(builder.docker("image", "inspect", name))[0] for name in (BASE, image))
    added = made["Size"] - base["Size"]
    record_property("bytes_on_top_of_the_base", added)
    assert added < ADDED_AT_MOST
    config = made["Config"]
    assert config["User"] == f"{UID}:{UID}"
    assert (config["Entrypoint"], config["Cmd"]) == (["deploybot"], ["run"])
    assert config["Volumes"] == {"/var/lib/deploybot": {}}
    assert config["Healthcheck"]["Test"] == ["CMD", "deploybot", "ping"]
    assert {line.partition("=")[0] for line in config["Env"]} == {"PATH", "PYTHONNODEBUGRANGES", "DEPLOYBOT_CONFIG"}


def test_it_holds_what_the_bot_needs_and_no_more(builder: Engine, image: str) -> None:
    inside = (
        "git --version; ssh -V 2>&1; id -u; python3 -m pip --version 2>&1; ls /opt/deploybot/lib/python*/site-packages"
    )
    said = builder.docker("run", "--rm", "--entrypoint", "sh", image, "-c", f"PATH=/opt/deploybot/bin:$PATH; {inside}")
    assert "git version" in said
    assert "OpenSSH" in said
    assert f"\n{UID}\n" in said
    assert "No module named pip" in said
    assert "commands" in said.split()
    assert not {"pytest", "hatchling", "mypy"} & {*said.split()}


def test_it_runs_stops_in_time_and_keeps_what_it_knows(compose: Compose, builder: Engine) -> None:
    compose("up", "--detach", "--wait", "--wait-timeout", "60")
    assert "deploy" in compose("exec", "-T", "bot", "deploybot", "chat", "-c", "help")
    assert "admin" in compose("exec", "-T", "bot", "deploybot", "allow", "ana", "admin")
    assert "ana" in compose("exec", "-T", "bot", "deploybot", "chat", "-c", "whoami")
    container = compose("ps", "--quiet", "bot").strip()
    compose("stop", "--timeout", "15")
    state = json.loads(builder.docker("inspect", container))[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    compose("down")
    compose("up", "--detach", "--wait", "--wait-timeout", "60")
    assert "ana" in compose("exec", "-T", "bot", "deploybot", "chat", "-c", "whoami")
    assert compose("exec", "-T", "bot", "deploybot", "ping").startswith("deploybot ")


def test_it_deploys_to_a_server(compose: Compose, place: Path, builder: Engine) -> None:
    sources = place / "site"
    sources.mkdir()
    (sources / "index.html").write_text("hello\n")
    git = ("git", "-c", "user.name=Ana", "-c", "user.email=ana@example.com")
    run(*git, "init", "--quiet", "--initial-branch=main", cwd=sources)
    run(*git, "add", "--all", cwd=sources)
    run(*git, "commit", "--quiet", "--message=First", cwd=sources)
    run(*git, "clone", "--quiet", "--bare", sources, place / "etc/site.git")
    compose("run", "--rm", "-T", "bot", "allow", "ana", "admin")
    builder.docker("run", "--rm", "--volume", f"{place / 'etc'}:/etc/deploybot", "deploybot", "trust", "web1", "--yes")
    assert "continued" in compose("run", "--rm", "-T", "bot", "check")
    compose("up", "--detach", "--wait", "--wait-timeout", "60")
    said = compose("exec", "-T", "bot", "deploybot", "chat", "-c", "deploy site@main")
    assert "✓" in said
    assert (builder.sshd.home / "site/current/index.html").read_text() == "hello\n"


def test_a_wrong_bot_toml_ends_it_with_the_sentences(compose: Compose, place: Path) -> None:
    (place / "etc/bot.toml").write_text("[bot]\ndta = 1\nkeep_logs = []\n")
    with pytest.raises(LabError, match=r'bot.dta: unknown key, did you mean "data"\?'):
        compose("run", "--rm", "-T", "bot")


def test_a_bot_that_hangs_is_reported_as_unhealthy(compose: Compose, builder: Engine) -> None:
    compose("up", "--detach", "--wait", "--wait-timeout", "60")
    container = compose("ps", "--quiet", "bot").strip()
    (pid,) = builder.docker("exec", container, "sh", "-c", "cat /var/lib/deploybot/deploybot.lock").split()
    builder.docker("exec", container, "sh", "-c", f"kill -STOP {pid}")

    def health() -> str:
        return str(json.loads(builder.docker("inspect", container))[0]["State"]["Health"]["Status"])

    until(lambda: health() == "unhealthy", within=90, what="the bot's ill health")
    builder.docker("exec", container, "sh", "-c", f"kill -CONT {pid}")


def test_without_a_folder_of_wheels_the_build_goes_on_to_download(builder: Engine, tmp_path: Path) -> None:
    """The copy of `wheel[s]` is the one thing in the Dockerfile that may be there or not."""
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nCOPY some wheel[s] /wheels/\nRUN ls /wheels > /seen\n")
    (tmp_path / "some").write_text("")
    for kit in ("0", "1"):
        env = {**os.environ, "DOCKER_HOST": builder.url, "DOCKER_BUILDKIT": kit}
        subprocess.run(["/usr/bin/docker", "build", "."], cwd=tmp_path, env=env, check=True, timeout=60)
