"""Run git: no shell, limited output, a timeout, and no processes left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

MOST_OUTPUT = 16 * 2**20
_CHUNK = 2**16
_MOST_WORDS = 2**16
_LOOKS = 5.0
_DAMAGED = re.compile(
    r"not a git repository|corrupt|is empty|unable to read|bad (?:tree|object|signature|config)|"
    r"missing (?:blob|tree|commit)|inflate|packfile|loose object|early EOF.{0,200}index-pack|garbage at end|"
    r"Failed to traverse parents|unresolved delta|does not exist$|bad ref|dangling",
    re.IGNORECASE,
)
_NO_GIT = 127


class GitFailed(Exception):
    """git exited with a code other than 0. `words` is its stderr, with secrets not masked."""

    def __init__(self, code: int, words: str) -> None:
        """Keep the exit code and the stderr."""
        super().__init__(f"git ended with {code}")
        self.code = code
        self.words = words

    @property
    def damaged(self) -> bool:
        """Return whether the local repository seems damaged, so that a new copy would help."""
        return bool(_DAMAGED.search(self.words))


class GitTimeout(GitFailed):
    """git was stopped at its timeout, `seconds` after its start or its last progress."""

    def __init__(self, seconds: float) -> None:
        """Keep the timeout."""
        super().__init__(-1, f"it did not finish within {seconds:.0f} s")
        self.seconds = seconds


class GitUnfinished(GitFailed):
    """A fetch takes longer than its caller waits. It goes on, and has `received` bytes so far."""

    def __init__(self, received: int) -> None:
        """Keep the bytes."""
        super().__init__(-1, "the fetch goes on")
        self.received = received


async def run_git(
    *argv: str,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes = b"",
    stdout: int | None = None,
    words: bool = False,
    progress: Callable[[], int] | None = None,
) -> bytes:
    """Run git and return its output, or let it write to the file descriptor `stdout`.

    With `words`, the end of its stderr is appended. `env` is the whole environment, `timeout` is in seconds. On timeout
    or cancellation, git and all its child processes are killed. The timeout starts again when `progress`, which runs in
    a thread, returns another number. Raises GitFailed, also for more than 16 MiB of output.
    """
    return await run("git", *argv, env=env, timeout=timeout, stdin=stdin, stdout=stdout, words=words, progress=progress)


async def run(
    program: str,
    *argv: str,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes = b"",
    stdout: int | None = None,
    words: bool = False,
    progress: Callable[[], int] | None = None,
) -> bytes:
    """Run a program in the same way as `run_git` runs git."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise GitFailed(_NO_GIT, f"{program} is not installed where the bot runs") from None
    try:
        async with asyncio.timeout(timeout) as deadline:
            watch = asyncio.create_task(_extend(deadline, timeout, progress)) if progress else None
            try:
                output, errors = await _talk(process, stdin)
            finally:
                if watch:
                    watch.cancel()
    except TimeoutError:
        raise GitTimeout(timeout) from None
    finally:
        await _end(process)
    if process.returncode:
        raise GitFailed(process.returncode, errors.decode("utf-8", errors="replace"))
    return output + errors if words else output


async def _extend(deadline: asyncio.Timeout, timeout: float, progress: Callable[[], int]) -> None:
    """Move the deadline whenever there is progress."""
    seen = await asyncio.to_thread(progress)
    while True:
        await asyncio.sleep(min(_LOOKS, timeout / 4))
        now = await asyncio.to_thread(progress)
        if now != seen and not deadline.expired():
            deadline.reschedule(asyncio.get_running_loop().time() + timeout)
        seen = now


async def _talk(process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, bytes]:
    """Write stdin and read the output until git closes its pipes and ends."""
    output, words, _ = await asyncio.gather(
        _read(process.stdout, MOST_OUTPUT), _last_words(process.stderr), _feed(process, stdin)
    )
    await process.wait()
    return output, words


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    pipe = process.stdin
    if pipe is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()


async def _read(pipe: asyncio.StreamReader | None, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while pipe is not None and (chunk := await pipe.read(_CHUNK)):
        size += len(chunk)
        if size > limit:
            raise GitFailed(-1, f"it sent more than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


async def _last_words(pipe: asyncio.StreamReader | None) -> bytes:
    """Return the end of stderr, of any length."""
    kept = b""
    while pipe is not None and (chunk := await pipe.read(_CHUNK)):
        kept = (kept + chunk)[-_MOST_WORDS:]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the remaining processes of git's process group, and wait for git."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())


def fields(output: bytes, count: int) -> list[Sequence[str]]:
    """Split output into rows of `count` fields, each ended or separated by NUL."""
    if not output:
        return []
    texts = output.decode("utf-8", errors="replace").removesuffix("\0").split("\0")
    return [texts[start : start + count] for start in range(0, len(texts) - count + 1, count)]
