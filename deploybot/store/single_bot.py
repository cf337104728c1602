"""Allow only one bot per data folder with a file lock, which the kernel releases however the bot ends.

A temporary bot, started by a console client, can be stopped to let a permanent one start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from deploybot.errors import StoreError, UserError
from deploybot.store.data_folder import private_file, private_folder

LOCK = "deploybot.lock"
_TEMPORARY = "temporary"
_GONE_WITHIN = 15.0


@contextlib.contextmanager
def single_bot(data: Path, *, temporary: bool = False) -> Iterator[None]:
    """Hold the data folder while the block runs. Make it private first if needed.

    Raises UserError at once with the process id if another process holds it.
    """
    private_folder(data)
    path = data / LOCK
    private_file(path)
    with _opened(path) as file:
        if not _locked(file):
            raise _taken(data, file)
        file.truncate()
        file.write(f"{os.getpid()} {_TEMPORARY if temporary else ''}".strip().encode() + b"\n")
        yield


def make_room(data: Path) -> int:
    """Stop a temporary bot that holds the folder. Return its process id, or 0 if there was none.

    Its deployments continue on the servers, and the next bot follows them. Raises UserError if it does not stop.
    """
    path = data / LOCK
    if not path.exists():
        return 0
    with _opened(path) as file:
        if _locked(file):
            return 0
        process, temporary = _holder(file)
        if not temporary or not _end(process, path):
            return 0
        if not _locked(file):
            raise _taken(data, file)
    return process


def _end(process: int, lock: Path) -> bool:
    """Stop the process with SIGTERM if it has the lock file open. Return whether it ended in time."""
    try:
        descriptor = os.pidfd_open(process)
    except OSError:
        return False
    try:
        if not _has_open(process, lock):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(_GONE_WITHIN * 1000))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _has_open(process: int, path: Path) -> bool:
    """Return whether a process has a file open. The process id in a lock file may be old and reused."""
    return any(link.exists() and link.samefile(path) for link in Path(f"/proc/{process}/fd").iterdir())


def _locked(file: FileIO) -> bool:
    """Lock the file. Return False if another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: FileIO) -> tuple[int, bool]:
    """Return the process id in a lock file, 0 if there is none, and whether that bot is temporary."""
    file.seek(0)
    number, _, kind = file.read(40).decode("ascii", "replace").strip().partition(" ")
    return int(number) if number.isascii() and number.isdigit() else 0, kind == _TEMPORARY


def _opened(path: Path) -> FileIO:
    try:
        return path.open("r+b", buffering=0)
    except OSError as error:
        why = f"{path} cannot be written: {error.strerror}"
        raise StoreError(f"{why}; the data folder should be on a writable disk and belong to the bot's user") from error


def _taken(data: Path, file: FileIO) -> UserError:
    number, temporary = _holder(file)
    process = f"process {number}" if number else "another process"
    if temporary:
        return UserError(
            f"a temporary bot already uses the data folder {data}: {process}. `deploybot chat` started it",
            hint=f"It stops when running deployments have ended. To stop it now: kill {number}",
        )
    return UserError(
        f"a deploybot already uses the data folder {data}: {process}",
        hint="Use it with `deploybot chat`, stop it first, or give this one a separate `data` folder.",
    )
