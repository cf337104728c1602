"""Problems that can block a release from starting on a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ComposeProblem:
    """A problem and its fix. A `warning` is shown but does not stop a deployment."""

    sentence: str
    advice: str
    warning: bool = False
