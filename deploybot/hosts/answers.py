"""What the runner answers, taken apart. Pure. The format is described at the top of `runner.sh`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploybot.domain import JobState, JobStatus

_MARK = b"deploybot/1 "
_END = b"\ndeploybot/1 end\n"
_HEADER = re.compile(rb"deploybot/1 ([a-z]+) (-?\d+) (-?\d+) (-?\d+)(?: (.*))?")
STARTED = "started"


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer. `state` is a JobState's value, `ready`, `refused` or `forgotten`."""

    state: str
    code: int
    size: int
    words: str
    data: bytes

    @property
    def status(self) -> JobStatus:
        """As the port has it; ValueError for what is no state of a job."""
        return JobStatus(JobState(self.state), self.code, self.size, self.words)


def has_started(output: bytes) -> bool:
    """Whether `start` has said that the job is taken and runs."""
    start = _first_header(output)
    return start >= 0 and output.startswith(_MARK + STARTED.encode(), start)


def parse(output: bytes) -> Answer | None:
    """The answer in a verb's whole output; None when it is not all there, to its last line.

    What a login shell printed before the first header is passed over.
    """
    start = _first_header(output)
    if start < 0 or not output.endswith(_END):
        return None
    header, _, rest = output[start : 1 - len(_END)].partition(b"\n")
    if has_started(header):
        header, _, rest = rest.partition(b"\n")
    fields = _HEADER.fullmatch(header)
    if fields is None:
        return None
    code, size, length = (int(fields[group]) for group in (2, 3, 4))
    data = rest[:-1]
    if length >= 0 and len(data) != length:
        return None
    words = (fields[5] or b"").decode("utf-8", "replace").strip()
    return Answer(fields[1].decode(), code, len(data) if size < 0 else size, words, data)


def _first_header(output: bytes) -> int:
    if output.startswith(_MARK):
        return 0
    return output.find(b"\n" + _MARK) + 1 or -1
