"""How far long steps are: the time they have taken, and the last line of their output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from deploybot.bounded_memory import BoundedDict
from deploybot.deployments.server_lines import Progress
from deploybot.deployments.step_logs import Journal
from deploybot.domain import StepRow, StepState
from deploybot.ports import Clock

EVERY = 10.0
"""Seconds after which a running step is called long, and between two looks at it: each look may edit the card."""
_REMEMBERED = 200


class StepProgress:
    """Looks at running steps, and remembers the last look, so that a card does not change with every line."""

    def __init__(self, journal: Journal, clock: Clock, mask: Callable[[str], str]) -> None:
        """Take the log files; `mask` masks a text that a card may cut."""
        self._journal = journal
        self._clock = clock
        self._mask = mask
        self._seen: BoundedDict[str, Progress] = BoundedDict(_REMEMBERED)

    def of(self, steps: Sequence[StepRow]) -> dict[str, Progress]:
        """Return the progress of each step that has been running for a while, by job."""
        running = (row for row in steps if row.state is StepState.STARTED)
        return {row.job: self._look(row) for row in running if self._elapsed(row)}

    def _elapsed(self, row: StepRow) -> float:
        """Return how long a step has been running, rounded down: the same for several looks."""
        return max(self._clock.now() - row.started, 0.0) // EVERY * EVERY

    def _look(self, row: StepRow) -> Progress:
        elapsed, seen = self._elapsed(row), self._seen.get(row.job)
        if seen is None or seen.elapsed != elapsed:
            seen = self._seen[row.job] = Progress(elapsed, self._output(row))
        return seen

    def _output(self, row: StepRow) -> str:
        """Return the last line of a step's log; "" if it has none, or can't be read: the card does not need it."""
        with contextlib.suppress(OSError):
            return self._mask(" ".join(self._journal.tail(row, 1)))
        return ""
