"""The start of a step: the id of its job, and whether it was certainly never started."""

from __future__ import annotations

import re
import secrets

from deploybot.domain import Phase, StepRow, StepState
from deploybot.errors import NOT_REACHED, NOT_STARTED

NEVER_SENT = -2
"""The code of a step that was cancelled before its start was sent. One that was stopped has -1."""
_UNSAFE = re.compile(r"[^a-z0-9._-]")


def was_never_started(row: StepRow) -> bool:
    """Return whether the job of a step certainly never ran: its start was not sent to the server, or refused there."""
    return (row.state, row.code) in {
        (StepState.FAILED, NOT_STARTED),
        (StepState.FAILED, NOT_REACHED),
        (StepState.CANCELLED, NEVER_SENT),
    }


def job_id(deployment: int, phase: Phase, server: str, position: int) -> str:
    """Return a new id for a stage, which cannot be guessed and is a safe name for a file."""
    return _UNSAFE.sub("_", f"{deployment}-{phase.value[0]}-{server}-{position}-{secrets.token_hex(5)}")
