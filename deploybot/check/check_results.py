"""What was tried, and how it ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class CheckState(enum.StrEnum):
    """How a try ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Row:
    """One try: of whom (`server web1`), what, how it ended, what was seen, and the cure where it failed."""

    subject: str
    what: str
    state: CheckState
    says: str
    cure: str = ""
