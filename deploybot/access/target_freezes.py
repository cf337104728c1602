"""Freezes of environments that people make."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time

from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.card import Card
from deploybot.command import Context
from deploybot.command_parameters import Day
from deploybot.deployments.policy_lookup import PolicyQuestions, required
from deploybot.deployments.scheduled_starts import next_time
from deploybot.domain import Action, Freeze, Person
from deploybot.errors import UserError
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Environment, Settings
from deploybot.units import show_moment

LONGEST = 366 * 86400.0
"""Seconds. What should stay closed for longer is a lock, or a line in bot.toml."""


def _ignore(app: str) -> None:
    """Do nothing when a freeze ends."""


class TargetFreezes:
    """`command.FreezeService` over the store. Each change asks the policy, and also writes an audit row."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        announcer: GrantAnnouncer,
        ended: Callable[[str], None] = _ignore,
    ) -> None:
        """Take bot.toml and the ports. `announcer` reports each change in the app's channels.

        `ended(app)` is called when a person ends a freeze of the app.
        """
        self._settings = settings
        self._questions = PolicyQuestions(settings, clock)
        self._store = store
        self._clock = clock
        self._announcer = announcer
        self._ended = ended

    async def freeze(
        self, ctx: Context, app: App, environment: Environment, until: Day | time | float, at: time | None = None
    ) -> Card:
        """Freeze an environment, in place of an earlier freeze; announce it.

        `until` is a day (`at` a time, or when it begins), a time of day, or seconds. Raise Denied for who may not,
        UserError for a time in the past or more than a year away.
        """
        person, now = required(ctx.person), self._clock.now()
        zone = self._settings.bot.timezone
        if isinstance(until, Day):
            end = until.moment(at or time(), zone, now)
        else:
            end = next_time(until, zone, now) if isinstance(until, time) else now + until
        if not now < end <= now + LONGEST:
            raise UserError(
                "A freeze must end at a time within the next year.",
                hint=f"For example: `freeze {app.name} {environment.name} until Mon 08:00 because …`.",
            )
        made = Freeze(app.name, environment.name, person.id, person.name, ctx.reason, now, end)
        shown = f"{app.name}/{environment.name} is frozen until {show_moment(end, zone)}"

        def put(tables: Tables) -> None:
            self._insist(tables, person, "freeze", app, environment)
            tables.freezes.put(made)
            tables.deployments.thaw(app.name, environment.name)
            self._record(tables, "freeze", made, person, f"until {show_moment(end, zone)}: {ctx.reason}")
            text = f"{shown} by {person.name}: “{ctx.reason}”"
            self._announcer.notify(tables, text, app=app.name, person=0, besides=ctx.incoming.channel, now=now)

        await self._store.write(put)
        return Card(
            title=f"{shown}: “{made.reason}”.",
            hint=f"Rollbacks and restarts still work. `unfreeze {app.name} {environment.name}` ends the freeze.",
        )

    async def unfreeze(self, ctx: Context, app: App, environment: Environment) -> Freeze | None:
        """End and return the freeze that a person made, if any; announce it. Raise Denied for who may not.

        What waits for its end begins, unless bot.toml freezes the environment, too.
        """
        person, now = required(ctx.person), self._clock.now()

        def remove(tables: Tables) -> Freeze | None:
            self._insist(tables, person, "unfreeze", app, environment)
            freeze = tables.freezes.get(app.name, environment.name, now)
            if freeze is not None:
                tables.freezes.remove(app.name, environment.name)
                tables.deployments.thaw(app.name, environment.name)
                self._record(tables, "unfreeze", freeze, person, f"the freeze of {freeze.holder}")
                text = f"{person.name} ended the freeze of {app.name}/{environment.name} by {freeze.holder}"
                self._announcer.notify(
                    tables, text, app=app.name, person=freeze.person, besides=ctx.incoming.channel, now=now
                )
            return freeze

        freeze = await self._store.write(remove)
        self._ended(app.name)
        return freeze

    def _record(self, tables: Tables, action: str, freeze: Freeze, person: Person, detail: str) -> None:
        target, now = f"{freeze.app}/{freeze.environment}", self._clock.now()
        tables.audit.append(actor=person.name, action=action, subject=target, detail=detail, now=now)

    def _insist(self, tables: Tables, person: Person, command: str, app: App, environment: Environment) -> None:
        """Ask the policy within this transaction. Raise its refusal."""
        question = self._questions.ask(
            tables, person.id, action=Action.DEPLOY, command=command, app=app.name, environment=environment.name
        )
        self._questions.insist(question)
