"""Parse the answers of the runner. Pure. The format is described at the top of `runner.sh`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploybot.domain import JobState, JobStatus
from deploybot.untrusted_input import Unreadable

_MARK = b"deploybot/1 "
_END = b"\ndeploybot/1 end\n"
_HEADER = re.compile(rb"deploybot/1 ([a-z]{1,20}) (-?\d{1,15}) (-?\d{1,15}) (-?\d{1,15})(?: (.*))?")
_STATES = frozenset(JobState)
_LONGEST_WORDS = 2_000
STARTED = "started"


@dataclass(frozen=True, slots=True)
class RunnerAnswer:
    """One complete answer. `state` is a JobState's value, `ready`, `refused` or `forgotten`."""

    state: str
    code: int
    size: int
    words: str
    data: bytes

    @property
    def status(self) -> JobStatus:
        """Return the answer as a JobStatus. Raises Unreadable if `state` is not a job state."""
        if self.state not in _STATES or self.size < 0:
            raise Unreadable(f"a job is `{self.state}` there, with {self.size} bytes of log")
        return JobStatus(JobState(self.state), self.code, self.size, self.words)


def has_started(output: bytes | bytearray) -> bool:
    """Return whether `start` reported that the job was taken and runs."""
    start = _first_header(output)
    return start >= 0 and output.startswith(_MARK + STARTED.encode(), start)


def parse(output: bytes) -> RunnerAnswer | None:
    """Parse the whole output of a runner command. Return None if the answer is incomplete.

    Anything that the login shell printed before the first header is ignored.
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
    words = (fields[5] or b"")[:_LONGEST_WORDS].decode("utf-8", "replace").strip()
    return RunnerAnswer(fields[1].decode(), code, len(data) if size < 0 else size, words, data)


def _first_header(output: bytes | bytearray) -> int:
    if output.startswith(_MARK):
        return 0
    return output.find(b"\n" + _MARK) + 1 or -1
