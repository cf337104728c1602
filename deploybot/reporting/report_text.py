"""What forges show of a report: one line, and its names."""

from __future__ import annotations

from deploybot.domain import OWN, REQUESTED, Kind, Report, State
from deploybot.units import show_duration

LONGEST = 140
"""GitHub takes no more (REST API, "Create a deployment status"); the others take it, too."""

_SAYS = {
    REQUESTED: "waits for approval",
    State.WAITING: "waits for its turn",
    State.RUNNING: "runs",
    State.RESTORING: "puts the release before back",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.RESTORED: "failed, rolled back",
    State.CANCELLED: "cancelled",
    State.UNKNOWN: "end unknown",
}


def context_of(report: Report) -> str:
    """The context or name of a commit status: `deploybot/production`."""
    return f"{OWN}/{report.environment}"


def release_of(report: Report) -> str:
    """`v2 (0123456789)`, or the short commit alone."""
    short = report.commit[:10]
    return f"{report.ref} ({short})" if report.ref and not report.commit.startswith(report.ref) else short


def description_of(report: Report) -> str:
    """`#42 succeeded after 1m 12s, deployed by ana`; what never began was not deployed by anybody."""
    took = report.finished - report.started
    after = f" after {show_duration(took)}" if report.ended and report.started and took > 0 else ""
    done = "rolled back" if report.kind is Kind.ROLLBACK else "deployed"
    whose = f"{done if report.started else 'asked for'} by {report.by}"
    line = f"#{report.deployment} {report.why or _SAYS[report.word]}{after}, {whose}"
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
