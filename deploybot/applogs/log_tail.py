"""The last lines of a log, and how to search them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import aclosing

from deploybot.applogs.log_sources import Reading, Source, read
from deploybot.applogs.log_times import Entry, Wanted
from deploybot.errors import DeploybotError, Unreachable
from deploybot.masking import Redactor
from deploybot.units import show_duration


class Tail:
    """The last wanted lines of one source, and what went wrong on the way.

    `doubt` says why some of them may be from before `since`, if so.
    """

    def __init__(self, source: Source, prefix: bytes, most: int) -> None:
        """Keep at most `most` lines, each with `prefix` before it."""
        self.source = source
        self.lines: deque[Entry] = deque(maxlen=most)
        self.trouble: DeploybotError | None = None
        self.doubt = ""
        self._prefix = prefix

    async def fill(self, reading: Reading, redactor: Redactor, wanted: Wanted) -> None:
        """Read the source to its end."""
        timer = self.source.timer(reading)
        try:
            batches = read(self.source, reading, redactor, timer)
            async with asyncio.timeout(reading.timeout), aclosing(batches):
                async for batch in batches:
                    found = [entry for entry in batch if wanted(entry)] if wanted else batch
                    self.lines.extend((key, self._prefix + text) for key, text in found)
        except DeploybotError as problem:
            self.trouble = problem
        except TimeoutError:
            self.trouble = Unreachable(
                f"The log on {self.source.server}",
                f"reading it took longer than {show_duration(reading.timeout)}",
            )
        self.doubt = timer.doubt if self.lines else ""


def search(text: str) -> Wanted:
    """Return a filter for lines that contain a text, ignoring case; None if every line is wanted."""
    if not text:
        return None
    if text.isascii():
        found = re.compile(re.escape(text.encode()), re.IGNORECASE).search
        return lambda entry: found(entry[1]) is not None
    folded = text.casefold()
    return lambda entry: folded in entry[1].decode("utf-8", errors="replace").casefold()
