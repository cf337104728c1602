"""Decide when to stop waiting for the last few of many that were asked at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

MOMENT = 0.2
"""Minimum extra seconds to wait."""


async def some_are_late(asked: Collection[asyncio.Task[object]]) -> bool:
    """Return whether some take long after others have answered; return as soon as that is known.

    Once half of them have answered, the rest get as much time again as it took so far, plus MOMENT. So on a network
    that is slow as a whole, no server counts as late too early.
    """
    now = asyncio.get_running_loop().time
    began, waiting = now(), set(asked)
    while waiting:
        many = 2 * len(waiting) <= len(asked)
        timeout = now() - began + MOMENT if many else None
        answered, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not answered:
            return True
    return False
