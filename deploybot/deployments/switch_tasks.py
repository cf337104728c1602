"""Which tasks run around the switch to a release, and where: `before_switch` and `after_switch` of bot.toml; pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from deploybot.domain import Phase, Plan, Release, ServerPlan, Step, StepRow, StepState
from deploybot.errors import UserError
from deploybot.ports import Site, Strategy
from deploybot.settings import App, SwitchTask
from deploybot.units import show_duration
from deploybot.wording import listed

_FIRST = "first"
_CONFIGURATION = "DEPLOYBOT_CONFIGURATION"
_COMPOSE_RUN = re.compile(r"\bcompose\b[^;&|]*\srun\b")


class SwitchTasks(NamedTuple):
    """The tasks of a target for one plan, in their order."""

    before: tuple[SwitchTask, ...]
    after: tuple[SwitchTask, ...]

    @property
    def need_first(self) -> bool:
        """True if the first server of the roll-out cannot be left out: a task runs only there."""
        return any(one.on == _FIRST for one in (*self.before, *self.after))

    def insist_on_first(self, first: str, without: Collection[str]) -> None:
        """Raise UserError if the first server was down when this was requested: its tasks would run nowhere."""
        if first in without:
            names = listed(one.task for one in (*self.before, *self.after) if one.on == _FIRST)
            raise UserError(
                f"{first} was down and is left out, but {names} would run only there.", hint="Request it again."
            )

    def added(self, strategy: Strategy, site: Site, release: Release, part: ServerPlan, *, first: bool) -> ServerPlan:
        """Return the plan of a server with the tasks that run there; `first` for the first server of the roll-out."""
        before = [one for one in self.before if first or one.on != _FIRST]
        each = [one for one in self.after if one.on != _FIRST]
        last = [one for one in self.after if first and one.on == _FIRST]
        planned = ((_CONFIGURATION, part.configuration),) if part.configuration else ()
        ahead = tuple(
            dataclasses.replace(step, ahead=True, env=tuple(sorted((*step.env, *planned))))
            for step in strategy.before(site, release, before)
        )
        at = next((at for at, step in enumerate(part.steps) if step.switches), len(part.steps))
        return dataclasses.replace(
            part,
            warnings=(*part.warnings, *_starting(site.app, before)),
            steps=(*part.steps[:at], *ahead, *part.steps[at:]),
            after=strategy.after(site, release, each),
            last=strategy.after(site, release, last),
        )


def _starting(app: App, tasks: Sequence[SwitchTask]) -> Iterator[str]:
    """Yield which tasks may start or recreate services before the switch."""
    for one in tasks:
        text = app.tasks.get(one.task, "")
        if _COMPOSE_RUN.search(text) and "--no-deps" not in text:
            yield f"{one.task} may recreate services before the switch: `compose run` needs --no-deps"


def switch_tasks(app: App, *, rollback: bool) -> SwitchTasks:
    """Return the tasks around the switch, for an app as it is in an environment. A rollback runs few of them."""
    before, after = (
        tuple(one for one in tasks or () if one.on_rollback or not rollback)
        for tasks in (app.before_switch, app.after_switch)
    )
    return SwitchTasks(before, after)


def task_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what runs before and after the switch, for cards: `before`, and `migrate on web1`; then the watch."""
    for when, is_ahead in (("before", True), ("after", False)):
        servers: dict[str, list[str]] = {}
        for step, server in _steps(plan):
            if step.task and step.ahead is is_ahead:
                servers.setdefault(step.task, []).append(server)
        every = len(plan.servers)
        words = [
            f"{task} on {'each server' if len(on) == every > 1 else ', '.join(on)}" for task, on in servers.items()
        ]
        if words:
            yield when, ", ".join(words)
    if watch := max((part.watch for part in plan.servers), default=0.0):
        first = "after the canary and " if any(part.first_watch for part in plan.servers) else ""
        yield "watch", f"{show_duration(watch)} {first}at the end; rolled back if it does worse, unless vetoed"


def _steps(plan: Plan) -> Iterator[tuple[Step, str]]:
    for part in plan.servers:
        yield from ((step, part.server) for step in (*part.steps, *part.after, *part.last))


def lasting_words(plan: Plan, rows: Sequence[StepRow], servers: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the sentence about tasks that have begun, which no restore undoes; nothing if none has.

    It is about some `servers` only, if they are given.
    """
    mine = [row for row in rows if servers is None or row.server in servers]
    names = _begun_tasks(plan, mine)
    lost = _begun_tasks(plan, [row for row in mine if row.state is StepState.UNKNOWN])
    verb = "may have" if lost else "has" if len(names) == 1 else "have"
    return (f"{listed(names)} {verb} run: what that changed, such as a database, stays.",) if names else ()


def _begun_tasks(plan: Plan, rows: Sequence[StepRow]) -> tuple[str, ...]:
    begun = {(row.server, row.position) for row in rows if row.phase is Phase.FORWARD and not row.was_never_started}
    found = (
        stage.step.task
        for part in plan.servers
        for at, stage in enumerate(part.stages)
        if stage.step is not None and (part.server, at) in begun
    )
    return tuple(dict.fromkeys(filter(None, found)))
