"""A wish to stop ends what is waited for, and whoever waits may end, too: nothing is left running."""

from __future__ import annotations

import asyncio

import pytest

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.errors import Cancelled


async def forever(left: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        left.append("left")


async def test_what_ends_first_counts() -> None:
    stop = CancellationWatch()
    assert await stop.outrun(asyncio.sleep(0))
    left: list[str] = []
    assert not await stop.outrun(forever(left), within=0.01)
    stop.set(Cancelled("ana"))
    assert not await stop.outrun(forever(left))
    assert left == ["left", "left"]


async def test_what_it_raises_is_raised() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await CancellationWatch().outrun(broken())


async def test_whoever_waits_may_be_cancelled() -> None:
    left: list[str] = []
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await forever(left)

    waiting = asyncio.create_task(CancellationWatch().outrun(work()))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert left == ["left"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
