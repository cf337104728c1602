"""Give and remove roles from chats, alone or confirmed by a second admin. Each change is announced."""

from __future__ import annotations

from deploybot.access.account_syntax import identity_text, read_who
from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.access.grants import Actor, Given, changed, check, find, give, no_role, take, unknown_person, unlink
from deploybot.card import Button, Card, Tone
from deploybot.command import Context
from deploybot.deployments.policy_lookup import required
from deploybot.domain import EVERY, Action, GrantChange, Person, Role, Taken, target_name
from deploybot.errors import Denied, UserError
from deploybot.policy import PolicyQuestion, decide, who_may
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import Settings
from deploybot.units import show_duration

WAITS = 86_400.0


class Granting:
    """The commands `allow`, `confirm`, `deny` and `unlink`.

    Each change asks the policy in its own transaction. So a sender who has just lost the right, or a command of one's
    own that needs a lower role, changes nothing.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock, announcer: GrantAnnouncer) -> None:
        """Take bot.toml, the ports and the announcer."""
        self._two = settings.bot.grants == "two"
        self._coded = settings.bot.admin_code is not None
        self._store = store
        self._clock = clock
        self._announcer = announcer

    async def allow(
        self, ctx: Context, who: str, role: Role | None, target: tuple[str, str], seconds: float
    ) -> Person | GrantChange:
        """Give a role, an account or both, or store it for a second admin to confirm. Raise UserError on bad input."""
        wanted, actor = read_who(who), self._actor(ctx)
        if role is None and seconds:
            raise UserError(
                "Only a role can have an end time.", hint="Like this: `allow @ben deployer on shop for 8h`."
            )
        until = actor.now + seconds if seconds else 0.0
        given = Given(who=wanted, role=role, app=target[0], environment=target[1], until=until)

        def allow(tables: Tables) -> Person | GrantChange:
            _insist(tables, actor, "allow", target, gives_until=given.lasts_until)
            if role is None and not (wanted.identity and wanted.name):
                raise no_role(tables.people, wanted, who)
            if self._two:
                check(tables, wanted, actor)
                return self._propose(tables, who, given, seconds, actor)
            person = give(tables, given, actor)
            self._announce(tables, given.announcement(actor.name, person), given, actor)
            return person

        return await self._store.write(allow)

    def _propose(self, tables: Tables, who: str, given: Given, seconds: float, actor: Actor) -> GrantChange:
        """Store a change and ask the other admins to confirm it."""
        change = tables.grant_changes.add(
            GrantChange(
                number=0,
                who=who,
                role=given.role,
                app=given.app,
                environment=given.environment,
                seconds=seconds,
                proposer=actor.number,
                proposer_name=actor.name,
                made=actor.now,
                expires=actor.now + WAITS,
            )
        )
        others = who_may(
            _question(
                tables,
                actor,
                "confirm",
                _target_of(change),
                proposer=change.proposer,
                gives_until=given.lasts_until,
            )
        )
        if not others:
            raise UserError(
                f"You are the only admin on {target_name(change.app, change.environment)}, and this change needs two.",
                hint="`deploybot allow` on the bot's machine adds a second one.",
            )
        names = " or ".join(others)
        text = f"{actor.name} requests {change.name}: {who} becomes {describe(change)}. {names} must confirm it."
        asks = "Your one-time code?" if self._coded else ""
        buttons = (
            Button("Confirm", f"confirm {change.name}", asks=asks, asks_code=self._coded),
            Button("Refuse", f"confirm {change.name} no", danger=True, asks=asks, asks_code=self._coded),
        )
        detail = f"{change.name}: {describe(change)}"
        tables.audit.append(actor=actor.name, action="allow asked", subject=who, detail=detail, now=actor.now)
        self._announcer.announce(
            tables,
            text,
            app=change.app,
            environment=change.environment,
            now=actor.now,
            actor=actor.number,
            buttons=buttons,
            hint=f"Type `confirm {change.name}`, or `confirm {change.name} no`.",
        )
        return change

    async def confirm(self, ctx: Context, change: GrantChange, *, refuse: bool) -> Card:
        """Apply or drop a change that another admin requested. Raise UserError or Denied if that is not possible."""
        actor = self._actor(ctx)

        def confirm(tables: Tables) -> str:
            kept = tables.grant_changes.get(change.number, actor.now)
            if kept is None:
                raise UserError(f"{change.name} is no longer waiting.", hint="`who` lists who has which role.")
            if refuse:
                _insist(tables, actor, "confirm", _target_of(kept))
                tables.grant_changes.remove(kept.number)
                return self._refuse(tables, kept, actor)
            return self._confirm(tables, kept, actor)

        return Card(title=await self._store.write(confirm), tone=Tone.GOOD)

    def _confirm(self, tables: Tables, change: GrantChange, actor: Actor) -> str:
        """Apply the requested change if both admins may at this moment."""
        who, target = read_who(change.who), _target_of(change)
        given = changed(change, who, actor.now)
        lasts = given.lasts_until
        _insist(tables, actor, "confirm", target, proposer=change.proposer, gives_until=lasts)
        tables.grant_changes.remove(change.number)
        person = next((one for one in tables.people.everybody() if one.id == change.proposer), None)
        proposer = Actor(change.proposer_name, person, actor.now)
        _insist(tables, proposer, "allow", target, gives_until=lasts)
        check(tables, who, proposer)
        person = give(tables, given, actor, asked_by=proposer)
        text = given.announcement(f"{change.proposer_name} and {actor.name}", person)
        self._announce(tables, text, given, actor)
        return text

    def _refuse(self, tables: Tables, change: GrantChange, actor: Actor) -> str:
        detail = f"{change.name}: {describe(change)}"
        tables.audit.append(actor=actor.name, action="allow refused", subject=change.who, detail=detail, now=actor.now)
        text = f"{actor.name} refused {change.name}: {change.who} does not become {describe(change)}."
        self._announcer.announce(
            tables, text, app=change.app, environment=change.environment, now=actor.now, actor=actor.number
        )
        return text

    async def deny(self, ctx: Context, who: str, app: str | None, environment: str | None) -> Taken:
        """Remove grants. Return the person and what was removed.

        Raises UserError for an unknown person and for the last admin.
        """
        wanted, actor = read_who(who), self._actor(ctx)

        target = (app or EVERY, environment or EVERY)

        def deny(tables: Tables) -> Taken:
            _insist(tables, actor, "deny", target)
            person = find(tables.people, wanted)
            if person is None:
                raise unknown_person(who, tables.people, listed=True)
            before = self._announcer.admins(tables, *target, actor.now)
            taken = take(tables, person, app, environment, actor)
            if taken.grants or taken.accounts:
                text = f"{actor.name} removed {_lost(taken)} from {person.name} on {target_name(*target)}."
                self._announcer.announce(
                    tables,
                    text,
                    app=target[0],
                    environment=target[1],
                    now=actor.now,
                    actor=actor.number,
                    admins=before,
                )
            return taken

        return await self._store.write(deny)

    async def unlink(self, ctx: Context, account: str) -> Person:
        """Unlink one account and return its person.

        Raises UserError for an unknown account and for the last account of the last admin.
        """
        identity, actor = read_who(account).identity, self._actor(ctx)
        if identity is None:
            raise UserError(
                f"`{account}` is not an account.", hint="Accounts are PLATFORM:ID, such as slack:T012/U345."
            )

        def cut(tables: Tables) -> Person:
            _insist(tables, actor, "unlink", (EVERY, EVERY))
            person = unlink(tables, identity, actor)
            text = f"{actor.name} removed the account {identity_text(identity)} from {person.name}."
            self._announcer.announce(tables, text, app=EVERY, environment=EVERY, now=actor.now, actor=actor.number)
            return person

        return await self._store.write(cut)

    def _announce(self, tables: Tables, text: str, given: Given, actor: Actor) -> None:
        self._announcer.announce(
            tables, text, app=given.app, environment=given.environment, now=actor.now, actor=actor.number
        )

    def _actor(self, ctx: Context) -> Actor:
        person = required(ctx.person)
        return Actor(person.name, person, self._clock.now())


def _target_of(change: GrantChange) -> tuple[str, str]:
    """Return the target of a change, as app and environment."""
    return change.app, change.environment


def _insist(
    tables: Tables,
    actor: Actor,
    command: str,
    target: tuple[str, str],
    *,
    proposer: int = 0,
    gives_until: float | None = None,
) -> None:
    """Ask the policy within this transaction. Raise Denied with its reasons."""
    decision = decide(_question(tables, actor, command, target, proposer=proposer, gives_until=gives_until))
    if not decision.allowed:
        raise Denied(decision.reasons, who_may=", ".join(decision.who_may) or "no one on the allowlist")


def _question(
    tables: Tables,
    actor: Actor,
    command: str,
    target: tuple[str, str],
    *,
    proposer: int,
    gives_until: float | None,
) -> PolicyQuestion:
    return PolicyQuestion(
        person=actor.person,
        action=Action.ADMIN,
        command=command,
        app=target[0],
        environment=target[1],
        grants=tables.people.grants(),
        people=tables.people.everybody(),
        now=actor.now,
        proposer=proposer,
        gives_until=gives_until,
    )


def describe(change: GrantChange) -> str:
    """Describe a change: `deployer on shop for 8 h`, or `another account`."""
    if change.role is None:
        return "another account"
    end = f" for {show_duration(change.seconds)}" if change.seconds else ""
    return f"{change.role} on {target_name(change.app, change.environment)}{end}"


def _lost(taken: Taken) -> str:
    """Describe what was removed: `1 role`, `2 roles and all accounts`, `all accounts`."""
    roles = f"{taken.grants} role{'' if taken.grants == 1 else 's'}"
    if not taken.accounts:
        return roles
    return f"{roles} and all accounts" if taken.grants else "all accounts"
