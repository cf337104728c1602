"""What a target can be rolled back to, and what each choice would cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploybot.domain.release import Changes, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackChoice:
    """A release to roll back to. `ref` names exactly this release in a command: `#41`, the deployment that deployed it.

    It ended well at `at`, requested by `by`. `lost` are the changes that a rollback takes away. `held` says for each
    server whether it still has the release; None if the server did not answer. It needs `approvals`; `forward` is why
    it counts as a deployment.
    """

    ref: str
    release: Release
    at: float
    by: str
    lost: Changes = field(default_factory=lambda: Changes(known=False))
    held: tuple[tuple[str, bool | None], ...] = ()
    approvals: int = 0
    forward: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackChoices:
    """The last good releases of a target before what runs, the newest first.

    `runs` names what each server runs: a release, `nothing of mine` or `unknown`. `base` is the release that runs and
    whose changes would be lost; None if it is unknown.
    """

    choices: tuple[RollbackChoice, ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    base: Release | None = None
