"""The start of a step: the id of its job."""

from __future__ import annotations

import re
import secrets

from deploybot.domain import Phase

_UNSAFE = re.compile(r"[^a-z0-9._-]")


def job_id(deployment: int, phase: Phase, server: str, position: int) -> str:
    """Return a new id for a stage, which cannot be guessed and is a safe name for a file."""
    return _UNSAFE.sub("_", f"{deployment}-{phase.value[0]}-{server}-{position}-{secrets.token_hex(5)}")
