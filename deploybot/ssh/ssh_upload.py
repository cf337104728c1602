"""Upload files to a server through a session instead of SFTP. The server's side is `receive.sh`.

SFTP reports a full disk only as `Failure`, but a session returns the server's own message. The check also needs no
second session, and servers without an SFTP subsystem work.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from deploybot.errors import StepFailed, Unreachable
from deploybot.ssh import remote_shell, ssh_errors
from deploybot.ssh.remote_command import Exchange
from deploybot.ssh.ssh_connection import SshConnection

ANSWER_WITHIN = 60.0
"""Seconds until the server says whether it wants the file, which includes the time to read an old one there."""
STALLED_AFTER = 60.0
"""Seconds in which the server takes no byte, after which an upload ends."""
_CHUNK = 262_144
_LONGEST_ANSWER = 65_536


async def upload(connection: SshConnection, source: Path, target: str) -> None:
    """Upload a local file to an absolute path. Send nothing if the content there is the same.

    Raises StepFailed with the server's message. Raises Unreachable if the connection breaks, or if the server does not
    say within ANSWER_WITHIN seconds whether it wants the file, or takes no byte for STALLED_AFTER seconds. The old
    file is unchanged then.
    """
    if refusal := await connection.refused():
        raise StepFailed(connection.server, f"upload of {target}", ssh_errors.CANNOT_CREATE, (refusal,))
    size, digest = await asyncio.to_thread(_measure, source)
    env = {"RECEIVE_TARGET": target, "RECEIVE_SHA256": digest, "RECEIVE_SIZE": str(size)}
    frame = remote_shell.frame(remote_shell.script("receive"), env)
    async with connection.session(
        remote_shell.runner().command("call", len(frame.data)), frame.data, more=True
    ) as exchange:
        answer = await _answer(exchange, connection.server)
        if answer == "send":
            await _send(exchange, source, connection.server)
            answer = ""
        answer += (await exchange.rest(_LONGEST_ANSWER)).decode("utf-8", "replace")
        code = await exchange.status()
    if code == 0 and answer.strip() in {"same", "placed"}:
        return
    words = tuple(ssh_errors.plain(line) for line in f"{answer}\n{exchange.errors}".splitlines() if line.strip())
    if not words:
        raise Unreachable(connection.server, "it did not confirm the upload")
    raise StepFailed(connection.server, f"upload of {target}", code or ssh_errors.CANNOT_CREATE, words)


def _measure(source: Path) -> tuple[int, str]:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


async def _answer(exchange: Exchange, server: str) -> str:
    """Return the first answer. The whole upload has much more time: without this limit, a lost answer would take it."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await _word(exchange)
    except TimeoutError as problem:
        raise Unreachable(server, f"it did not answer to an upload within {ANSWER_WITHIN:g} s") from problem


async def _word(exchange: Exchange) -> str:
    """Return the first line of the answer. Ignore what a login shell prints before it."""
    answer = bytearray()
    while data := await exchange.read():
        answer += data
        for line in bytes(answer).split(b"\n")[:-1]:
            if line in {b"send", b"same"}:
                return line.decode()
        if len(answer) > _LONGEST_ANSWER:
            break
    return answer.decode("utf-8", "replace")


async def _send(exchange: Exchange, source: Path, server: str) -> None:
    file = await asyncio.to_thread(source.open, "rb")
    try:
        while data := await asyncio.to_thread(file.read, _CHUNK):
            async with asyncio.timeout(STALLED_AFTER):
                await exchange.write(data)
    except TimeoutError as problem:
        raise Unreachable(server, f"it took nothing of an upload for {STALLED_AFTER:g} s") from problem
    finally:
        await asyncio.to_thread(file.close)
    exchange.write_eof()
