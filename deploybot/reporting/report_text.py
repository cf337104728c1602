"""Text that forges show for a report: one line of description, and names."""

from __future__ import annotations

from deploybot.domain import OWN, REQUESTED, Kind, Report, State
from deploybot.units import show_duration

LONGEST = 140
"""Maximum length, set by GitHub (REST API, "Create a deployment status"). The other forges accept it too."""

_WORDING = {
    REQUESTED: "waiting for approval",
    State.WAITING: "queued",
    State.RUNNING: "running",
    State.RESTORING: "rolling back",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.RESTORED: "failed, rolled back",
    State.CANCELLED: "cancelled",
    State.UNKNOWN: "end unknown",
}


def context_of(report: Report) -> str:
    """Return the context or name of a commit status: `deploybot/production`."""
    return f"{OWN}/{report.environment}"


def release_of(report: Report) -> str:
    """Return `v2 (0123456789)`, or only the short commit."""
    short = report.commit[:10]
    return f"{report.ref} ({short})" if report.ref and not report.commit.startswith(report.ref) else short


def description_of(report: Report) -> str:
    """Return a line like `#42 succeeded after 1m 12s, deployed by ana`.

    A deployment that never started is “requested by ana” instead.
    """
    took = report.finished - report.started
    after = f" after {show_duration(took)}" if report.ended and report.started and took > 0 else ""
    done = "rolled back" if report.kind is Kind.ROLLBACK else "deployed"
    whose = f"{done if report.started else 'requested'} by {report.by}"
    line = f"#{report.deployment} {report.why or _WORDING[report.word]}{after}, {whose}"
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
