"""A file to a server by SFTP: under a temporary name, its content checked over there, then renamed."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from pathlib import Path

import asyncssh

from deploybot.errors import StepFailed
from deploybot.hosts.shell import quote

_CHUNK = 1_048_576


async def upload(server: str, connection: asyncssh.SSHClientConnection, source: Path, target: str) -> None:
    """Put a local file at an absolute path; nothing happens where the same content is there already.

    Raises StepFailed with the server's words when it refuses.
    """
    wanted = await asyncio.to_thread(_sum, source)
    if await _sum_there(connection, target) == wanted:
        return
    draft = f"{target}.{secrets.token_hex(4)}.part"
    async with connection.start_sftp_client() as sftp:
        try:
            await sftp.makedirs(target.rpartition("/")[0], exist_ok=True)
            await sftp.put(str(source), draft)
            if await _sum_there(connection, draft) != wanted:
                raise StepFailed(server, "upload", 1, (f"{target} did not arrive whole: is the disk full?",))
            await sftp.posix_rename(draft, target)
        except asyncssh.SFTPError as problem:
            await _remove(sftp, draft)
            raise StepFailed(server, "upload", 1, (f"{target}: {problem.reason}", *await _room(sftp, target))) from problem
        except StepFailed:
            await _remove(sftp, draft)
            raise


async def _remove(sftp: asyncssh.SFTPClient, path: str) -> None:
    try:
        await sftp.remove(path)
    except asyncssh.SFTPError:
        return


async def _room(sftp: asyncssh.SFTPClient, target: str) -> tuple[str, ...]:
    """How much is free over there; nothing where the server does not say."""
    try:
        room = await sftp.statvfs(target.rpartition("/")[0])
    except asyncssh.SFTPError:
        return ()
    return (f"{room.bavail * room.frsize // 1_000_000} MB are free there",)


async def _sum_there(connection: asyncssh.SSHClientConnection, path: str) -> str:
    done = await connection.run(f"sha256sum -- {quote(path)} 2>/dev/null", encoding=None)
    output = done.stdout if isinstance(done.stdout, bytes) else b""
    return output.split()[0].decode("ascii", "replace").lstrip("\\") if output.split() else ""


def _sum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
