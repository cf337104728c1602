"""The environment variables by which steps and Compose files know the release.

They depend on the release alone. So the plan, `up`, the verification, a restart and a restore of a release all get the
same ones, and a service that uses them is recreated only if the release or its name changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from deploybot.domain import Release, Step

RELEASE = "DEPLOYBOT_RELEASE"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@#=-]{0,199}", re.ASCII)
SINCE_TAGS = frozenset({"DEPLOYBOT_SHORT", "DEPLOYBOT_TAG", "DEPLOYBOT_COMMIT_TIME"})
"""The variables that steps in plans of the version before lack."""


def release_values(release: Release) -> dict[str, str]:
    """Return the variables of a release. Each is there, and empty if it has no value or that is unknown."""
    return {
        RELEASE: release.id,
        "DEPLOYBOT_COMMIT": release.code or "",
        "DEPLOYBOT_SHORT": release.short_code,
        "DEPLOYBOT_REF": _plain(release.step_ref) or (release.step_ref and release.code) or "",
        "DEPLOYBOT_TAG": _plain(release.tag),
        "DEPLOYBOT_COMMIT_TIME": _moment(release.committed),
    }


def lacking_values(step: Step, releases: Iterable[Release]) -> Mapping[str, str]:
    """Return the variables that a step lacks because the version before planned it; `releases` are those of its plan.

    Compose is asked with them right before the step, so the step must have them, too.
    """
    has = dict(step.env)
    of = has.get(RELEASE, "")
    release = next((one for one in releases if one.id == of), Release.by_id(of))
    return {name: value for name, value in release_values(release).items() if name in SINCE_TAGS and name not in has}


def _plain(name: str) -> str:
    """Return a branch or tag if a person could type it, else nothing: a command of bot.toml may give it to a shell.

    The default branch of a repository, what triggers and old records may be called anything.
    """
    return name if _PLAIN.fullmatch(name) else ""


def _moment(seconds: float) -> str:
    """Return a time as `2026-11-30T12:00:00Z`; empty if it is unknown. A commit may contain what is no time."""
    if not seconds:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""
