"""Logins reach one job's Docker configuration, beside all that the user has, and nothing of them stays."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from deploybot.domain import JobState
from deploybot.domain.registry_access import LOGINS, RegistryAccess, logins_text
from deploybot.ssh import remote_shell
from tests.conftest import MakeSshd
from tests.lab import Sshd
from tests.ssh.conftest import RUN, Reach, command, ended, finished, server_of, until, whole_log, words

PASSWORD = 'it\'s "a" $(secret) `\\ 1'
HOUSE = RegistryAccess("registry.example.com:5000", "bot", PASSWORD)
HUB = RegistryAccess("docker.io", "hub", "x")
TEXT = logins_text([HOUSE, HUB])
HUB_KEY = "https://index.docker.io/v1/"
AUTHS = {HOUSE.host: {"auth": HOUSE.auth}, HUB_KEY: {"auth": HUB.auth}}
OTHERS = {"other.example.com": {"auth": "b3RoZXI="}}
ODD = {"proxies": {"default": {"auths": {"}": "{"}}}, "psFormat": 'a "quoted\\" } {', "credsStore": ""}
BOTH = [("dash",), pytest.param(("busybox", "ash"), marks=pytest.mark.needs("busybox"))]


def test_the_text_has_a_line_for_each_table() -> None:
    assert logins_text([]) == ""
    auths, helpers = TEXT.split("\n")
    assert json.loads(f"{{{auths}}}") == AUTHS
    assert json.loads(f"{{{helpers}}}") == dict.fromkeys(AUTHS, "")
    assert base64.b64decode(HOUSE.auth).decode() == f"bot:{PASSWORD}"
    assert PASSWORD not in repr(HOUSE)


@pytest.fixture
def in_shell(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Run a text as a job that has logins, in a shell with that shell's own programs, without the runner."""
    shell = request.param
    path = tmp_path / "bin"
    path.mkdir()
    busybox = shutil.which("busybox") or "busybox"
    for name in ("awk", "cat", "env", "id", "ln", "ls", "mkdir", "readlink", "rm", "stat", "tr"):
        (path / name).symlink_to(busybox if shell[0] == "busybox" else shutil.which(name) or name)

    def run(text: str) -> str:
        code = f"set -u\n{remote_shell._environment({'A': '1', LOGINS: TEXT})}{text}"
        program = shutil.which(shell[0]) or shell[0]
        done = subprocess.run(
            [program, *shell[1:], "-c", code], env={"HOME": str(tmp_path), "PATH": str(path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("in_shell", BOTH, indirect=True)
@pytest.mark.parametrize(
    ("had", "has"),
    [
        (None, {"auths": AUTHS}),
        ("", {"auths": AUTHS}),
        ("{}", {"auths": AUTHS}),
        (' {\n\t"auths": { } }\n\n', {"auths": AUTHS}),
        ({"auths": OTHERS}, {"auths": OTHERS | AUTHS}),
        ({"auths": {HOUSE.host: {"auth": "b2xk"}, **OTHERS}}, {"auths": OTHERS | AUTHS}),
        ({"auths": None, "x": [1, {"auths": {}}]}, {"auths": AUTHS, "x": [1, {"auths": {}}]}),
        (ODD, ODD | {"auths": AUTHS}),
        ({"credsStore": "pass"}, {"credsStore": "pass", "auths": AUTHS, "credHelpers": dict.fromkeys(AUTHS, "")}),
        (
            {"credHelpers": {"ecr.example.com": "ecr", HOUSE.host: "old"}, "auths": OTHERS},
            {"credHelpers": {"ecr.example.com": "ecr"} | dict.fromkeys(AUTHS, ""), "auths": OTHERS | AUTHS},
        ),
        (
            {"auths": OTHERS, "credHelpers": {}, "currentContext": "default"},
            {"auths": OTHERS | AUTHS, "credHelpers": dict.fromkeys(AUTHS, ""), "currentContext": "default"},
        ),
    ],
)  # fmt: skip
def test_the_users_settings_stay(
    tmp_path: Path, in_shell: Callable[[str], str], had: object, has: dict[str, object]
) -> None:
    if had is not None:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker/config.json").write_text(had if isinstance(had, str) else json.dumps(had))
    assert json.loads(in_shell('cat "$DOCKER_CONFIG/config.json"')) == has


@pytest.mark.parametrize("in_shell", BOTH, indirect=True)
@pytest.mark.parametrize("broken", ['{"auths": {', "[]", "no", '{} {"a": 1}', '{"a": "x', "{}x", '"x"'])
def test_settings_that_are_none_are_left_alone(tmp_path: Path, in_shell: Callable[[str], str], broken: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(broken)
    said = in_shell('echo "${DOCKER_CONFIG:-none}"')
    assert said.startswith("none\nThe registry logins of bot.toml are not used")
    assert [*(tmp_path / ".deploybot/logins").iterdir()] == []


@pytest.mark.parametrize("in_shell", BOTH, indirect=True)
def test_what_lies_beside_the_settings_is_there_and_only_the_user_may_read(
    tmp_path: Path, in_shell: Callable[[str], str]
) -> None:
    plugin = tmp_path / ".docker/cli-plugins/docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("plugin")
    (tmp_path / ".docker/.token_seed").write_text("seed")
    said = in_shell(
        'cd "$DOCKER_CONFIG"; cat cli-plugins/docker-compose .token_seed; echo; stat -c %a . config.json; umask; '
        'tr "\\000" "\\n" </proc/$$/environ; env; echo "${bot_logins-gone}"'
    )
    assert said.startswith("pluginseed\n700\n600\n0022\n" if os.umask(0o022) == 0o022 else "pluginseed\n700\n600\n")
    assert "gone" in said
    assert HOUSE.auth not in said
    assert LOGINS not in said
    in_shell('rm -rf "$DOCKER_CONFIG"')
    assert plugin.read_text() == "plugin"


@pytest.mark.parametrize("in_shell", BOTH[:1], indirect=True)
@pytest.mark.parametrize("at", ["/usr/bin/snap", "/snap/docker/current/bin/docker"])
def test_docker_from_a_snap_keeps_its_own_settings(tmp_path: Path, in_shell: Callable[[str], str], at: str) -> None:
    (tmp_path / "bin/readlink").unlink()
    for name in ("docker", "readlink"):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\necho {at}\n")
        program.chmod(0o755)
    said = in_shell('echo "${DOCKER_CONFIG:-none} ${bot_logins-gone}"')
    assert said.startswith("none gone\nThe registry logins of bot.toml are not used: Docker from a snap")
    assert not (tmp_path / ".deploybot").exists()


SHOW = 'cat "$DOCKER_CONFIG/config.json"; stat -c %a "$DOCKER_CONFIG"'
WAIT = 'echo in; while [ ! -e "$HOME/go" ]; do sleep 0.02; done'


def logins(server: Sshd) -> list[str]:
    folder = server.home / ".deploybot/logins"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def environment(pid: int) -> str:
    """A process's variables; empty where it has gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


async def kill_all_of(server: Sshd, job: str) -> None:
    """Kill a job with its runner and its watchdog, as a server does that runs out of memory.

    A process that just starts a program has no arguments for a moment: look again until nothing is left.
    """

    def nothing_is_left() -> bool:
        found = [pid for pid in server.processes() if job in words(pid).split("\0") or of_job(pid)]
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return not found

    def of_job(pid: int) -> bool:
        return f"DEPLOYBOT_JOB={job}\0" in environment(pid)

    for _ in range(3):
        await until(nothing_is_left)


def with_logins(text: str) -> dict[str, str]:
    return command(text) | {LOGINS: TEXT}


@pytest.fixture(params=["dash", "busybox"])
def server(request: pytest.FixtureRequest) -> Sshd:
    found = request.getfixturevalue({"dash": "sshd", "busybox": "busybox_server"}[request.param])
    assert isinstance(found, Sshd)
    return found


async def test_a_job_has_the_logins_as_long_as_it_runs(server: Sshd, reach: Reach, job: str) -> None:
    host = reach(server_of(server))
    await host.start(job, RUN, with_logins(f"{SHOW}; exit 3"), deadline=60)
    assert (await ended(host, job)).code == 3
    text, mode, _ = (await whole_log(host, job)).decode().split("\n")
    assert (json.loads(text), mode, logins(server)) == ({"auths": AUTHS}, "700", [])
    await host.forget([job])


@pytest.mark.parametrize("readable", [True, False])
async def test_the_logins_go_with_a_job_that_has_another_home(
    server: Sshd, reach: Reach, job: str, readable: bool
) -> None:
    """`env` of bot.toml may set HOME, and may be a secret, too. After `sudo docker login`, only root reads the file."""
    home = server.home / f"elsewhere-{readable}"
    config = home / ".docker/config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"auths": OTHERS}))
    config.chmod(0o644 if readable else 0)
    host = reach(server_of(server))
    there = server.box.account.home / home.name
    await host.start(job, RUN, with_logins(f"{SHOW}; exit 3") | {"HOME": str(there)}, deadline=60)
    assert (await ended(host, job)).code == 3
    text = (await whole_log(host, job)).decode().split("\n")[0]
    assert json.loads(text) == {"auths": OTHERS | AUTHS if readable else AUTHS}
    await host.forget([job])
    kept = [path for path in server.home.rglob("*") if path.is_file() and HOUSE.auth.encode() in path.read_bytes()]
    assert (kept, logins(server), (home / ".deploybot").exists()) == ([], [], False)


async def test_the_logins_go_with_the_job_and_not_when_the_bot_looks(sshd: Sshd, reach: Reach, job: str) -> None:
    host = reach(server_of(sshd))
    await host.start(job, RUN, with_logins(WAIT), deadline=60)
    await until(lambda: logins(sshd) == [job])
    (sshd.home / "go").touch()
    await until((sshd.home / ".deploybot/jobs" / job / "rc").exists)
    assert logins(sshd) == []
    (sshd.home / "go").unlink()


async def test_nothing_shows_the_password_to_others(sshd: Sshd, reach: Reach, job: str) -> None:
    host = reach(server_of(sshd))
    await host.start(job, RUN, with_logins(WAIT), deadline=60)
    await until(lambda: b"in" in (sshd.home / ".deploybot/jobs" / job / "log").read_bytes())
    for pid in sshd.box.pids():
        assert HOUSE.auth not in words(pid) + environment(pid)
    kept = [path for path in sshd.home.rglob("*") if path.is_file() and HOUSE.auth.encode() in path.read_bytes()]
    assert kept == [sshd.home / ".deploybot/logins" / job / "config.json"]
    assert stat.S_IMODE(kept[0].stat().st_mode) == 0o600
    await host.cancel(job, grace=2)
    assert logins(sshd) == []


async def test_a_job_that_ignores_the_signal_keeps_nothing(sshd: Sshd, reach: Reach, job: str) -> None:
    host = reach(server_of(sshd))
    text = f"trap '' TERM; {WAIT}"
    await host.start(job, RUN, with_logins(text), deadline=60)
    await until(lambda: logins(sshd) == [job])
    assert (await host.cancel(job, grace=1)).state is JobState.CANCELLED
    assert logins(sshd) == []


async def test_after_a_kill_the_next_step_deletes_what_was_left(server: Sshd, reach: Reach, job: str) -> None:
    host = reach(server_of(server))
    await host.start(job, RUN, with_logins(WAIT), deadline=60)
    await until(lambda: logins(server) == [job])
    other = f"{job}-other"
    await host.start(other, RUN, with_logins(WAIT), deadline=60)
    await until(lambda: {job, other} == {*logins(server)})
    await kill_all_of(server, job)
    # Another job that still runs keeps its own.
    await finished(host, f"{job}-next", "true")
    assert logins(server) == [other]
    await host.cancel(other, grace=2)
    assert logins(server) == []


async def test_after_a_reboot_the_first_look_deletes_what_was_left(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = make_sshd()
    host = reach(server_of(server))
    await host.start(job, RUN, with_logins(WAIT), deadline=60)
    await until(lambda: logins(server) == [job])
    server.reboot()
    assert (await ended(host, job)).state is JobState.LOST
    assert logins(server) == []
