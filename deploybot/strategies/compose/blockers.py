"""A reason why a release should not be brought up on a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ComposeProblem:
    """One problem: what is wrong, and what to do about it. A `warning` is shown, but does not stop a deployment."""

    sentence: str
    advice: str
    warning: bool = False
