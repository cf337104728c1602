"""One bot a data folder: a lock on a file, which the kernel releases however the bot ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from deploybot.errors import StoreError, UserError
from deploybot.store.folder import private_file, private_folder


@contextlib.contextmanager
def single_bot(data: Path) -> Iterator[None]:
    """Hold the data folder while the block runs; made private first if need be.

    Raises UserError at once when another process holds it, with that process's id.
    """
    private_folder(data)
    path = data / "deploybot.lock"
    private_file(path)
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(data, file.read(20).decode("ascii", "replace").strip()) from None
        file.truncate()
        file.write(b"%d\n" % os.getpid())
        yield


def _opened(path: Path) -> FileIO:
    try:
        return path.open("r+b", buffering=0)
    except OSError as error:
        why = f"{path} cannot be written: {error.strerror}"
        raise StoreError(f"{why}; the data folder should be on a writable disk and belong to the bot's user") from error


def _taken(data: Path, pid: str) -> UserError:
    process = f"process {pid}" if pid.isdigit() else "another process"
    return UserError(
        f"a deploybot runs with the data folder {data} already: {process}",
        hint="Talk to that one with `deploybot chat`, stop it first, or give this one a `data` folder of its own.",
    )
