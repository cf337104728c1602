"""Define chat commands: `@command`, the context that a command gets, and the services it may call.

A command's usage string is its grammar, its parameters give the types, and its docstring is its help.
`deploybot.parsing` reads the grammar, `deploybot.dispatch` runs commands, `deploybot.command_loader` finds them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Protocol

from deploybot.card import Card
from deploybot.command_parameters import Day, Follow, StartTime
from deploybot.domain import (
    Action,
    Changes,
    Channel,
    Deployment,
    GrantChange,
    Identity,
    IgnoredTags,
    Lock,
    Origin,
    Person,
    Release,
    Role,
    RollbackChoices,
    Taken,
)
from deploybot.domain.log_query import LogQuery
from deploybot.settings import App, Environment, Settings

Handler = Callable[..., Awaitable[Card | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One message from a chat, as dispatch receives it.

    `id` is the platform's id of the message; a repeated one runs once. `at` is when it was sent, in seconds since the
    epoch. `name` is the platform's name for the sender: show it to people, never trust it.
    `press` is the hash of a pressed button's token; a changing command uses it up.
    `trigger` is the number of an automatic deployment's trigger; 0 for messages that people send.
    `can_pick` is whether the sender can press a button or type again; False for a line of a script.
    """

    identity: Identity
    channel: Channel
    text: str
    id: str
    at: float
    name: str = ""
    press: str = ""
    trigger: int = 0
    can_pick: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command as the loader found it. `source` names its file.

    `within` is the deadline of its answer in seconds. Longer work continues in the background and reports by cards.
    With `after`, it is about the environments that have `after` in bot.toml.
    """

    name: str
    usage: str
    needs: Action
    run: Handler
    help: str
    examples: tuple[str, ...] = ()
    source: str = ""
    within: float = 60.0
    after: bool = False


def command(
    usage: str, *, needs: str, examples: Sequence[str] = (), within: float = 60.0, after: bool = False
) -> Callable[[Handler], Handler]:
    """Make a function a chat command.

    `usage` is its grammar, such as `rollback <app> [from <env>] [to <release>]`. Words are typed as they are,
    `<name>` is the parameter of that name, `[…]` is optional. `needs` is one of anyone, view, deploy, approve and
    admin. Raises ValueError for anything else, so that the bot does not start.
    `within` is the deadline of its answer in seconds. With `after`, only environments that have `after` in bot.toml are
    offered. If no environment is typed, the only one of them is meant.
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
            after=after,
        )
        handler.__dict__["__command__"] = made
        return handler

    return mark


class DeploymentService(Protocol):
    """The service for deployments. Each request returns the card that answers at once."""

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
        at: StartTime | None = None,
        remove_orphans: bool = False,
        break_glass: bool = False,
        code: str = "",
    ) -> Card:
        """Plan a release for an environment (or some of its servers) and run it; `dry_run` only shows the plan.

        `at` is when to start, in the bot's time zone. `remove_orphans` removes containers of the project that are in no
        Compose file. `break_glass` overrides approvals, `after`, freezes and locks, with the sender's one-time `code`
        if they are enrolled.
        """

    async def promote(
        self,
        ctx: Context,
        app: App,
        environment: Environment,
        *,
        dry_run: bool = False,
        at: StartTime | None = None,
        break_glass: bool = False,
        code: str = "",
    ) -> Card:
        """Deploy the release that `promotable` returns; all else as in `request`."""

    async def promotable(self, app: App, environment: Environment) -> Release:
        """Ask the servers of the environment before; return what runs healthy there. Raises UserError if none does."""

    async def restart(self, ctx: Context, app: App, environment: Environment) -> Card:
        """Restart what runs."""

    async def task(self, ctx: Context, app: App, environment: Environment, task: str) -> Card:
        """Run a named task of bot.toml on the environment's first server."""

    async def cancel(self, ctx: Context, number: int) -> Card:
        """Stop a deployment that has not ended."""

    async def veto(self, ctx: Context, number: int) -> Card:
        """Keep a release that is about to be rolled back because it does worse than the old one."""

    async def approve(self, ctx: Context, number: int, code: str = "") -> Card:
        """Approve a waiting deployment, with a one-time code if it requires one."""

    async def reject(self, ctx: Context, number: int) -> Card:
        """Reject a deployment that waits for approvals, with the sender's reason."""

    async def unfinished(self, ctx: Context, targets: Sequence[tuple[App, Environment]]) -> Card:
        """Return what waits and what runs on these targets, with buttons for requests that the sender may decide."""

    async def get(self, number: int) -> Deployment | None:
        """Return one deployment by its number; None if unknown."""

    async def history(self, app: App, environment: Environment | None, limit: int) -> tuple[Deployment, ...]:
        """Return the last deployments, newest first."""

    def log_file(self, number: int) -> str:
        """Return the path of a deployment's full log."""


class ReleaseService(Protocol):
    """The service for refs, releases, and which release runs."""

    async def resolve(self, app: App, environment: Environment | None, ref: str, *, back: bool = False) -> Release:
        """Return the release for a typed ref, `:current`, `:previous` or an image digest.

        Raises UserError with the nearest name if there is none.
        With `back`, return the release with the images that last ran well for the ref.
        """

    async def current(self, app: App, environment: Environment) -> Release | None:
        """Return the release that runs, as the servers report it; None if none of the bot's runs. Raise Unreachable."""

    async def running(self, app: App, environment: Environment) -> Mapping[str, Release | None]:
        """Return what each server runs, by its name; None if that is none of the bot's. Raise Unreachable.

        A server that does not answer is left out, unless no server answers.
        """

    async def last_good(
        self, app: App, environment: Environment, before: Release | Collection[Release] | None
    ) -> Release | None:
        """Return the newest successful release before `before`: what runs, or all that runs on different servers."""

    async def offered(self, app: App, environment: Environment, *, back: bool = False) -> tuple[tuple[str, str], ...]:
        """Return a few releases to pick from, as label and ref: the newest, or with `back` the last good ones."""

    async def ways_back(self, app: App, environment: Environment) -> RollbackChoices:
        """Return the last good releases before what runs, and what a rollback to each of them would take away."""

    async def origin(
        self, app: App, environment: Environment, release: Release, *, back: bool = False, before: str = ""
    ) -> Origin | None:
        """Look up, in the repository, what lets a commit run. Return None if bot.toml does not limit commits."""

    async def ignored_tags(self, app: App, environment: Environment) -> tuple[IgnoredTags, ...]:
        """Return the newest tags of images and of the repository that do not count there, each with the reason.

        Asks registries and the repository within 10 seconds. Does not raise if they cannot be asked.
        """

    async def changes(self, app: App, old: Release, new: Release) -> Changes:
        """Return the changes between two releases."""


class StatusService(Protocol):
    """The service for the state of apps and servers."""

    async def board(
        self, pairs: Sequence[tuple[App, Environment]], show: Callable[[Card], Awaitable[None]] | None = None
    ) -> Card:
        """Return one line for each server of each environment. `show` gets a board without slow servers first."""

    async def detail(self, app: App, environments: Sequence[Environment]) -> Card:
        """Return everything about one app."""

    async def servers(self, names: Sequence[str]) -> Card:
        """Return the state of each server: reachable, system, Docker, disk, memory."""


class LogService(Protocol):
    """The service for logs of apps."""

    async def show(self, ctx: Context, app: App, environment: Environment, query: LogQuery) -> Card:
        """Return the requested lines. With `follow`, reply along the way and return the final card."""

    async def of_deployment(self, ctx: Context, deployment: Deployment, query: LogQuery) -> Card:
        """Return the log of a deployment's steps, also while it runs; `follow` and `file` as in `show`."""

    def following(self, name: str) -> Follow | None:
        """Return the followed log of that name; None if there is none any more."""

    def stop(self, name: str) -> bool:
        """Stop following a log by the name on its card (`log-3`). Return False if there is none."""


class LockService(Protocol):
    """The service for locks that people hold."""

    async def take(self, ctx: Context, app: App, environment: Environment, seconds: float) -> Lock:
        """Lock an environment, 0 seconds for no end. Raise Locked if another person holds it."""

    async def release(self, ctx: Context, app: App, environment: Environment) -> Lock | None:
        """Unlock an environment and return the lock that was held, if any."""

    async def get(self, app: App, environment: Environment) -> Lock | None:
        """Return the lock that is held now."""


class FreezeService(Protocol):
    """The service for freezes that people make."""

    async def freeze(
        self, ctx: Context, app: App, environment: Environment, until: Day | time | float, at: time | None = None
    ) -> Card:
        """Freeze an environment until a day (`at` a time, or when it begins), until a time of day, or for seconds."""

    async def unfreeze(self, ctx: Context, app: App, environment: Environment) -> Card:
        """End the freeze that a person made, if any."""


class PeopleService(Protocol):
    """The service for the allowlist."""

    async def allow(
        self, ctx: Context, who: str, role: Role | None, app: str, environment: str, *, seconds: float = 0.0
    ) -> Person | GrantChange:
        """Give a role to `@name`, or to `platform:id[:name]` for a new person. Raise UserError on bad input.

        Without a role, `platform:id:name` only links the account. With `seconds`, the role ends after that time.
        If bot.toml requires two admins, return the change that a second admin must confirm.
        """

    async def confirm(self, ctx: Context, change: GrantChange, *, refuse: bool = False) -> Card:
        """Confirm, as a second admin, a change that another admin requested; or refuse it."""

    async def change(self, number: int) -> GrantChange | None:
        """Return a change of grants that waits for a second admin, or None."""

    async def deny(self, ctx: Context, who: str, app: str | None, environment: str | None) -> Taken:
        """Remove grants. Return the person and what was removed."""

    async def unlink(self, ctx: Context, account: str) -> Person:
        """Unlink one account, given as `platform:id`, and return its person."""

    async def who(self, ctx: Context, app: str = "") -> Card:
        """List people with their roles and accounts in the environments that the sender may see."""

    async def whoami(self, ctx: Context) -> Card:
        """Show who the sender is to the bot, and what they may do."""

    async def claim(self, ctx: Context, code: str) -> Card:
        """Make the sender the first administrator, with the one-time code."""

    async def why(
        self, ctx: Context, command: Command, app: App, environment: Environment, release: Release | None = None
    ) -> Card:
        """Return each rule's verdict on the sender using this command there, and who may use it."""

    async def link(self, ctx: Context, word: str) -> Card:
        """Link another account to the sender. `word` is empty (request a code), a code, `yes` or `no`."""

    async def totp(self, ctx: Context, code: str) -> Card:
        """Enrol the sender for one-time codes, or confirm the enrolment with the first code."""

    async def visible(self, ctx: Context) -> tuple[tuple[App, Environment], ...]:
        """Return the environments that the sender may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that a command may use."""

    settings: Settings
    deployments: DeploymentService
    releases: ReleaseService
    status: StatusService
    logs: LogService
    locks: LockService
    freezes: FreezeService
    people: PeopleService
    commands: dict[str, Command] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One run of a command: who, where, why, and the services.

    `person` is None only for commands that need `anyone`. `reason` is the text after `because`.
    `reply` sends another card to the channel of the command. A card with the same key edits the first.
    """

    incoming: Incoming
    person: Person | None
    services: Services
    reply: Callable[[Card], Awaitable[None]]
    reason: str = ""

    @property
    def settings(self) -> Settings:
        """Return the settings of bot.toml."""
        return self.services.settings

    @property
    def deployments(self) -> DeploymentService:
        """Return the service to request deployments and look at them."""
        return self.services.deployments

    @property
    def releases(self) -> ReleaseService:
        """Return the service for refs and running releases."""
        return self.services.releases

    @property
    def status(self) -> StatusService:
        """Return the service for the status board."""
        return self.services.status

    @property
    def logs(self) -> LogService:
        """Return the service for logs of apps."""
        return self.services.logs

    @property
    def locks(self) -> LockService:
        """Return the service for people's locks."""
        return self.services.locks

    @property
    def freezes(self) -> FreezeService:
        """Return the service for freezes."""
        return self.services.freezes

    @property
    def people(self) -> PeopleService:
        """Return the service for the allowlist."""
        return self.services.people
