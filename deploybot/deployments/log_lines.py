"""The lines in the bot's own log about deployments: who requested them, what was deployed, how it ended."""

from __future__ import annotations

import logging

from deploybot.deployments.card_titles import what
from deploybot.domain import Deployment
from deploybot.units import show_duration

log = logging.getLogger(__name__)


def log_begun(deployment: Deployment, *, again: bool) -> None:
    """Log that a deployment begins, or with `again`, that it is resumed after a restart."""
    verb = "resumed" if again else "started"
    log.info("#%s %s: %s, requested by %s", deployment.number, verb, what(deployment.plan), deployment.requester_name)


def log_ended(deployment: Deployment) -> None:
    """Log how a deployment ended: the state, how long it took, and the first line of the outcome."""
    took = f" after {show_duration(deployment.took)}" if deployment.took is not None else ""
    outcome = deployment.outcome.partition("\n")[0]
    log.info(
        "#%s ended: %s%s: %s, requested by %s: %s",
        deployment.number,
        deployment.word,
        took,
        what(deployment.plan),
        deployment.requester_name,
        outcome,
    )
