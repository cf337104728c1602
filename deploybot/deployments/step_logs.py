"""A deployment's full log in the data folder: one file per step, bounded, masked, exact after crashes.

A step's file and the remote log advance together. One database row holds how many remote bytes were taken (`offset`)
and how long the local file was then (`size`). Whatever a killed bot wrote after that is cut off before more is added,
so no byte is lost or doubled. While a job runs, only lines are taken whose masking is certain, so that no secret is cut
in two before it is masked.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from deploybot.bounded_memory import BoundedDict
from deploybot.domain import StepRow
from deploybot.errors import StoreError
from deploybot.masking import Redactor, clean, settled

LINE_LIMIT = 65_536
_LONGEST_OPEN = 131_072
TAIL_BYTES = 16_384
_REMEMBERED = 50
_CUT = "\n[log cut here: it is longer than keep_logs in bot.toml allows]\n"


class Journal:
    """The log files of all deployments in one folder. `limit` bounds each deployment, in bytes."""

    def __init__(self, folder: Path, redactor: Redactor, *, limit: int) -> None:
        """Use `folder`; it is created, for the owner only, when first needed."""
        self._folder = folder
        self._redactor = redactor
        self._limit = limit
        # Sizes of a deployment's files, by path: many servers write side by side, and each asks how much is used.
        self._sizes: BoundedDict[int, dict[Path, int]] = BoundedDict(_REMEMBERED)

    def folder(self, number: int) -> Path:
        """Return the folder with a deployment's files."""
        return self._folder / str(number)

    def path(self, row: StepRow) -> Path:
        """Return the file of one step; the names sort in the order in which the phases run."""
        phase = {"forward": 1, "restore": 2, "cleanup": 3}[row.phase.value]
        return self.folder(row.deployment) / f"{phase}-{row.server}-{row.position:02d}-{row.name}.log"

    def mend(self, row: StepRow) -> StepRow:
        """Cut the file back to what the database says, or restart both from zero if the file lost bytes."""
        path = self.path(row)
        with self._kept():
            there = path.stat().st_size if path.exists() else 0
            if there < row.size:
                path.unlink(missing_ok=True)
                self._sizes.pop(row.deployment, None)
                return _at(row, 0, 0)
            _cut_back(path, row.size)
        return row

    async def take(self, row: StepRow, data: bytes, *, last: bool) -> StepRow:
        """Do the same as `append`, but mask a long text in a separate thread, so that it blocks no other work."""
        if len(data) <= LINE_LIMIT:
            return self.append(row, data, last=last)
        return self._write(row, *await asyncio.to_thread(self._masked, data, last=last), last=last)

    def append(self, row: StepRow, data: bytes, *, last: bool) -> StepRow:
        """Store the whole lines of `data`, which begins at `row.offset`; all of it if it is the `last`.

        Returns the row with its new offset and size, which the caller commits. Removes what an uncommitted row has left
        in the file.
        """
        return self._write(row, *self._masked(data, last=last), last=last)

    def _masked(self, data: bytes, *, last: bool) -> tuple[int, bytes]:
        """Return how many bytes are taken, and what is stored of them."""
        taken = len(data) if last else self._certain(data)
        return taken, self._redactor.data(clean(data[:taken]))

    def _write(self, row: StepRow, taken: int, text: bytes, *, last: bool) -> StepRow:
        if not taken:
            return row
        path = self.path(row)
        with self._kept():
            _cut_back(path, row.size)
        room = self._limit - self._used(row.deployment)
        if len(text) > room:
            text = (text[:room] + _CUT.encode() if room > 0 else b"") + (text[-TAIL_BYTES:] if last else b"")
        with self._kept():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "ab", opener=_private) as file:
                file.write(text)
        self._sizes_of(row.deployment)[path] = row.size + len(text)
        return _at(row, row.offset + taken, row.size + len(text))

    def skip(self, row: StepRow, size: int) -> StepRow:
        """Skip the middle of a log once the limit is reached: only its end is still worth fetching."""
        if self._used(row.deployment) < self._limit:
            return row
        return _at(row, max(row.offset, size - TAIL_BYTES), row.size)

    def tail(self, row: StepRow, lines: int) -> tuple[str, ...]:
        """Return the last lines of a step's log."""
        path = self.path(row)
        if not path.exists():
            return ()
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
        return tuple(line[:500] for line in text.splitlines() if line.strip())[-lines:]

    def file(self, number: int) -> Path:
        """Return the path where `whole` puts the log of a deployment."""
        return self.folder(number) / f"deployment-{number}.txt"

    def whole(self, number: int) -> Path:
        """Write the full log of a deployment into one file, each step under a heading; return its path."""
        target = self.file(number)
        with self._kept():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(target, "wb", opener=_private) as out:
                for path in self._parts(number):
                    out.write(f"== {path.stem} ==\n".encode())
                    with path.open("rb") as part:
                        shutil.copyfileobj(part, out)
                    out.write(b"\n")
        return target

    def _certain(self, data: bytes) -> int:
        """Return how many bytes can be taken: up to a line end, or all lines if an open secret has no end in sight."""
        lines = _whole_lines(data)
        return settled(self._redactor, data, lines) or (lines if len(data) >= _LONGEST_OPEN else 0)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Raise StoreError with what to do if a file cannot be written, usually because of a full disk."""
        try:
            yield
        except OSError as problem:
            words = f"a log cannot be saved in {self._folder}: {problem.strerror}"
            raise StoreError(f"{words}. Free some space there; the deployment then continues.") from problem

    def _parts(self, number: int) -> Iterator[Path]:
        yield from sorted(self.folder(number).glob("[123]-*.log"))

    def _used(self, number: int) -> int:
        return sum(self._sizes_of(number).values())

    def _sizes_of(self, number: int) -> dict[Path, int]:
        found = self._sizes.get(number)
        if found is None:
            found = self._sizes[number] = {path: path.stat().st_size for path in self._parts(number)}
        return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _cut_back(path: Path, size: int) -> None:
    """Cut a file that is longer than it should be."""
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)


def _whole_lines(data: bytes) -> int:
    """Return how many bytes can be taken: up to the last line end, or all if a line has no end in sight."""
    end = data.rfind(b"\n") + 1
    return end or (len(data) if len(data) >= LINE_LIMIT else 0)


def _at(row: StepRow, offset: int, size: int) -> StepRow:
    return dataclasses.replace(row, offset=offset, size=size)
