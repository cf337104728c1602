"""Restrict the data folder and its files to the bot's user."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import stat
from pathlib import Path

from deploybot.errors import StoreError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OURS = {"deploybot.db", "deploybot.lock"}
_BEFORE_US = {"mirrors"}
"""Created by `deploybot check`, possibly before the bot first starts."""
_log = logging.getLogger(__name__)


def private_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter (0700), or restrict an existing one.

    Raises StoreError with a fix, without changing the folder, if it also contains files that are not the bot's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & _OTHERS:
            _shut_folder(folder, mode)
    except OSError as error:
        raise StoreError(f"the data folder {folder} cannot be used: {error.strerror}") from error


def _shut_folder(folder: Path, mode: int) -> None:
    names = {entry.name for entry in folder.iterdir()}
    if names - _BEFORE_US and not names & _OURS:
        raise StoreError(
            f"the data folder {folder} can be read by others (mode {mode:04o}) and has other contents: "
            f"run `chmod 700 {shlex.quote(str(folder))}`, or set `data` in bot.toml to a separate folder"
        )
    folder.chmod(0o700)
    _log.warning("The data folder %s could be read by others (mode %04o); it is 0700 now.", folder, mode)


def private_file(path: Path) -> None:
    """Create an empty file that only its owner can read (0600), or restrict an existing one.

    An existing file is not opened: closing it would release every lock that SQLite holds on it.
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(0o600)
            _log.warning("%s could be read by others (mode %04o); it is 0600 now.", path, mode)
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror}; it should belong to the bot's user") from error
