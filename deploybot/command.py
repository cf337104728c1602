"""What a chat command is: `@command`, the context it gets, and the services it may call.

A command's grammar is its usage string, its parameters give the types, its docstring is its help.
`deploybot.parsing` reads the grammar, `deploybot.dispatch` runs commands, `deploybot.command_loader` finds them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import NewType, Protocol

from deploybot.card import Card
from deploybot.domain import (
    Action,
    Changes,
    Deployment,
    GrantChange,
    Identity,
    Lock,
    Origin,
    Person,
    Place,
    Release,
    Role,
)
from deploybot.settings import App, Environment, Settings

Handler = Callable[..., Awaitable[Card | None]]
Duration = NewType("Duration", float)
"""A parameter of this type takes `90s`, `15m`, `1h30m` and gives seconds."""
Task = NewType("Task", str)
"""A parameter of this type takes the name of a task that bot.toml gives the app."""


class Code(str):
    """A parameter of this type takes a one-time code: six digits. The audit does not keep it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Follow:
    """A log that somebody follows; `name` stands on its card (`log-3`)."""

    name: str
    app: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One message from a chat, as dispatch takes it.

    `id` is the platform's id of the message (a repeated one runs once), `at` when it was sent (seconds
    since the epoch), `name` how the platform calls the sender, for people to read and never to trust.
    `press` is the hash of the button's token where a button was pressed: what changes something uses it up.
    `wish` is what the bot deploys by itself, by its number; 0 for everything that somebody sent.
    """

    identity: Identity
    place: Place
    text: str
    id: str
    at: float
    name: str = ""
    press: str = ""
    wish: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A command as the loader found it. `source` names the file it came from.

    `within` is the deadline of its answer in seconds: what takes longer goes on by itself and is told by cards.
    """

    name: str
    usage: str
    needs: Action
    run: Handler
    help: str
    examples: tuple[str, ...] = ()
    source: str = ""
    within: float = 60.0


def command(
    usage: str, *, needs: str, examples: Sequence[str] = (), within: float = 60.0
) -> Callable[[Handler], Handler]:
    """Make a function a chat command.

    `usage` is its grammar, such as `rollback <app> [from <env>] [to <release>]`: words stand for
    themselves, `<name>` for the parameter of that name, `[…]` may be left out. `needs` is one of
    anyone, view, deploy, approve and admin; ValueError for anything else, so that the start-up stops.
    `within` is the deadline of its answer in seconds.
    """
    if needs not in {*Action}:
        raise ValueError(f"`needs` should be one of {', '.join(Action)}, got {needs!r}")
    action = Action(needs)

    def mark(handler: Handler) -> Handler:
        made = Command(
            name=usage.split(maxsplit=1)[0],
            usage=usage,
            needs=action,
            run=handler,
            help=(handler.__doc__ or "").strip(),
            examples=tuple(examples),
            source=handler.__module__,
            within=within,
        )
        handler.__dict__["__command__"] = made
        return handler

    return mark


class DeploymentService(Protocol):
    """Ask for deployments and look at them. Each request gives the card that answers at once."""

    async def request(
        self,
        ctx: Context,
        app: App,
        environment: Environment,
        release: Release,
        *,
        rollback: bool = False,
        servers: Sequence[str] = (),
        dry_run: bool = False,
        at: time | None = None,
        remove_orphans: bool = False,
        break_glass: bool = False,
        code: str = "",
    ) -> Card:
        """Plan a release for an environment (or some of its servers) and run it, or only show the plan.

        `at` is the time of day, in the bot's time zone, before which it does not begin. `remove_orphans` removes
        containers of the project that are in no Compose file. `break_glass` passes approvals, `after` and locks, with
        the sender's one-time `code` where they have enrolled.
        """

    async def restart(self, ctx: Context, app: App, environment: Environment) -> Card:
        """Restart what runs."""

    async def task(self, ctx: Context, app: App, environment: Environment, task: str) -> Card:
        """Run a named task of bot.toml on the environment's first server."""

    async def cancel(self, ctx: Context, number: int) -> Card:
        """Stop a deployment that has not ended."""

    async def approve(self, ctx: Context, number: int, code: str = "") -> Card:
        """Approve a deployment that waits for it, with a one-time code where it asks for one."""

    async def reject(self, ctx: Context, number: int) -> Card:
        """End a deployment that waits for approvals, with the sender's reason."""

    async def get(self, number: int) -> Deployment | None:
        """One deployment by its number."""

    async def history(self, app: App, environment: Environment | None, limit: int) -> tuple[Deployment, ...]:
        """The last deployments, newest first."""

    def log_file(self, number: int) -> str:
        """The path of a deployment's full log."""


class ReleaseService(Protocol):
    """Refs and what runs."""

    async def resolve(self, app: App, environment: Environment | None, ref: str, *, back: bool = False) -> Release:
        """A typed ref, also `:current`, `:previous` and an image's digest, as a release; UserError with the nearest.

        To go `back` to a ref is to go back to the images that it last ran well with.
        """

    async def current(self, app: App, environment: Environment) -> Release | None:
        """The release that runs by what the servers say; None where none of the bot's runs. Raises Unreachable."""

    async def last_good(self, app: App, environment: Environment, before: Release | None) -> Release | None:
        """The newest good release other than `before`."""

    async def origin(
        self, app: App, environment: Environment, release: Release, *, back: bool = False, before: str = ""
    ) -> Origin | None:
        """What lets a commit run where bot.toml limits that, asked in the repository now; None where it does not."""

    async def changes(self, app: App, old: Release, new: Release) -> Changes:
        """What lies between two releases."""


class StatusService(Protocol):
    """The board."""

    async def board(
        self, pairs: Sequence[tuple[App, Environment]], tell: Callable[[Card], Awaitable[None]] | None = None
    ) -> Card:
        """One line for each server of each environment; `tell` is given the board without servers that are late."""

    async def detail(self, app: App, environments: Sequence[Environment]) -> Card:
        """The whole story of one app."""

    async def servers(self, names: Sequence[str]) -> Card:
        """Every server: reachable, system, Docker, disk, memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """What lines are wanted. `since` is in seconds back from now, 0 for all; `lines` per server.

    `since_time` is a time of day in the bot's time zone, the last one there was, in place of `since`.
    """

    lines: int = 50
    since: float = 0.0
    grep: str = ""
    server: str = ""
    follow: bool = False
    file: bool = False
    since_time: time | None = None


class LogService(Protocol):
    """Logs of apps."""

    async def show(self, ctx: Context, app: App, environment: Environment, query: LogQuery) -> Card:
        """The lines that were asked for; with `follow`, replies along the way and gives the closing card."""

    def following(self, name: str) -> Follow | None:
        """The log that is followed under that name; None when there is none, or no more."""

    def stop(self, name: str) -> bool:
        """Stop a following log by the name on its card (`log-3`); False when there is none."""


class LockService(Protocol):
    """People's locks."""

    async def take(self, ctx: Context, app: App, environment: Environment, seconds: float) -> Lock:
        """Lock an environment, 0 seconds for no end; Locked when somebody else holds it."""

    async def release(self, ctx: Context, app: App, environment: Environment) -> Lock | None:
        """Unlock; the lock that was there."""

    async def get(self, app: App, environment: Environment) -> Lock | None:
        """The lock that holds."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a person has lost: how many grants, and which accounts."""

    person: Person
    grants: int
    accounts: tuple[Identity, ...] = ()


class PeopleService(Protocol):
    """The allowlist, for commands."""

    async def allow(
        self, ctx: Context, who: str, role: Role | None, app: str, environment: str, *, seconds: float = 0.0
    ) -> Person | GrantChange:
        """Give a role to `@name`, or to `platform:id[:name]` for someone new; UserError explains.

        Without a role `platform:id:name` gives the identity alone. With `seconds` the role ends after so long. Where
        bot.toml asks for two admins, it is a change that a second one has to confirm.
        """

    async def confirm(self, ctx: Context, change: GrantChange, *, refuse: bool = False) -> Card:
        """Confirm, as a second admin, what another one asked for; or refuse it."""

    async def change(self, number: int) -> GrantChange | None:
        """A change of grants that waits for a second admin."""

    async def deny(self, ctx: Context, who: str, app: str | None, environment: str | None) -> Taken:
        """Take grants away; whose, and how many went."""

    async def unlink(self, ctx: Context, account: str) -> Person:
        """Take one account, as `platform:id`, from its person; whose it was."""

    async def who(self, ctx: Context, app: str = "") -> Card:
        """List people with their roles and accounts in the places that the sender may see."""

    async def whoami(self, ctx: Context) -> Card:
        """Who the bot takes the sender for, and what they may do."""

    async def claim(self, ctx: Context, code: str) -> Card:
        """Make the sender the first administrator with the one-time code."""

    async def why(
        self, ctx: Context, command: Command, app: App, environment: Environment, release: Release | None = None
    ) -> Card:
        """What every rule says to the sender's using a command there, and who may."""

    async def link(self, ctx: Context, word: str) -> Card:
        """Link a further identity of the sender: a code for them, their code, or a link's confirmation or end."""

    async def totp(self, ctx: Context, code: str) -> Card:
        """Enrol the sender for one-time codes, or confirm that with the first code."""

    async def visible(self, ctx: Context) -> tuple[tuple[App, Environment], ...]:
        """The environments that the sender may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a command may use."""

    settings: Settings
    deployments: DeploymentService
    releases: ReleaseService
    status: StatusService
    logs: LogService
    locks: LockService
    people: PeopleService
    commands: dict[str, Command] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One command being run: who, where, why, and the services.

    `person` is None only for commands that need `anyone`. `reason` is the text after `because`.
    `reply` sends a further card to where the command came from; one with the same key edits it.
    """

    incoming: Incoming
    person: Person | None
    services: Services
    reply: Callable[[Card], Awaitable[None]]
    reason: str = ""

    @property
    def settings(self) -> Settings:
        """bot.toml."""
        return self.services.settings

    @property
    def deployments(self) -> DeploymentService:
        """Ask for deployments and look at them."""
        return self.services.deployments

    @property
    def releases(self) -> ReleaseService:
        """Refs and what runs."""
        return self.services.releases

    @property
    def status(self) -> StatusService:
        """The board."""
        return self.services.status

    @property
    def logs(self) -> LogService:
        """Logs of apps."""
        return self.services.logs

    @property
    def locks(self) -> LockService:
        """People's locks."""
        return self.services.locks

    @property
    def people(self) -> PeopleService:
        """The allowlist."""
        return self.services.people
