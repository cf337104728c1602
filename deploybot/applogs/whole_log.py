"""All lines of some logs, by time, as they are written to a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from deploybot.applogs.log_merge import merge
from deploybot.applogs.log_sources import Labels, Reading, Source, read, read_blocks
from deploybot.applogs.log_times import Entry, Stamps, Wanted
from deploybot.errors import DeploybotError
from deploybot.masking import Redactor


class WholeLog:
    """The logs of some sources.

    Once all is read, `troubles` has the errors, by server, of logs that broke off. `doubts` says, by source name, why
    lines from before `since` may be included.
    """

    def __init__(
        self, sources: Sequence[Source], labels: Labels, reading: Reading, redactor: Redactor, wanted: Wanted
    ) -> None:
        """Take what to read and how, and which lines are wanted; None if all are."""
        self._sources = sources
        self._labels = labels
        self._reading = reading
        self._redactor = redactor
        self._wanted = wanted
        self.troubles: dict[str, DeploybotError] = {}
        self.doubts: dict[str, str] = {}

    def blocks(self, *, since: float) -> AsyncIterator[bytes]:
        """Yield whole lines in blocks; `since` is how many seconds they go back, 0.0 for all."""
        reading, sources = self._reading, self._sources
        alone = len(sources) == 1 and (not since or sources[0].stamps is not Stamps.FREE)
        if alone:
            # A single log is already in order. The Engine's times would make it a fifth slower, like `docker logs -t`.
            reading, sources = replace(reading, times=False), [replace(sources[0], stamps=Stamps.NONE)]
        if alone and self._wanted is None and not self._labels.prefix(sources[0]):
            return self._plain(sources[0], reading)
        return self._merged(sources, reading)

    async def _plain(self, source: Source, reading: Reading) -> AsyncIterator[bytes]:
        """Yield one log as it is, in blocks of lines; an error is its last line."""
        try:
            async with aclosing(read_blocks(source, reading, self._redactor)) as blocks:
                async for block in blocks:
                    yield block
        except DeploybotError as problem:
            self.troubles[source.server] = problem
            yield self._last_words(problem) + b"\n"

    async def _merged(self, sources: Sequence[Source], reading: Reading) -> AsyncIterator[bytes]:
        """Yield the wanted lines of several logs, by time; errors are lines as in `_plain`."""

        async def entries(source: Source) -> AsyncIterator[list[Entry]]:
            prefix, last, timer = self._labels.prefix(source), b"", source.timer(reading)
            try:
                async with aclosing(read(source, reading, self._redactor, timer)) as batches:
                    async for batch in batches:
                        last = batch[-1][0]
                        yield _written(batch, prefix, source.stamps, self._wanted)
            except DeploybotError as problem:
                self.troubles[source.server] = problem
                yield [(last, prefix + self._last_words(problem))]
            if timer.doubt:
                self.doubts[source.name] = timer.doubt

        async for batch in merge([entries(source) for source in sources]):
            yield b"".join(text + b"\n" for _, text in batch)

    def _last_words(self, problem: DeploybotError) -> bytes:
        return f"-- the log ends here: {self._redactor.text(str(problem))}".encode()


def _written(batch: list[Entry], prefix: bytes, stamps: Stamps, wanted: Wanted) -> list[Entry]:
    """Return lines as they are written to a file: with their time in front, unless they contain it anyway."""
    if wanted:
        batch = [entry for entry in batch if wanted(entry)]
    if stamps in {Stamps.FREE, Stamps.NONE}:
        return [(key, prefix + text) for key, text in batch]
    between = b"Z " + prefix
    return [(key, key + between + text) if key else (key, prefix + text) for key, text in batch]
