"""Merge the lines of several sources by time, with at most one batch of each in memory."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from operator import itemgetter

from deploybot.applogs.log_times import Entry

_when = itemgetter(0)


async def merge(sources: Sequence[AsyncIterator[list[Entry]]]) -> AsyncIterator[list[Entry]]:
    """Yield the batches of all sources as one: each source's lines in their own order, all sorted by time.

    The times in a source's batches must never go backwards. No source is read further than the others have come.
    """
    heads = [list[Entry]() for _ in sources]
    open_ones = set(range(len(sources)))
    while True:
        empty = [number for number in open_ones if not heads[number]]
        for number, batch in zip(empty, await asyncio.gather(*(_next(sources[one]) for one in empty)), strict=True):
            heads[number] = batch
            if not batch:
                open_ones.discard(number)
        if not open_ones:
            return
        # Nothing earlier than this can still arrive.
        certain = min(heads[number][-1][0] for number in open_ones)
        ready: list[Entry] = []
        for number in sorted(open_ones):
            position = bisect_right(heads[number], certain, key=_when)
            ready += heads[number][:position]
            heads[number] = heads[number][position:]
        ready.sort(key=_when)
        yield ready


async def _next(source: AsyncIterator[list[Entry]]) -> list[Entry]:
    """Return the next batch that is not empty; an empty one at the end."""
    async for batch in source:
        if batch:
            return batch
    return []
