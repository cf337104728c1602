"""Change grants and accounts in one transaction with the audit, for chat commands and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from deploybot.access.account_syntax import CHATS, Who, identity_text
from deploybot.domain import EVERY, Action, GrantChange, Identity, Person, Role, Taken, target_name
from deploybot.errors import Denied, UserError
from deploybot.parsing import nearest
from deploybot.policy import PolicyQuestion, decide
from deploybot.ports import People, Tables
from deploybot.units import show_time

_FEW = 12


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and when. `person` is None for the command line, whose user owns the bot."""

    name: str
    person: Person | None
    now: float

    @property
    def number(self) -> int:
        """Return the person's id, 0 for the command line."""
        return self.person.id if self.person else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A role, an account or both, to be given to a person. `until` is when the role ends, 0.0 for never."""

    who: Who
    role: Role | None
    app: str = EVERY
    environment: str = EVERY
    until: float = 0.0

    @property
    def lasts_until(self) -> float:
        """Return when what is given ends, as `PolicyQuestion.gives_until`. An account on its own never ends."""
        return self.until or inf

    @property
    def text(self) -> str:
        """Return `approver on shop/production until 18:00`, or the account."""
        if self.role is None:
            return identity_text(self.who.identity) if self.who.identity else ""
        return f"{self.role} on {target_name(self.app, self.environment)}{end_text(self.until)}"

    def announcement(self, by: str, person: Person) -> str:
        """Return a sentence that names the giver, the person and the account."""
        account = identity_text(self.who.identity) if self.who.identity else ""
        if self.role is None:
            return f"{by} gave {person.name} the account {account}."
        return f"{by} made {person.name}{f' ({account})' if account else ''} {self.text}."


def end_text(until: float) -> str:
    """Return ` until 18:00` for a role that ends; empty otherwise."""
    return f" until {show_time(until)}" if until else ""


def find(people: People, wanted: Who) -> Person | None:
    """Return the person with this account or name; None if unknown."""
    return people.of(wanted.identity) if wanted.identity else people.named(wanted.name)


def check(tables: Tables, wanted: Who, actor: Actor) -> Person | None:
    """Return the person meant, None for a new one. Raise UserError or Denied if nothing can be given to them."""
    people = tables.people
    found = find(people, wanted)
    if wanted.identity is None:
        if found is None:
            raise unknown_person(f"@{wanted.name}", people)
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
    if namesake is not None:
        there = f"@{namesake.name} already exists"
        why = f"{there}. Only an admin of everything can give a person another account."
        _insist_on_admin(people, actor, why)
    elif people.account(wanted.identity) is not None:
        why = f"{identity_text(wanted.identity)} was removed. Only an admin of everything can add it again."
        _insist_on_admin(people, actor, why)
    return namesake


def give(tables: Tables, given: Given, actor: Actor, *, asked_by: Actor | None = None) -> Person:
    """Give a role, an account or both. `asked_by` is the admin whose request `actor` confirms."""
    by = f"{asked_by.name} and {actor.name}" if asked_by else actor.name
    givers = tuple(one.number for one in (asked_by, actor) if one and one.number)
    person, identity = check(tables, given.who, actor), given.who.identity
    if person is None:
        person = tables.people.add(given.who.name, identity, by=by, givers=givers, now=actor.now)
    elif identity is not None and tables.people.of(identity) is None:
        tables.people.link(person.id, identity, by=by, givers=givers, now=actor.now)
    if given.role is not None:
        target = (given.app, given.environment)
        tables.people.grant(person.id, given.role, *target, by=by, now=actor.now, until=given.until)
    detail = given.text if given.role else f"identity {given.text}"
    tables.audit.append(actor=by, action="allow", subject=person.name, detail=detail, now=actor.now)
    return person


def take(tables: Tables, person: Person, app: str | None, environment: str | None, actor: Actor) -> Taken:
    """Remove all grants, those on an app, or one. Removing all of them also unlinks the person's chat accounts.

    Forge accounts stay linked: they give no access, and still show whose pushes were whose.
    """
    gone = tables.people.revoke(person.id, app, environment)
    mine = tables.people.identities(person.id) if app is None else ()
    detached = tuple(one for one in mine if one.platform in CHATS and tables.people.detach(one))
    accounts = f", accounts {', '.join(map(identity_text, detached))}" if detached else ""
    detail = f"{gone} grant{'' if gone == 1 else 's'} on {target_name(app or EVERY, environment or EVERY)}{accounts}"
    tables.audit.append(actor=actor.name, action="deny", subject=person.name, detail=detail, now=actor.now)
    return Taken(person, gone, detached)


def unlink(tables: Tables, identity: Identity, actor: Actor) -> Person:
    """Unlink one account and return its person. Raise UserError if no person has it."""
    person = tables.people.of(identity)
    if person is None:
        raise UserError(
            f"{identity_text(identity)} is not linked to anyone.", hint="`who` lists people and their accounts."
        )
    tables.people.detach(identity)
    detail = identity_text(identity)
    tables.audit.append(actor=actor.name, action="unlink", subject=person.name, detail=detail, now=actor.now)
    return person


def changed(change: GrantChange, who: Who, now: float) -> Given:
    """Return what a change gives if it is confirmed now. Its duration starts now."""
    until = now + change.seconds if change.seconds else 0.0
    return Given(who=who, role=change.role, app=change.app, environment=change.environment, until=until)


def _insist_on_admin(people: People, actor: Actor, why: str) -> None:
    """Raise Denied unless the actor is an admin of everything: an account carries all rights of its person."""
    if actor.person is None:
        return
    question = PolicyQuestion(
        person=actor.person,
        action=Action.ADMIN,
        command="allow",
        app=EVERY,
        environment=EVERY,
        grants=people.grants(),
        people=people.everybody(),
        now=actor.now,
        gives_until=inf,
    )
    decision = decide(question)
    if not decision.allowed:
        raise Denied((why, *decision.reasons), who_may=", ".join(decision.who_may))


def no_role(people: People, wanted: Who, who: str) -> UserError:
    """Return the error that asks for a role, if neither a role nor a new account was given."""
    person = find(people, wanted)
    return UserError(
        f"Which role should `{f'@{person.name}' if person and wanted.identity else who[:60]}` have?",
        hint=f"{', '.join(Role)}. Without a role, PLATFORM:ID:NAME gives a person another account.",
    )


def unknown_person(who: str, people: People, *, listed: bool = False) -> UserError:
    """Return the error for an unknown name, with how to add a new person or the list of known people."""
    names = [person.name for person in people.everybody()]
    near = nearest(who.removeprefix("@"), names)
    guess = f", did you mean @{near}?" if near else "."
    there = f"I know {', '.join(f'@{name}' for name in names[:_FEW])}{' and more' if len(names) > _FEW else ''}."
    new = "Write a new person as PLATFORM:ID:NAME, as `whoami` shows it to them."
    return UserError(f"There is no person called `{who[:60]}`{guess}", hint=there if listed else new)
