"""One bot a data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploybot.errors import StoreError, UserError
from deploybot.store.single_bot import make_room, single_bot


@contextmanager
def _other(data: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the folder."""
    argv = [sys.executable, "-m", "tests.store.children", "hold", str(data), *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        try:
            yield other
        finally:
            other.kill()


def test_the_second_is_reported_at_once_who_holds_it(tmp_path: Path) -> None:
    with _other(tmp_path / "data") as other:
        begun = time.monotonic()
        with pytest.raises(UserError, match=f"process {other.pid}") as raised, single_bot(tmp_path / "data"):
            pass
        assert time.monotonic() - begun < 5
        assert "a separate `data` folder" in raised.value.hint


def test_the_second_process_ends_at_once(tmp_path: Path) -> None:
    with single_bot(tmp_path / "data"):
        argv = [sys.executable, "-m", "tests.store.children", "hold", str(tmp_path / "data")]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert f"process {os.getpid()}" in ended.stdout


def test_one_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with _other(tmp_path / "data") as other:
        other.kill()
        other.wait(10)
        with single_bot(tmp_path / "data"):
            assert (tmp_path / "data" / "deploybot.lock").read_text() == f"{os.getpid()}\n"


def test_it_can_be_taken_again_after_it_was_released(tmp_path: Path) -> None:
    for _ in range(2):
        with single_bot(tmp_path / "data"):
            pass


def test_the_file_is_private_and_a_strange_one_is_no_obstacle(tmp_path: Path) -> None:
    lock = tmp_path / "data" / "deploybot.lock"
    with single_bot(tmp_path / "data"):
        assert lock.stat().st_mode & 0o777 == 0o600
    lock.write_bytes(b"\xff nonsense" * 100)
    with single_bot(tmp_path / "data"):
        with pytest.raises(UserError, match=f"process {os.getpid()}"), single_bot(tmp_path / "data"):
            pass
        lock.write_bytes(b"\xff nonsense")
        with pytest.raises(UserError, match="another process"), single_bot(tmp_path / "data"):
            pass


def test_a_file_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data" / "deploybot.lock").mkdir(mode=0o700, parents=True)
    with pytest.raises(StoreError, match="cannot be written: Is a directory"), single_bot(tmp_path / "data"):
        pass


def test_jobs_of_the_bot_do_not_inherit_it(tmp_path: Path) -> None:
    with single_bot(tmp_path / "data"):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        with single_bot(tmp_path / "data"):
            pass
    finally:
        child.kill()
        child.wait(10)


def test_a_temporary_one_makes_room(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with _other(data, "temporary") as other:
        assert make_room(data) == other.pid
        assert other.wait(10) == -signal.SIGTERM
        with single_bot(data):
            assert make_room(data) == 0


def test_one_that_stays_makes_no_room(tmp_path: Path) -> None:
    with _other(tmp_path / "data") as other:
        assert make_room(tmp_path / "data") == 0
        assert other.poll() is None


def test_a_process_that_an_old_lock_file_names_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with _other(data, "temporary") as holder, subprocess.Popen(["sleep", "60"]) as innocent:
        (data / "deploybot.lock").write_text(f"{innocent.pid} temporary\n")
        assert make_room(data) == 0
        assert innocent.poll() is None
        innocent.kill()
        assert holder.poll() is None


def test_a_second_bot_names_the_temporary_one(tmp_path: Path) -> None:
    with _other(tmp_path / "data", "temporary") as other:
        with pytest.raises(UserError, match="a temporary bot already uses") as raised, single_bot(tmp_path / "data"):
            pass
        assert f"kill {other.pid}" in raised.value.hint


def test_there_is_room_where_no_bot_ever_was(tmp_path: Path) -> None:
    assert make_room(tmp_path / "data") == 0
