"""The allowlist: who somebody is, what they may do, and how that is changed."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.access.codes import Enrolment
from deploybot.access.identities import Who, identity_text, name_from, read_who
from deploybot.access.links import Linking
from deploybot.access.reasons import reasons_card
from deploybot.card import Card, Line, Tone
from deploybot.command import Command, Context
from deploybot.deploy.questions import Questions
from deploybot.domain import BOT_NAME, EVERY, Action, Grant, Identity, Kind, Lock, Person, Release, Role, place_name
from deploybot.errors import Denied, UserError
from deploybot.parsing import nearest
from deploybot.policy import Decision, Question, decide, tell_lock
from deploybot.ports import Clock, CodeSecrets, People, Store, Tables
from deploybot.settings import App, Environment, Settings

_FEW = 12


@dataclass(frozen=True, slots=True)
class Known:
    """What the allowlist says: everybody, every grant, and who is asking (None for a stranger)."""

    person: Person | None
    people: tuple[Person, ...]
    grants: tuple[Grant, ...]

    def may(self, action: Action, command: str, app: str, environment: str) -> bool:
        """Whether who is asking may do something in one environment."""
        question = Question(
            person=self.person, action=action, command=command, app=app, environment=environment, grants=self.grants
        )
        return decide(question).allowed


@dataclass(frozen=True, slots=True)
class Answer:
    """The policy's decision, for whom, and the lock it looked at."""

    person: Person | None
    decision: Decision
    lock: Lock | None


class Access:
    """`command.PeopleService`, and the questions that dispatch and the deploy engine put to the policy.

    Nothing is remembered between questions: each reads the database anew.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock, codes: CodeSecrets) -> None:
        """Take bot.toml and the ports."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._questions = Questions(settings, clock)
        self._linking = Linking(store, clock, codes)
        self._enrolment = Enrolment(store, clock, codes)

    async def known(self, identity: Identity) -> Known:
        """Who somebody is, and the allowlist as it stands."""

        def look(tables: Tables) -> Known:
            people = tables.people
            return Known(people.of(identity), people.everybody(), people.grants())

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
    ) -> Answer:
        """Ask the policy about a person, by identity or id. Places are as in `policy.Question`.

        `release` is what would run, where that is known; `number` the deployment that it is about, or 0.
        `glass` says that the person wants to break the glass.
        """

        def look(tables: Tables) -> Question:
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
        return Answer(question.person, decide(question), question.lock)

    async def may(
        self, person: int, action: Action, app: str, environment: str, *, command: str = "deploy"
    ) -> Decision:
        """Whether a person may still do something: grants and locks are read again."""
        answer = await self.ask(person, action=action, command=command, app=app, environment=environment)
        return answer.decision

    async def why(
        self, ctx: Context, command: Command, app: App, environment: Environment, release: Release | None = None
    ) -> Card:
        """What every rule says to the sender's using a command there, and who may."""
        back = command.name == Kind.ROLLBACK
        origin = await ctx.releases.origin(app, environment, release, back=back) if release else None

        def look(tables: Tables) -> Question:
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

        return reasons_card(await self._store.read(look))

    async def link(self, ctx: Context, word: str) -> Card:
        """Link a further identity of the sender: a code for them, their code, or a link's confirmation or end."""
        return await self._linking.step(ctx, word)

    async def totp(self, ctx: Context, code: str) -> Card:
        """Enrol the sender for one-time codes, or confirm that with the first code."""
        return await self._enrolment.step(ctx, code)

    def refusal(self, answer: Answer) -> str:
        """The sentences of a no."""
        if answer.decision.held and answer.lock is not None:
            return tell_lock(answer.lock, self._clock.now())
        return " ".join(answer.decision.reasons)

    async def visible(self, ctx: Context) -> tuple[tuple[App, Environment], ...]:
        """The environments that the sender may see, in the order of bot.toml."""
        return self.seen_by(await self.known(ctx.incoming.identity))

    def seen_by(self, known: Known) -> tuple[tuple[App, Environment], ...]:
        """The environments that somebody may see, in the order of bot.toml."""
        return tuple(
            (app, environment)
            for app in self._settings.apps.values()
            for environment in app.environments.values()
            if known.may(Action.VIEW, "status", app.name, environment.name)
        )

    async def allow(self, ctx: Context, who: str, role: Role | None, app: str, environment: str) -> Person:
        """Give a role to `@name`, or to `platform:id[:name]` for somebody new; UserError explains.

        Without a role `platform:id:name` gives the identity alone.
        """
        wanted, now = read_who(who), self._clock.now()

        def allow(tables: Tables) -> Person:
            if role is None and not (wanted.identity and wanted.name):
                raise _no_role(tables.people, wanted, who)
            person = _find_or_add(tables, wanted, ctx)
            if role is not None:
                tables.people.grant(person.id, role, app, environment)
            detail = f"{role} on {place_name(app, environment)}" if role else f"identity {_identity_of(wanted)}"
            tables.audit.append(actor=_actor(ctx), action="allow", subject=person.name, detail=detail, now=now)
            return person

        return await self._store.write(allow)

    async def deny(self, ctx: Context, who: str, app: str | None, environment: str | None) -> tuple[Person, int]:
        """Take grants away, all, an app's or one; whose, and how many. UserError for nobody, and the last admin."""
        wanted, now = read_who(who), self._clock.now()

        def deny(tables: Tables) -> tuple[Person, int]:
            person = _find(tables.people, wanted)
            if person is None:
                raise _nobody(who, tables.people, listed=True)
            gone = tables.people.revoke(person.id, app, environment)
            detail = f"{gone} grants on {place_name(app or EVERY, environment or EVERY)}"
            tables.audit.append(actor=_actor(ctx), action="deny", subject=person.name, detail=detail, now=now)
            return person, gone

        return await self._store.write(deny)

    async def whoami(self, ctx: Context) -> Card:
        """Who the bot takes the sender for, and what they may do."""
        identity = ctx.incoming.identity
        known = await self.known(identity)
        if known.person is None:
            return stranger_card(identity, ctx.incoming.name)
        mine = [grant for grant in known.grants if grant.person == known.person.id]
        return Card(
            title=f"You are {known.person.name}.",
            lines=tuple(Line(place_name(grant.app, grant.environment), grant.role) for grant in mine),
            text="" if mine else "You have no role anywhere now: ask an administrator for one.",
            footer=identity_text(identity),
            private=True,
        )

    async def claim(self, ctx: Context, code: str) -> Card:
        """Make the sender the first administrator with the one-time code; a wrong one counts as a try."""
        identity, now = ctx.incoming.identity, self._clock.now()

        def claim(tables: Tables) -> Person | None:
            right = tables.claims.consume(code.upper(), now)
            person = tables.people.of(identity)
            if right and person is None:
                person = tables.people.add(_free_name(tables.people, name_from(ctx.incoming.name)), identity)
            if right and person is not None:
                tables.people.grant(person.id, Role.ADMIN)
            said = "right" if right else "wrong"
            tables.audit.append(actor=identity_text(identity), action="claim", subject=said, now=now)
            return person if right else None

        person = await self._store.write(claim)
        if person is None:
            raise UserError(
                "This code is wrong, used, or too old.",
                hint="The bot prints a new one when it starts while there is no administrator.",
            )
        return Card(
            title=f"Welcome, {person.name}: you are the administrator of everything now.",
            hint="Let others in with `allow`; `help allow` shows how.",
            tone=Tone.GOOD,
        )


def stranger_card(identity: Identity, name: str) -> Card:
    """What somebody is told whom the allowlist does not hold: their id, in words an admin can copy."""
    wanted = f"allow {identity_text(identity)}:{name_from(name)} viewer"
    return Card(
        title=f"I do not know you yet: please ask an administrator to type `{wanted}`.",
        tone=Tone.WARN,
        private=True,
        ok=False,
        hint=_shell_hint(identity, name) if identity.platform == "console" else "",
    )


def _shell_hint(identity: Identity, name: str) -> str:
    """Who talks at the console owns the bot, and may have no administrator to ask."""
    return f"Or in a shell here: `deploybot allow {name_from(name)} ROLE --identity {identity_text(identity)}`."


def _identity_of(wanted: Who) -> str:
    return identity_text(wanted.identity) if wanted.identity else wanted.name


def _find(people: People, wanted: Who) -> Person | None:
    return people.of(wanted.identity) if wanted.identity else people.named(wanted.name)


def _find_or_add(tables: Tables, wanted: Who, ctx: Context) -> Person:
    """The person meant; made where a new identity comes with a name. UserError says what is missing."""
    people = tables.people
    found = _find(people, wanted)
    if wanted.identity is None:
        if found is None:
            raise _nobody(f"@{wanted.name}", people)
        return found
    if found is not None:
        if wanted.name and wanted.name != found.name:
            raise UserError(f"{identity_text(wanted.identity)} is @{found.name} already.", hint=f"Use @{found.name}.")
        return found
    if not wanted.name:
        raise UserError(
            f"{identity_text(wanted.identity)} is new to me and has no name yet.",
            hint=f"Give one: {identity_text(wanted.identity)}:NAME",
        )
    namesake = people.named(wanted.name)
    if namesake is None:
        return people.add(wanted.name, wanted.identity)
    _link(people, namesake, wanted.identity, ctx)
    return namesake


def _link(people: People, person: Person, identity: Identity, ctx: Context) -> None:
    """Give a person a further identity: with it come all their rights, so only an admin of everything may."""
    question = Question(
        person=ctx.person,
        action=Action.ADMIN,
        command="allow",
        app=EVERY,
        environment=EVERY,
        grants=people.grants(),
        people=people.everybody(),
    )
    decision = decide(question)
    if not decision.allowed:
        why = f"There is a @{person.name} already, and to give somebody a further identity one has to be admin of all."
        raise Denied((why, *decision.reasons), who_may=", ".join(decision.who_may))
    people.link(person.id, identity)


def _no_role(people: People, wanted: Who, who: str) -> UserError:
    person = _find(people, wanted)
    return UserError(
        f"Which role shall `{f'@{person.name}' if person and wanted.identity else who[:60]}` have?",
        hint=f"{', '.join(Role)}. Without one PLATFORM:ID:NAME gives somebody a further identity.",
    )


def _nobody(who: str, people: People, *, listed: bool = False) -> UserError:
    """Nobody is called so: how somebody new is written, or who there is where it has to be one of them."""
    names = [person.name for person in people.everybody()]
    near = nearest(who.removeprefix("@"), names)
    guess = f", did you mean @{near}?" if near else "."
    there = f"I know {', '.join(f'@{name}' for name in names[:_FEW])}{' and more' if len(names) > _FEW else ''}."
    new = "Somebody new is written PLATFORM:ID:NAME, as `whoami` shows it to them."
    return UserError(f"I know nobody called `{who[:60]}`{guess}", hint=there if listed else new)


def _free_name(people: People, name: str) -> str:
    """The name, or with a number behind it where somebody has it."""
    number = 1
    free = name
    while free == BOT_NAME or people.named(free) is not None:
        number += 1
        free = f"{name[:36]}-{number}"
    return free


def _actor(ctx: Context) -> str:
    return ctx.person.name if ctx.person else identity_text(ctx.incoming.identity)
