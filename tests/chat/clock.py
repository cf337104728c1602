"""A loop whose clock jumps to its next timer: an hour is over at once, and everything keeps its order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Selector(selectors.SelectSelector):
    """Does not wait: time is passed on by as much."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self.jumped += max(timeout, 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    """A loop on that selector."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.jumped


def on_a_jumping_clock(work: Coroutine[Any, Any, None]) -> None:
    """Run something that touches nothing outside."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(work)
