"""A deployment's full log in the data folder: one file a step, bounded, masked, exact over crashes.

A step's file and the remote log move together: the database holds, in one row, how many remote bytes
were taken (`offset`) and how long the local file was then (`size`). Whatever a killed bot wrote after
that is cut off before more is added, so no byte is lost or doubled. Only whole lines are taken while a
job runs, so that no secret is cut in two before it is masked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from deploybot.domain import StepRow
from deploybot.errors import StoreError
from deploybot.ports import Redactor

LINE_LIMIT = 65_536
TAIL_BYTES = 16_384
_CUT = "\n[the log is longer than keep_logs in bot.toml allows: the rest is not kept]\n"


class Journal:
    """The log files of all deployments below one folder. `limit` bounds each deployment, in bytes."""

    def __init__(self, folder: Path, redactor: Redactor, *, limit: int) -> None:
        """Use `folder`; it is made, for the owner only, when first needed."""
        self._folder = folder
        self._redactor = redactor
        self._limit = limit

    def folder(self, number: int) -> Path:
        """Where the files of a deployment are."""
        return self._folder / str(number)

    def path(self, row: StepRow) -> Path:
        """The file of one step; names sort in the order in which the phases run."""
        phase = {"forward": 1, "restore": 2, "cleanup": 3}[row.phase.value]
        return self.folder(row.deployment) / f"{phase}-{row.server}-{row.position:02d}-{row.name}.log"

    def mend(self, row: StepRow) -> StepRow:
        """Bring the file back to what the database says of it, or start both anew where the file lost bytes."""
        path = self.path(row)
        with self._kept():
            there = path.stat().st_size if path.exists() else 0
            if there < row.size:
                path.unlink(missing_ok=True)
                return _at(row, 0, 0)
            _cut_back(path, row.size)
        return row

    def append(self, row: StepRow, data: bytes, *, last: bool) -> StepRow:
        """Keep the whole lines of `data`, which begins at `row.offset`; all of it when it is the `last`.

        Gives the row with its new offset and size, which the caller commits. What a row that was never committed
        has left in the file goes.
        """
        taken = len(data) if last else _whole_lines(data)
        if not taken:
            return row
        path = self.path(row)
        with self._kept():
            _cut_back(path, row.size)
        text = self._redactor.text(data[:taken].decode("utf-8", errors="replace")).encode()
        room = self._limit - self._used(row.deployment)
        if len(text) > room:
            text = (text[:room] + _CUT.encode() if room > 0 else b"") + (text[-TAIL_BYTES:] if last else b"")
        with self._kept():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "ab", opener=_private) as file:
                file.write(text)
        return _at(row, row.offset + taken, row.size + len(text))

    def skip(self, row: StepRow, size: int) -> StepRow:
        """Leave out the middle of a log once the limit is reached: only its end is still worth fetching."""
        if self._used(row.deployment) < self._limit:
            return row
        return _at(row, max(row.offset, size - TAIL_BYTES), row.size)

    def tail(self, row: StepRow, lines: int) -> tuple[str, ...]:
        """The last lines of a step's log."""
        path = self.path(row)
        if not path.exists():
            return ()
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
        return tuple(line[:500] for line in text.splitlines() if line.strip())[-lines:]

    def file(self, number: int) -> Path:
        """Where `whole` puts the log of a deployment."""
        return self.folder(number) / f"deployment-{number}.txt"

    def whole(self, number: int) -> Path:
        """Put the whole log of a deployment into one file, each step under its heading; the file."""
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

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Say what to do where a file cannot be written: a full disk, mostly."""
        try:
            yield
        except OSError as problem:
            words = f"a log in {self._folder} cannot be kept: {problem.strerror}"
            raise StoreError(f"{words}. Free some space there; the deployment goes on by itself.") from problem

    def _parts(self, number: int) -> Iterator[Path]:
        yield from sorted(self.folder(number).glob("[123]-*.log"))

    def _used(self, number: int) -> int:
        return sum(path.stat().st_size for path in self._parts(number))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _cut_back(path: Path, size: int) -> None:
    """Cut a file that is longer than it should be."""
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)


def _whole_lines(data: bytes) -> int:
    """How many bytes may be taken: up to the last line end, or all where a line has no end in sight."""
    end = data.rfind(b"\n") + 1
    return end or (len(data) if len(data) >= LINE_LIMIT else 0)


def _at(row: StepRow, offset: int, size: int) -> StepRow:
    return dataclasses.replace(row, offset=offset, size=size)
