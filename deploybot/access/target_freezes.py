"""Freezes of environments that people make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import time

from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.card import Card
from deploybot.command import Context
from deploybot.command_parameters import Day
from deploybot.deployments.policy_lookup import PolicyQuestions, required
from deploybot.deployments.scheduled_starts import next_time
from deploybot.domain import Action, Freeze, Person
from deploybot.errors import UserError
from deploybot.policy.active_freezes import active_freeze
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Environment, Settings
from deploybot.units import show_moment

LONGEST = 366 * 86400.0
"""Seconds. What should stay closed for longer is a lock, or a line in bot.toml."""


def _ignore(app: str) -> None:
    """Do nothing when a freeze changes."""


def _ignore_wait(tables: Tables, number: int) -> None:
    """Do nothing about a deployment that waits."""


class TargetFreezes:
    """`command.FreezeService` over the store. Each change asks the policy, and also writes an audit row."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        announcer: GrantAnnouncer,
        *,
        changed: Callable[[str], None] = _ignore,
        show_wait: Callable[[Tables, int], None] = _ignore_wait,
    ) -> None:
        """Take bot.toml and the ports. `announcer` reports each change in the app's channels.

        `changed(app)` is called when a freeze of the app was made or ended. `show_wait(tables, number)` queues the card
        of a waiting deployment in the same transaction.
        """
        self._settings = settings
        self._questions = PolicyQuestions(settings, clock)
        self._store = store
        self._clock = clock
        self._announcer = announcer
        self._changed = changed
        self._show_wait = show_wait

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
        frozen = active_freeze(environment, made, now, zone)
        assert frozen is not None  # noqa: S101  it begins now
        shown = f"{app.name}/{environment.name} is frozen {frozen.text}"

        def put(tables: Tables) -> None:
            self._insist(tables, person, "freeze", app, environment)
            old = tables.freezes.get(app.name, environment.name, now)
            tables.freezes.put(made)
            self._show(tables, tables.deployments.thaw(now, app.name, environment.name))
            self._show(tables, tables.deployments.freeze_all(app.name, environment.name, frozen.until))
            instead = f", in place of the freeze of {old.holder} until {show_moment(old.until, zone)}" if old else ""
            self._record(tables, "freeze", made, person, f"until {show_moment(end, zone)}{instead}: {ctx.reason}")
            self._announce(tables, f"{shown}{instead}", made, ctx, old)

        await self._store.write(put)
        self._changed(app.name)
        return Card(
            title=f"{shown}.",
            hint=f"Rollbacks and restarts still work. `unfreeze {app.name} {environment.name}` ends the freeze.",
        )

    async def unfreeze(self, ctx: Context, app: App, environment: Environment) -> Card:
        """End the freeze that a person made, if any; announce it. Raise Denied for who may not.

        What waits for its end begins, unless bot.toml freezes the environment, too.
        """
        person, now = required(ctx.person), self._clock.now()
        target = f"{app.name}/{environment.name}"
        left = active_freeze(environment, None, now, self._settings.bot.timezone)
        rest = f"{target} is still frozen {left.text}." if left else f"{target} is not frozen any more."

        def remove(tables: Tables) -> Freeze | None:
            self._insist(tables, person, "unfreeze", app, environment)
            freeze = tables.freezes.get(app.name, environment.name, now)
            tables.freezes.remove(app.name, environment.name)
            self._show(tables, tables.deployments.thaw(now, app.name, environment.name))
            if freeze is not None:
                self._record(tables, "unfreeze", freeze, person, f"the freeze of {freeze.holder}")
                self._announce(
                    tables, f"{person.name} ended the freeze of {freeze.holder}. {rest}", freeze, ctx, freeze
                )
            return freeze

        freeze = await self._store.write(remove)
        self._changed(app.name)
        if freeze is None:
            return Card(title=f"No person has frozen {target}.", text=rest if left else "")
        whose = "Your freeze" if freeze.person == person.id else f"The freeze of {freeze.holder} (“{freeze.reason}”)"
        return Card(title=f"{whose} is over. {rest}")

    def _show(self, tables: Tables, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._show_wait(tables, number)

    def _announce(self, tables: Tables, text: str, freeze: Freeze, ctx: Context, old: Freeze | None) -> None:
        """Announce a change in the target's channels, and to the person whose freeze it changes."""
        actor = required(ctx.person).id
        person = old.person if old and old.person != actor else 0
        self._announcer.notify(
            tables,
            text,
            app=freeze.app,
            environment=freeze.environment,
            person=person,
            besides=ctx.incoming.channel,
            now=self._clock.now(),
        )

    def _record(self, tables: Tables, action: str, freeze: Freeze, person: Person, detail: str) -> None:
        target, now = f"{freeze.app}/{freeze.environment}", self._clock.now()
        tables.audit.append(actor=person.name, action=action, subject=target, detail=detail, now=now)

    def _insist(self, tables: Tables, person: Person, command: str, app: App, environment: Environment) -> None:
        """Ask the policy within this transaction. Raise its refusal."""
        question = self._questions.ask(
            tables, person.id, action=Action.DEPLOY, command=command, app=app.name, environment=environment.name
        )
        self._questions.insist(question)
