"""The packaged scripts that read logs, under dash, bash and busybox."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deploybot.ssh.remote_shell import script

SHELLS = {"dash": ("dash",), "bash": ("bash",), "busybox": ("busybox", "ash")}


@pytest.fixture(params=["dash", "bash", pytest.param("busybox", marks=pytest.mark.needs("busybox"))])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    words = SHELLS[request.param]
    if words[0] == "busybox":
        # Only its own tools, as on a server that has no others.
        applets = tmp_path / "applets"
        applets.mkdir()
        subprocess.run(["busybox", "--install", "-s", applets], check=True)
    return words


def environment(shell: tuple[str, ...], tmp_path: Path, values: dict[str, str]) -> dict[str, str]:
    path = str(tmp_path / "applets") if shell[0] == "busybox" else os.environ["PATH"]
    return {"PATH": f"{tmp_path / 'bin'}:{path}", **values}


def run(shell: tuple[str, ...], tmp_path: Path, name: str, **values: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(shell[0]) or shell[0]
    return subprocess.run(
        [program, *shell[1:], "-c", script(name)],
        env=environment(shell, tmp_path, values),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def started(shell: tuple[str, ...], tmp_path: Path, name: str, **values: str) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which(shell[0]) or shell[0]
    process = subprocess.Popen(
        [program, *shell[1:], "-c", script(name)],
        env=environment(shell, tmp_path, {"DEPLOYBOT_FOLLOW": "1", **values}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert process.stdout
        process.stdout.close()


def seen(process: subprocess.Popen[bytes], count: int) -> bytes:
    assert process.stdout
    return process.stdout.read(count)


def test_the_end_of_a_file(shell: tuple[str, ...], tmp_path: Path) -> None:
    log = tmp_path / "a log; $(touch x) 'y'.txt"
    log.write_text("one\ntwo\nthree\n")
    done = run(shell, tmp_path, "logs_file", DEPLOYBOT_FILE=str(log), DEPLOYBOT_LINES="2")
    assert (done.stdout, done.stderr, done.returncode) == ("two\nthree\n", "", 0)


def test_a_file_that_cannot_be_read_is_reported(shell: tuple[str, ...], tmp_path: Path) -> None:
    missing, folder = str(tmp_path / "nope"), str(tmp_path)
    me = pwd.getpwuid(os.geteuid()).pw_name
    for path, says in (
        (missing, f"there is no file {missing} that the user {me} can see"),
        (folder, f"{folder} is a folder"),
    ):
        done = run(shell, tmp_path, "logs_file", DEPLOYBOT_FILE=path, DEPLOYBOT_LINES="2")
        assert (done.stdout, done.stderr, done.returncode) == (f"\x1c{says}\n", "", 66)


def test_a_followed_file_goes_on_also_when_it_is_rotated(shell: tuple[str, ...], tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    with started(shell, tmp_path, "logs_file", DEPLOYBOT_FILE=str(log), DEPLOYBOT_LINES="1") as process:
        assert seen(process, 4) == b"two\n"
        with log.open("a") as file:
            file.write("three\n")
        assert seen(process, 6) == b"three\n"
        log.rename(tmp_path / "log.1")
        log.write_text("four\n")
        assert seen(process, 5) == b"four\n"


def test_a_command_prints_both_its_streams_in_the_apps_directory(shell: tuple[str, ...], tmp_path: Path) -> None:
    command = 'echo "out $DEPLOYBOT_LINES"; echo err >&2; pwd; exit 3'
    values = {"DEPLOYBOT_COMMAND": command, "DEPLOYBOT_DIRECTORY": str(tmp_path), "DEPLOYBOT_LINES": "7"}
    done = run(shell, tmp_path, "logs_command", **values)
    assert (done.stdout, done.stderr, done.returncode) == (f"out 7\nerr\n{tmp_path}\n", "", 3)
    (tmp_path / "releases").mkdir()
    (tmp_path / "current").symlink_to("releases")
    assert run(shell, tmp_path, "logs_command", **values).stdout.splitlines()[2] == f"{tmp_path}/current"


def test_the_journal_is_asked_for_the_unit_alone(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    journalctl = tmp_path / "bin/journalctl"
    journalctl.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    journalctl.chmod(0o755)
    asked = ["--unit", "shop@1.service", "--lines", "5", "--no-pager", "--quiet", "--utc"]
    asked += ["--output", "short-iso-precise"]
    values = {"DEPLOYBOT_UNIT": "shop@1.service", "DEPLOYBOT_LINES": "5"}
    assert run(shell, tmp_path, "logs_journald", **values).stdout.splitlines() == asked
    done = run(shell, tmp_path, "logs_journald", **values, DEPLOYBOT_SINCE="1795224300")
    assert done.stdout.splitlines() == [*asked, "--since", "@1795224300"]
    with started(shell, tmp_path, "logs_journald", **values) as process:
        assert process.stdout
        assert process.stdout.read().decode().splitlines() == [*asked, "--follow"]


def test_a_server_without_a_journal_is_reported(tmp_path: Path) -> None:
    shell = SHELLS["dash"]
    done = subprocess.run(
        [shutil.which(shell[0]) or shell[0], "-c", script("logs_journald")],
        env={"PATH": str(tmp_path), "DEPLOYBOT_UNIT": "shop", "DEPLOYBOT_LINES": "5"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("\x1cthis server has no journalctl\n", 66)
