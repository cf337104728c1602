"""Logs of containers, on real Engines."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing

import pytest

from deploybot.engine.docker_engine import DockerEngine
from deploybot.errors import EngineError, Unreachable
from tests.lab import Engine
from tests.ssh.engine_containers import read, resident, shell, start, texts


async def test_a_log_joins_both_streams_in_order(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo one; sleep 1; echo two >&2; sleep 1; printf three")
    log = await read(docker.logs(container, tail=None))
    assert texts(log) == [b"one", b"two", b"three"]
    assert texts(await read(docker.logs(container, tail=2))) == [b"two", b"three"]
    assert await read(docker.logs(container, tail=0)) == b""
    assert await read(docker.logs(container, tail=None, since=time.time() + 60)) == b""


async def test_a_log_of_a_terminal(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo one; echo two >&2", options=("-t",))
    assert texts(await read(docker.logs(container, tail=None))) == [b"one", b"two"]


@pytest.mark.parametrize("options", [(), ("-t",)])
async def test_a_log_without_times(docker: DockerEngine, engine: Engine, options: tuple[str, ...]) -> None:
    container = shell(engine, "echo one; sleep 1; printf '\\001\\000\\000\\000 two\\n' >&2", options=options)
    log = await read(docker.logs(container, tail=None, times=False))
    assert log.splitlines() == [b"one", b"\x01\x00\x00\x00 two"]
    long = shell(engine, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo after")
    assert await read(docker.logs(long, tail=None, times=False)) == b"x" * 100_000 + b"\nafter\n"
    with pytest.raises(EngineError, match="No such container: nope"):
        await read(docker.logs("nope", tail=None, times=False))


async def test_a_line_of_a_megabyte_is_one_line(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo before; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo after")
    assert texts(await read(docker.logs(container, tail=None))) == [b"before", b"x" * 1_000_000, b"after"]


async def test_binary_junk_comes_through(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "printf '\\000\\001\\377\\n'")
    assert texts(await read(docker.logs(container, tail=None))) == ["\0\1�".encode()]  # as json-file kept it


async def test_a_log_that_nobody_reads_waits_at_the_engine(docker: DockerEngine, engine: Engine) -> None:
    container = shell(
        engine, "head -c 60000000 /dev/zero | tr '\\0' '\\n' | head -n 300000 | sed 's/^/a line of text/'"
    )
    before, size, slow = resident(), 0, True
    async with aclosing(docker.logs(container, tail=None)) as log:
        async for chunk in log:
            size += len(chunk)
            if slow:
                slow = False
                await asyncio.sleep(1)
    assert size == 300_000 * len("2026-11-21T01:23:45.123456789Z a line of text\n")
    assert resident() - before < 20e6


async def test_a_followed_log_comes_as_it_is_written(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sh", "-c", "echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two")
    async with aclosing(docker.logs(container, tail=None, follow=True)) as log:
        assert texts(await anext(log)) == [b"one"]
        engine.docker("exec", container, "touch", "/go")
        assert texts(await anext(log)) == [b"two"]
        assert await read(log) == b""


async def test_following_a_quiet_container_ends_in_time(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sleep", "1000")
    await docker.version()
    began = time.monotonic()
    assert await read(docker.logs(container, tail=None, follow=True, timeout=0.5)) == b""
    assert 0.4 < time.monotonic() - began < 20


async def test_following_a_quiet_container_can_be_cancelled(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sleep", "1000")
    task = asyncio.create_task(read(docker.logs(container, tail=None, follow=True)))
    await docker.version()
    threads = threading.active_count()
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    assert threading.active_count() <= threads


async def test_a_log_that_is_not_kept_is_said_so(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo one", options=("--log-driver", "none"))
    with pytest.raises(EngineError, match="does not support reading"):
        await read(docker.logs(container, tail=None))


async def test_a_log_cut_short_does_not_look_complete(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sh", "-c", "echo one; exec sleep 1000", options=("--stop-signal", "KILL"))
    log = docker.logs(container, tail=None, follow=True)
    assert texts(await anext(log)) == [b"one"]
    engine.kill()
    with pytest.raises(Unreachable, match="closed without a whole answer"):
        await anext(log)
