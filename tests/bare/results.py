"""What a run of pytest printed, as figures: see `Results`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Self

_BAD = ("failed", "errors", "error")
_LAST = re.compile(r"^=+ (.*\d+ \w+.*) in [\d.]+s\b.*=+$", re.MULTILINE)
_SKIPPED = re.compile(r"^SKIPPED \[(\d+)\] [^\s:]+(?::\d+)?:(.*)$", re.MULTILINE)
_NO_REASON = frozenset({"", "unconditional skip", "Skipped"})


@dataclass(frozen=True)
class Results:
    """How many tests passed and failed, and how many were skipped for which reason."""

    passed: int
    failed: int
    skipped: int
    reasons: Counter[str]

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the summary at the end of what `pytest -ra` printed; all is zero where there is none."""
        summaries = _LAST.findall(text)
        counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", summaries[-1] if summaries else "")}
        reasons: Counter[str] = Counter()
        for count, reason in _SKIPPED.findall(text):
            reasons[reason.strip()] += int(count)
        failed = sum(counts.get(word, 0) for word in _BAD)
        return cls(counts.get("passed", 0), failed, counts.get("skipped", 0), reasons)

    def __str__(self) -> str:
        return f"passed={self.passed} skipped={self.skipped} failed={self.failed}"

    @property
    def unexplained(self) -> int:
        """How many tests were skipped without a reason."""
        return self.skipped - sum(count for reason, count in self.reasons.items() if reason not in _NO_REASON)

    def problems(self, least: int) -> list[str]:
        """Return what must not be: failures, skips without a reason, and fewer than `least` tests that passed."""
        found = []
        if self.failed:
            found.append(f"{self.failed} tests failed")
        if self.unexplained:
            found.append(f"{self.unexplained} tests were skipped without a reason")
        if self.passed < least:
            found.append(f"only {self.passed} tests passed; at least {least} have to")
        return found
