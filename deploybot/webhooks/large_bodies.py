"""Read large bodies in a separate process, because parsing stops everything else in its process.

Parsing 25 MB holds the interpreter for a fifth of a second, in any thread. It takes six times as much memory, which is
freed when the process ends. The process may use 320 MiB, and one body is read at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import resource
import sys
from asyncio.subprocess import Process
from dataclasses import replace
from typing import Final, cast

from deploybot.domain import Event
from deploybot.errors import DeploybotError
from deploybot.webhooks.sender_port import MalformedError, Received
from deploybot.webhooks.senders import sender

LARGE: Final = 512 << 10
"""Bodies of this many bytes and more are read in a separate process. Smaller ones take milliseconds."""
_WITHIN: Final = 60.0
_PIECE: Final = 256 << 10
_MEMORY: Final = 320 << 20


class ReaderError(DeploybotError):
    """The process that reads a large body ended without an answer."""


async def events_of(name: str, received: Received) -> tuple[Event, ...]:
    """Read the events of a delivery without blocking anything else.

    Raises MalformedError as the sender does, and ReaderError or TimeoutError if the process gave no answer.
    """
    if len(received.body) < LARGE:
        return sender(name).events(received)
    found = await _apart(pickle.dumps((name, replace(received, body=b""))), received.body)
    if isinstance(found, MalformedError):
        raise found
    return found


async def _apart(head: bytes, body: bytes) -> tuple[Event, ...] | MalformedError:
    """Return the answer of a separate process. The process is killed if the caller stops waiting."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_WITHIN):
            result, _ = await asyncio.gather(_read(process), _write(process, head, body))
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ReaderError(f"the reader of a large body ended with {process.returncode}")
    return cast("tuple[Event, ...] | MalformedError", pickle.loads(result))  # noqa: S301  both ends of the pipe are this program


async def _read(process: Process) -> bytes:
    """Read all output of the process."""
    assert process.stdout is not None  # noqa: S101  it was asked for
    return await process.stdout.read()


async def _write(process: Process, head: bytes, body: bytes) -> None:
    """Send the body in pieces, to avoid another copy of it."""
    pipe = process.stdin
    assert pipe is not None  # noqa: S101  it was asked for
    with contextlib.suppress(ConnectionError):
        pipe.write(head)
        for at in range(0, len(body), _PIECE):
            pipe.write(memoryview(body)[at : at + _PIECE])
            await pipe.drain()
    pipe.close()


def main() -> None:
    """Run as that process: read the request from standard input, write the result to standard output."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    name, head = pickle.load(sys.stdin.buffer)  # noqa: S301  both ends of the pipe are this program
    found: tuple[Event, ...] | MalformedError
    try:
        found = sender(name).events(replace(head, body=sys.stdin.buffer.read()))
    except MalformedError as error:
        found = error
    except MemoryError:
        found = MalformedError(f"The body takes more than {_MEMORY >> 20} MiB of memory to read.")
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    main()
