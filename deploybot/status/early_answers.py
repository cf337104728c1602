"""When to stop waiting for the last few of many who were asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

MOMENT = 0.2
"""Seconds that are given in any case."""


async def some_are_late(asked: Collection[asyncio.Task[object]]) -> bool:
    """Whether some take their time when others have answered; returns as soon as that is known.

    Once half of them have answered, the rest is given as long again as it took so far, and a moment: a network
    that is slow as a whole keeps nobody from being waited for.
    """
    now = asyncio.get_running_loop().time
    began, waiting = now(), set(asked)
    while waiting:
        many = 2 * len(waiting) <= len(asked)
        patience = now() - began + MOMENT if many else None
        answered, waiting = await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not answered:
            return True
    return False
