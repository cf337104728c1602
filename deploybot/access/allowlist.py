"""The allowlist: who people are, what they may do, and how admins change that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploybot.access.account_links import Linking
from deploybot.access.account_syntax import identity_text, name_from
from deploybot.access.explanation import ignored_lines, reasons_card
from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.access.grant_requests import Granting
from deploybot.access.grants import end_text
from deploybot.access.one_time_code_enrollment import Enrolment
from deploybot.access.roster import roster_card
from deploybot.card import Card, Line, Tone
from deploybot.command import Command, Context, Incoming
from deploybot.command_parameters import Follow
from deploybot.deployments.policy_lookup import PolicyQuestions
from deploybot.domain import (
    BOT_NAME,
    Action,
    Channel,
    Grant,
    GrantChange,
    Identity,
    Kind,
    Lock,
    Person,
    Release,
    Role,
    Taken,
    target_name,
)
from deploybot.errors import UserError
from deploybot.policy import ActiveFreeze, Decision, PolicyQuestion, decide, holds
from deploybot.ports import Clock, CodeSecrets, People, Store, Tables
from deploybot.settings import App, Environment, Settings

CLAIMED = "claim"
"""Recorded as the giver of the first administrator's role; `who` shows it."""


@dataclass(frozen=True, slots=True)
class Known:
    """The allowlist as read for one sender: all people, all grants, and the sender (None for a stranger)."""

    person: Person | None
    people: tuple[Person, ...]
    grants: tuple[Grant, ...]
    now: float

    def may(self, action: Action, command: str, app: str, environment: str) -> bool:
        """Return whether the sender may do this in one environment."""
        question = PolicyQuestion(
            person=self.person,
            action=action,
            command=command,
            app=app,
            environment=environment,
            grants=self.grants,
            now=self.now,
        )
        return decide(question).allowed

    def sees(self, app: str, environment: str) -> bool:
        """Return whether the sender may view an environment, even one removed from bot.toml."""
        return self.may(Action.VIEW, "status", app, environment)


@dataclass(frozen=True, slots=True)
class PersonAnswer:
    """The policy's decision, the person it is about, and the lock and the freeze that were checked."""

    person: Person | None
    decision: Decision
    lock: Lock | None
    frozen: ActiveFreeze | None


class Access:
    """The allowlist as `command.PeopleService`, and questions to the policy from dispatch and the deploy engine.

    Nothing is cached: each question reads the database again.
    """

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, codes: CodeSecrets, homes: Sequence[Channel] = ()
    ) -> None:
        """Take bot.toml and the ports. Role changes are announced in `homes` if their app has no channel."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._questions = PolicyQuestions(settings, clock)
        self.announcer = GrantAnnouncer(settings, homes)
        phones = asyncio.Lock()
        self._linking = Linking(store, clock, codes, self.announcer, phones)
        self._enrolment = Enrolment(store, clock, codes, phones)
        self._granting = Granting(settings, store, clock, self.announcer)

    async def known(self, identity: Identity) -> Known:
        """Return who an account belongs to, with the current allowlist."""

        def look(tables: Tables) -> Known:
            people = tables.people
            return Known(people.of(identity), people.everybody(), self._questions.grants(tables), self._clock.now())

        return await self._store.read(look)

    async def ask(
        self,
        who: Identity | int,
        *,
        action: Action,
        command: str,
        app: str | None,
        environment: str | None,
        release: Release | None = None,
        number: int = 0,
        glass: bool = False,
    ) -> PersonAnswer:
        """Ask the policy about a person, by identity or id. Targets are as in `policy.PolicyQuestion`.

        `release` is the release that would run, if known. `number` is the deployment in question, or 0.
        `glass` means that the person wants to break the glass.
        """

        def look(tables: Tables) -> PolicyQuestion:
            return self._questions.ask(
                tables,
                who,
                action=action,
                command=command,
                app=app,
                environment=environment,
                release=release,
                number=number,
                glass=glass,
            )

        question = await self._store.read(look)
        return PersonAnswer(question.person, decide(question), question.lock, question.frozen)

    async def may_read(self, incoming: Incoming, follow: Follow) -> bool:
        """Return whether the sender of a message may still read the log that it follows; record in the audit if not."""
        known, target = await self.known(incoming.identity), target_name(follow.app, follow.environment)
        if known.may(Action.VIEW, "logs", follow.app, follow.environment):
            return True
        actor = known.person.name if known.person else identity_text(incoming.identity)
        detail, now = f"may no longer read the log that it follows as {follow.name}", self._clock.now()
        await self._store.write(
            lambda tables: tables.audit.append(actor=actor, action="denied", subject=target, detail=detail, now=now)
        )
        return False

    async def why(
        self, ctx: Context, command: Command, app: App, environment: Environment, release: Release | None = None
    ) -> Card:
        """Return each rule's verdict on the sender using this command there, and who may use it.

        For `deploy`, it also lists the newest tags that do not count there.
        """
        back = command.name == Kind.ROLLBACK
        origin = await ctx.releases.origin(app, environment, release, back=back) if release else None

        def look(tables: Tables) -> PolicyQuestion:
            return self._questions.ask(
                tables,
                ctx.incoming.identity,
                action=command.needs,
                command=command.name,
                app=app.name,
                environment=environment.name,
                release=release,
                origin=origin,
            )

        card = reasons_card(await self._store.read(look))
        if command.name != Kind.DEPLOY:
            return card
        return replace(card, lines=(*card.lines, *ignored_lines(await ctx.releases.ignored_tags(app, environment))))

    async def link(self, ctx: Context, word: str) -> Card:
        """Link another account to the sender. `word` is empty (request a code), a code, `yes` or `no`."""
        return await self._linking.step(ctx, word)

    async def totp(self, ctx: Context, code: str) -> Card:
        """Enrol the sender for one-time codes, or confirm the enrolment with the first code."""
        return await self._enrolment.step(ctx, code)

    async def visible(self, ctx: Context) -> tuple[tuple[App, Environment], ...]:
        """Return the environments that the sender may see, in the order of bot.toml."""
        return self.seen_by(await self.known(ctx.incoming.identity))

    def seen_by(self, known: Known) -> tuple[tuple[App, Environment], ...]:
        """Return the environments that a known person may see, in the order of bot.toml."""
        return tuple(
            (app, environment)
            for app in self._settings.apps.values()
            for environment in app.environments.values()
            if known.sees(app.name, environment.name)
        )

    async def allow(
        self, ctx: Context, who: str, role: Role | None, app: str, environment: str, *, seconds: float = 0.0
    ) -> Person | GrantChange:
        """Give a role to `@name`, or to `platform:id[:name]` for a new person. Raise UserError on bad input.

        Without a role, `platform:id:name` only links the account. With `seconds`, the role ends after that time.
        If bot.toml requires two admins, return the change that a second admin must confirm.
        """
        return await self._granting.allow(ctx, who, role, (app, environment), seconds)

    async def confirm(self, ctx: Context, change: GrantChange, *, refuse: bool = False) -> Card:
        """Confirm, as a second admin, a change that another admin requested; or refuse it."""
        return await self._granting.confirm(ctx, change, refuse=refuse)

    async def change(self, number: int) -> GrantChange | None:
        """Return a change of grants that waits for a second admin, or None."""
        now = self._clock.now()
        return await self._store.read(lambda tables: tables.grant_changes.get(number, now))

    async def deny(self, ctx: Context, who: str, app: str | None, environment: str | None) -> Taken:
        """Remove all grants of a person, those on an app, or one. Return the person and what was removed.

        Raises UserError for an unknown person and for the last admin.
        """
        return await self._granting.deny(ctx, who, app, environment)

    async def unlink(self, ctx: Context, account: str) -> Person:
        """Unlink one account, given as `platform:id`, and return its person. Raise UserError if not possible."""
        return await self._granting.unlink(ctx, account)

    async def who(self, ctx: Context, app: str = "") -> Card:
        """List people with their roles and accounts in the environments that the sender may see."""
        known = await self.known(ctx.incoming.identity)
        accounts = await self._store.read(lambda tables: tables.people.accounts())
        targets = [(one.name, environment.name) for one, environment in self.seen_by(known)]
        return roster_card(known.people, known.grants, accounts, targets, app=app, now=known.now)

    async def insist_on_code(self, person: Person | None, code: str) -> None:
        """Require a one-time code from an enrolled admin if bot.toml asks for codes. Raise UserError without it."""
        if self._settings.bot.admin_code is not None and person is not None:
            await self._enrolment.insist(person, code)

    async def whoami(self, ctx: Context) -> Card:
        """Show who the sender is to the bot, and what they may do."""
        identity = ctx.incoming.identity
        known = await self.known(identity)
        if known.person is None:
            return stranger_card(identity, ctx.incoming.name)
        mine = [one for one in known.grants if one.person == known.person.id and holds(one, known.now)]
        return Card(
            title=f"You are {known.person.name}.",
            lines=tuple(
                Line(target_name(one.app, one.environment), f"{one.role}{end_text(one.until)}") for one in mine
            ),
            text="" if mine else "You have no role any more: ask an administrator for one.",
            footer=identity_text(identity),
            private=True,
        )

    async def claim(self, ctx: Context, code: str) -> Card:
        """Make the sender the first administrator, with the one-time code. Wrong codes count against their account."""
        identity, now = ctx.incoming.identity, self._clock.now()

        def claim(tables: Tables) -> Person | None:
            if tables.links.paused(identity, now):
                return None
            right = tables.claims.consume(code.upper(), now)
            result = "right" if right else "wrong"
            tables.audit.append(actor=identity_text(identity), action="claim", subject=result, now=now)
            if not right:
                tables.links.fail(identity, now)
                return None
            person = tables.people.of(identity)
            if person is None:
                name = _free_name(tables.people, name_from(ctx.incoming.name))
                person = tables.people.add(name, identity, by=CLAIMED, now=now)
            tables.people.grant(person.id, Role.ADMIN, by=CLAIMED, now=now)
            return person

        person = await self._store.write(claim)
        if person is None:
            raise UserError(
                "This code is wrong, used or expired, or you are blocked after too many tries.",
                hint="Five wrong codes block you for 15 minutes. "
                "If there is no administrator yet, restart the bot to get a new code.",
            )
        return Card(
            title=f"Welcome, {person.name}: you are the administrator of everything now.",
            hint="Let others in with `allow`; `help allow` shows how.",
            tone=Tone.GOOD,
        )


def stranger_card(identity: Identity, name: str) -> Card:
    """Return the answer to a stranger: their id, in a command that an admin can copy."""
    wanted = f"allow {identity_text(identity)}:{name_from(name)} viewer"
    return Card(
        title=f"I do not know you yet: please ask an administrator to type `{wanted}`.",
        tone=Tone.WARN,
        private=True,
        ok=False,
        hint=_shell_hint(identity, name) if identity.platform == "console" else "",
    )


def _shell_hint(identity: Identity, name: str) -> str:
    """Return the shell command for a console user: they own the bot and may have no administrator to ask."""
    return f"Or in a shell here: `deploybot allow {name_from(name)} ROLE --identity {identity_text(identity)}`."


def _free_name(people: People, name: str) -> str:
    """Return the name, with a number appended if it is taken."""
    number = 1
    free = name
    while free == BOT_NAME or people.named(free) is not None:
        number += 1
        free = f"{name[:36]}-{number}"
    return free
