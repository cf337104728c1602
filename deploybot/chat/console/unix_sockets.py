"""Unix sockets by path: private, replaced when their bot is dead, and of any path length (unix(7) allows 107 bytes)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from deploybot.chat.console.console_protocol import REQUEST_LIMIT, ConsoleRefused, encode
from deploybot.errors import UserError

_LONGEST = 107
_REFUSE_WITHIN = 1.0
_CREDENTIALS = struct.Struct("3i")


def peer(sock: socket.socket) -> int:
    """The user id of the process on the other side, as the kernel noted it when the connection was made."""
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


def user(uid: int) -> str:
    """A user's name for people; the number where the system knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def listen(path: Path) -> socket.socket:
    """A listening socket that only this user may open, in a folder made (0700) where it is missing.

    The socket of a dead bot is replaced. UserError when a bot listens there, or when others may write to
    the folder, since they could put a socket of their own there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_folder(path.parent)
    if _answers(path):
        raise UserError(f"A bot already listens on {path}.", hint="Stop it first, or give this bot its own `data`.")
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _short(fresh) as address:
            sock.bind(address)
        fresh.chmod(0o600)
        sock.listen(64)
        sock.setblocking(False)  # noqa: FBT003  the standard library's signature
        fresh.rename(path)
    except BaseException:
        sock.close()
        fresh.unlink(missing_ok=True)
        raise
    return sock


def connect(path: Path) -> socket.socket:
    """A connection to the socket at `path`; OSError (FileNotFoundError, ConnectionRefusedError …) where it fails.

    A Unix socket connects or refuses at once, so this does not wait; a full queue is BlockingIOError.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)  # noqa: FBT003  the standard library's signature
        with _short(path) as address:
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sentence: str) -> None:
    """Tell a client why its connection ends, and end it; returns within a second."""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(_REFUSE_WITHIN):
            writer.write(encode(ConsoleRefused(sentence)))
            writer.write_eof()
            await writer.drain()
            # A Unix socket that is closed with something unread takes back what it sent: unix(7) has no lingering.
            while await reader.read(REQUEST_LIMIT):
                pass
    writer.close()


def _check_folder(folder: Path) -> None:
    """Refuse a folder into which others may write."""
    mode = folder.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise UserError(f"Others may write to {folder}.", hint=f"Run: chmod go-w {folder}")


def _answers(path: Path) -> bool:
    """Whether somebody listens at `path`."""
    try:
        connect(path).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except BlockingIOError:
        return True
    except PermissionError:
        owner = user(path.lstat().st_uid)
        raise UserError(
            f"{path} belongs to the user {owner}.", hint="Remove it, or run the bot as that user."
        ) from None
    return True


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """An address for `path` that fits: a long one goes through /proc by its folder's descriptor."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
