"""Fakes of the services that a command may use. They record their calls, for tests of commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from deploybot.card import Button, Card
from deploybot.command import Context
from deploybot.command_parameters import Follow, StartTime
from deploybot.domain import (
    Changes,
    Deployment,
    IgnoredTags,
    Kind,
    Origin,
    Plan,
    Release,
    RollbackChoice,
    RollbackChoices,
    State,
)
from deploybot.domain.log_query import LogQuery
from deploybot.errors import UserError
from deploybot.settings import App, Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRequest:
    """One request by a command."""

    kind: Kind
    app: str
    environment: str
    release: Release | None = None
    task: str = ""
    servers: tuple[str, ...] = ()
    dry_run: bool = False
    remove_orphans: bool = False
    break_glass: bool = False
    code: str = ""
    at: StartTime | None = None
    by: str = ""
    reason: str = ""
    promoted_from: str = ""


@dataclass(slots=True)
class FakeDeployments:
    """`command.DeploymentService`. `requests` and `cancelled` record requests, `rows` are the deployments.

    `approved` has names, numbers and codes, `rejected` names, numbers and reasons. `promotes` has the releases to
    promote, by app and environment.

    `waiting` are the buttons of `unfinished`. Set `fails` to an exception that the next request raises.
    """

    requests: list[FakeRequest] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    vetoed: list[tuple[str, int]] = field(default_factory=list)
    approved: list[tuple[str, int, str]] = field(default_factory=list)
    rejected: list[tuple[str, int, str]] = field(default_factory=list)
    rows: dict[int, Deployment] = field(default_factory=dict)
    waiting: list[Button] = field(default_factory=list)
    promotes: dict[tuple[str, str], Release] = field(default_factory=dict)
    fails: Exception | None = None

    def put(self, number: int, app: str, environment: str, release: Release) -> Deployment:
        """Add a deployment that succeeded."""
        plan = Plan(kind=Kind.DEPLOY, app=app, environment=environment, release=release, servers=())
        made = Deployment(number=number, plan=plan, state=State.SUCCEEDED, requester=1, requester_name="ana")
        self.rows[number] = made
        return made

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
        """Record the request."""
        kind = Kind.ROLLBACK if rollback else Kind.DEPLOY
        return self._ask(
            ctx,
            kind,
            app,
            environment,
            release=release,
            servers=tuple(servers),
            dry_run=dry_run,
            at=at,
            remove_orphans=remove_orphans,
            break_glass=break_glass,
            code=code,
        )

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
        """Record the request, with the release in `promotes`."""
        return self._ask(
            ctx,
            Kind.DEPLOY,
            app,
            environment,
            await self.promotable(app, environment),
            dry_run=dry_run,
            at=at,
            break_glass=break_glass,
            code=code,
            promoted_from=environment.after or "",
        )

    async def promotable(self, app: App, environment: Environment) -> Release:
        """Return the release in `promotes`. Raises UserError if there is none."""
        found = self.promotes.get((app.name, environment.name))
        if found is None:
            raise UserError(f"There is nothing to promote to {app.name}/{environment.name}.")
        return found

    async def restart(self, ctx: Context, app: App, environment: Environment) -> Card:
        """Record the request."""
        return self._ask(ctx, Kind.RESTART, app, environment)

    async def task(self, ctx: Context, app: App, environment: Environment, task: str) -> Card:
        """Record the request."""
        return self._ask(ctx, Kind.TASK, app, environment, task=task)

    async def cancel(self, ctx: Context, number: int) -> Card:  # noqa: ARG002 - the Protocol's
        """Record the number."""
        self.cancelled.append(number)
        return Card(title=f"Stopping #{number}.", aside=True)

    async def veto(self, ctx: Context, number: int) -> Card:
        """Record the veto."""
        self.vetoed.append((ctx.person.name if ctx.person else "", number))
        return Card(title=f"#{number} is kept.", aside=True)

    async def approve(self, ctx: Context, number: int, code: str = "") -> Card:
        """Record the approval."""
        self.approved.append((ctx.person.name if ctx.person else "", number, code))
        return Card(title=f"#{number} is approved.", aside=True)

    async def reject(self, ctx: Context, number: int) -> Card:
        """Record the rejection."""
        self.rejected.append((ctx.person.name if ctx.person else "", number, ctx.reason))
        return Card(title=f"#{number} is rejected.", aside=True)

    async def unfinished(self, ctx: Context, targets: Sequence[tuple[App, Environment]]) -> Card:
        """Return a card with the targets and the buttons `waiting`."""
        del ctx
        names = tuple(f"{app.name}/{environment.name}" for app, environment in targets)
        return Card(title="queue", code=names, buttons=tuple(self.waiting))

    async def get(self, number: int) -> Deployment | None:
        """Return one of `rows`."""
        return self.rows.get(number)

    async def history(self, app: App, environment: Environment | None, limit: int) -> tuple[Deployment, ...]:
        """Return those of `rows` that match, the highest number first."""
        fits = [
            row
            for _, row in sorted(self.rows.items(), reverse=True)
            if row.plan.app == app.name and (environment is None or row.plan.environment == environment.name)
        ]
        return tuple(fits[:limit])

    def log_file(self, number: int) -> str:
        """Return a path without a file."""
        return f"/nonexistent/{number}.log"

    def _ask(  # noqa: PLR0917 - the fields of a request
        self,
        ctx: Context,
        kind: Kind,
        app: App,
        environment: Environment,
        release: Release | None = None,
        task: str = "",
        servers: tuple[str, ...] = (),
        *,
        dry_run: bool = False,
        at: StartTime | None = None,
        remove_orphans: bool = False,
        break_glass: bool = False,
        code: str = "",
        promoted_from: str = "",
    ) -> Card:
        if self.fails is not None:
            raise self.fails
        request = FakeRequest(
            kind=kind,
            app=app.name,
            environment=environment.name,
            release=release,
            task=task,
            servers=servers,
            dry_run=dry_run,
            at=at,
            remove_orphans=remove_orphans,
            break_glass=break_glass,
            code=code,
            by=ctx.person.name if ctx.person else "",
            reason=ctx.reason,
            promoted_from=promoted_from,
        )
        self.requests.append(request)
        return Card(title=f"#{len(self.requests)} {kind} {app.name} in {environment.name}")


@dataclass(slots=True)
class FakeReleases:
    """`command.ReleaseService`. `known` maps refs to releases, `runs` targets to the releases that run there.

    `servers` has what single servers of a target run, if they run different releases.
    An empty ref is the first of `known`. Set `fails` to an exception that every call raises.
    """

    known: dict[str, Release] = field(default_factory=dict)
    runs: dict[tuple[str, str], Release] = field(default_factory=dict)
    servers: dict[tuple[str, str], dict[str, Release | None]] = field(default_factory=dict)
    good: dict[tuple[str, str], Release] = field(default_factory=dict)
    between: dict[tuple[str, str], Changes] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    ignored: dict[str, tuple[IgnoredTags, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fails: Exception | None = None

    def put(self, *releases: Release) -> None:
        """Add releases by their refs."""
        self.known.update({release.ref: release for release in releases})

    async def resolve(self, app: App, environment: Environment | None, ref: str, *, back: bool = False) -> Release:
        """Return one of `known`, or for `:current` the release that runs."""
        del back
        self._fail()
        self.asked.append(ref)
        if ref == ":current" and environment is not None and (app.name, environment.name) in self.runs:
            return self.runs[app.name, environment.name]
        found = self.known.get(ref or next(iter(self.known), ""))
        if found is None:
            raise UserError(f"{app.name} has no ref `{ref}`.")
        return found

    async def current(self, app: App, environment: Environment) -> Release | None:
        """Return the release that runs."""
        self._fail()
        return self.runs.get((app.name, environment.name))

    async def running(self, app: App, environment: Environment) -> Mapping[str, Release | None]:
        """Return what `servers` has, else the release in `runs` for every server."""
        self._fail()
        target = (app.name, environment.name)
        return self.servers.get(target) or dict.fromkeys(environment.servers, self.runs.get(target))

    async def last_good(
        self, app: App, environment: Environment, before: Release | Collection[Release] | None
    ) -> Release | None:
        """Return the release in `good`, unless it is `before`."""
        found = self.good.get((app.name, environment.name))
        runs = [before] if isinstance(before, Release) else before or []
        return None if found in runs else found

    async def offered(self, app: App, environment: Environment, *, back: bool = False) -> tuple[tuple[str, str], ...]:
        """Return all refs of `known`; with `back`, the release in `good` if there is one."""
        self._fail()
        good = self.good.get((app.name, environment.name))
        refs = self.known if not back else [good.ref] if good else []
        return tuple((ref, ref) for ref in refs)

    async def ways_back(self, app: App, environment: Environment) -> RollbackChoices:
        """Return the release in `good`, by its ref, if there is one."""
        self._fail()
        good = self.good.get((app.name, environment.name))
        choice = RollbackChoice(ref=good.ref, release=good, at=0.0, by="ana") if good else None
        return RollbackChoices(choices=(choice,) if choice else ())

    async def origin(
        self, app: App, environment: Environment, release: Release, *, back: bool = False, before: str = ""
    ) -> Origin | None:
        """Return one of `origins`, by commit."""
        del app, environment, back, before
        return self.origins.get(release.code or "")

    async def ignored_tags(self, app: App, environment: Environment) -> tuple[IgnoredTags, ...]:
        """Return those in `ignored`, by app."""
        del environment
        return self.ignored.get(app.name, ())

    async def changes(self, app: App, old: Release, new: Release) -> Changes:  # noqa: ARG002 - the Protocol's
        """Return the changes in `between` for the two refs; unknown by default."""
        return self.between.get((old.ref, new.ref), Changes(known=False))

    def _fail(self) -> None:
        if self.fails is not None:
            raise self.fails


@dataclass(slots=True)
class FakeStatus:
    """`command.StatusService`. Its cards show their arguments."""

    async def board(
        self,
        pairs: Sequence[tuple[App, Environment]],
        show: Callable[[Card], Awaitable[None]] | None = None,  # noqa: ARG002  the port's signature
    ) -> Card:
        """Return a card with the pairs."""
        return Card(title="board", code=tuple(f"{app.name}/{environment.name}" for app, environment in pairs))

    async def detail(self, app: App, environments: Sequence[Environment]) -> Card:
        """Return a card with the environments."""
        return Card(title=app.name, code=tuple(environment.name for environment in environments))

    async def servers(self, names: Sequence[str]) -> Card:
        """Return a card with the servers."""
        return Card(title="servers", code=tuple(names))


@dataclass(slots=True)
class FakeLogs:
    """`command.LogService`. `asked` records the queries, `open` has the followed logs."""

    asked: list[tuple[str, str, LogQuery]] = field(default_factory=list)
    open: dict[str, Follow] = field(default_factory=dict)

    async def show(self, ctx: Context, app: App, environment: Environment, query: LogQuery) -> Card:  # noqa: ARG002  the port's signature
        """Record the query."""
        self.asked.append((app.name, environment.name, query))
        return Card(title=f"log of {app.name}/{environment.name}")

    async def of_deployment(self, ctx: Context, deployment: Deployment, query: LogQuery) -> Card:  # noqa: ARG002  the port's signature
        """Record the query."""
        self.asked.append((f"#{deployment.number}", deployment.plan.environment, query))
        return Card(title=f"log of #{deployment.number}")

    def following(self, name: str) -> Follow | None:
        """Return one of `open`."""
        return self.open.get(name)

    def stop(self, name: str) -> bool:
        """Remove it from `open`."""
        return self.open.pop(name, None) is not None
