"""The result of a check."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class CheckState(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Row:
    """One check: its subject (`server web1`), what was checked, how it ended, what was seen, and the fix."""

    subject: str
    what: str
    state: CheckState
    text: str
    fix: str = ""
