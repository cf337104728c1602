"""What may happen in a run."""

from __future__ import annotations

import dataclasses
import enum
import signal
from dataclasses import dataclass

from tests.chaos.app import Kind, Site
from tests.chaos.points import Failpoint


class Action(enum.StrEnum):
    """What a person asks for: the command, but for its object."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RESTART = "restart"
    RUN = "run"


class Fault(enum.StrEnum):
    """What happens to the way to a server, to the server, or (`runner`) to what looks after a job there."""

    CUT = "cut"
    STALL = "stall"
    SWALLOW = "swallow"
    SILENCE = "silence"
    SESSIONS = "sessions"
    SSHD = "sshd"
    REBOOT = "reboot"
    RUNNER = "runner"

    @property
    def of_link(self) -> bool:
        """Whether jobs on the server know nothing of it."""
        return self not in {Fault.REBOOT, Fault.RUNNER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a life of the bot ends: at a failpoint, or by a signal `after` so many seconds; then it rests."""

    point: Failpoint | None = None
    after: float = 0.0
    how: signal.Signals = signal.SIGKILL
    rest: float = 0.0

    def __str__(self) -> str:
        return str(self.point) if self.point else f"{self.how.name} at {self.after:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A fault of a server or of the way to it: when (in seconds, or as the bot makes a call), and for how long."""

    fault: Fault
    server: str
    after: float = 0.0
    point: Failpoint | None = None
    lasts: float

    def __str__(self) -> str:
        return f"{self.fault} {self.server} {self.point or f'at {self.after:.1f} s'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A person freezes the site `after` so many seconds, and lifts that when it has lasted `lasts` seconds."""

    after: float
    lasts: float

    def __str__(self) -> str:
        return f"frozen at {self.after:.1f} s for {self.lasts:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A run: what is asked for, how the bot dies, what else goes wrong, when it is cancelled (0.0: never).

    `kind` is that of the release to deploy. `followed` says that a good release of the same site is asked for
    right after, and has to wait.
    """

    site: Site
    action: Action = Action.DEPLOY
    kind: Kind = Kind.GOOD
    deaths: tuple[Death, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    cancel_after: float = 0.0
    followed: bool = False
    freeze: Freeze | None = None

    def __str__(self) -> str:
        what = self.kind if self.action is Action.DEPLOY else self.action
        words = [f"{self.site.app}/{self.site.environment} {what}", *map(str, self.deaths), *map(str, self.troubles)]
        if self.cancel_after:
            words.append(f"cancelled at {self.cancel_after:.1f} s")
        if self.freeze:
            words.append(str(self.freeze))
        return ", ".join(words) + (", and another one" if self.followed else "")

    def without_rollback(self) -> Scenario:
        """The same, where there is nothing to go back to yet."""
        return dataclasses.replace(self, action=Action.DEPLOY) if self.action is Action.ROLLBACK else self


def undisturbed(site: Site) -> Scenario:
    """A good release, and nothing goes wrong."""
    return Scenario(site=site)
