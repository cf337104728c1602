"""Unix sockets by path: private, replaced if the bot is dead, and of any path length (unix(7) allows 107 bytes)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from deploybot.chat.console.console_protocol import REQUEST_LIMIT, ConsoleRefused, encode
from deploybot.errors import UserError
from deploybot.trusted_files import user_name

_LONGEST = 107
_REFUSE_WITHIN = 1.0
_CREDENTIALS = struct.Struct("3i")


def peer(sock: socket.socket) -> int:
    """Return the user id of the peer process, as the kernel recorded it when the connection was made."""
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


def user(uid: int) -> str:
    """Return a user's name, or `user` and the number if the system does not know it."""
    name = user_name(uid)
    return f"user {name}" if name.isdecimal() else name


def listen(path: Path) -> socket.socket:
    """Return a listening socket that only this user can open. Create its folder (0700) if it is missing.

    The socket of a dead bot is replaced. Raises UserError if a bot listens there already. Also raises it if others can
    write to the folder, since they could replace the socket.
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
    """Return a connection to the socket at `path`. Raises OSError if it fails (FileNotFoundError, …).

    A Unix socket connects or refuses (ConnectionRefusedError) at once, so this does not block. A full queue raises
    BlockingIOError.
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
    """Send a client the reason and close its connection. This takes at most a second."""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(_REFUSE_WITHIN):
            writer.write(encode(ConsoleRefused(sentence)))
            writer.write_eof()
            await writer.drain()
            # Closing a Unix socket with unread data discards the data it sent: unix(7) has no lingering.
            while await reader.read(REQUEST_LIMIT):
                pass
    writer.close()


def _check_folder(folder: Path) -> None:
    """Raise UserError if others can write to the folder."""
    mode = folder.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise UserError(f"Others may write to {folder}.", hint=f"Run: chmod go-w {folder}")


def _answers(path: Path) -> bool:
    """Return whether a bot listens at `path`."""
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
    """Yield an address for `path` that is short enough. A long path goes through /proc and its folder's descriptor."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
