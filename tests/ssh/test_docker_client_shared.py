"""One client of an Engine that several calls use at once: a call that fails takes no connection from the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from deploybot.engine.docker_engine import DockerEngine
from deploybot.engine.stream_request import EngineRefused
from deploybot.errors import EngineError

if TYPE_CHECKING:
    from deploybot.engine.docker_client import Client


class Shared:
    """A client that counts whether it is closed, and answers `version` only when it is told to."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def call(self, work: Callable[[Shared], object], what: str) -> object:
        del what
        return work(self)

    def version(self) -> str:
        self.asked.set()
        assert self.go_on.wait(10)
        if self.closed.is_set():
            raise ConnectionError("closed under an answer")
        return "20.10.24"

    def info(self) -> None:
        raise EngineRefused(404, "no such container")

    def close(self) -> None:
        self.closed.set()


async def test_a_refused_call_closes_no_connection_of_another() -> None:
    made = [Shared(), Shared()]
    left = iter(made)
    engine = DockerEngine("web1", "unix:///nowhere", connect=lambda *_: cast("Client", next(left)))
    first = asyncio.create_task(engine.version())
    assert await asyncio.to_thread(made[0].asked.wait, 10)
    with pytest.raises(EngineError, match="no such container"):
        await engine.info()
    assert not made[0].closed.is_set()
    made[0].go_on.set()
    assert await first == "20.10.24"
    assert made[0].closed.is_set()
    made[1].go_on.set()
    assert await engine.version() == "20.10.24"
    assert not made[1].closed.is_set()
    await engine.close()
    assert [one.closed.is_set() for one in made] == [True, True]
