"""The policy against an oracle of its own, and every reason word for word."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from deploybot.domain import Action, Grant, Lock, Person, Role
from deploybot.policy import LEAST, OPEN_COMMANDS, Decision, Question, decide, role_of, suffices, tell_lock

ME = Person(1, "me")
OTHER = Person(2, "other")
PEOPLE = (ME, OTHER)
SEED = 20_261_121

PLACES: tuple[str | None, ...] = (None, "*", "shop", "blog")
ENVIRONMENTS: tuple[str | None, ...] = (None, "*", "staging", "production")
COMMANDS = ("deploy", "cancel", "unlock", "help", "plugin")
LOCKS = (None, *(Lock("shop", "production", person.id, person.name, "why", 0.0) for person in PEOPLE))


def grant_shapes() -> Iterator[tuple[Grant, ...]]:
    """No grant, every single one, and pairs and triples of them."""
    single = [
        Grant(ME.id, role, app, environment)
        for role, app, environment in itertools.product(Role, ("*", "shop", "blog"), ("*", "staging", "production"))
    ]
    chosen = random.Random(SEED)  # noqa: S311 - examples, not secrets
    yield ()
    yield from ((grant,) for grant in single)
    yield from (tuple(chosen.sample(single, count)) for count in (2, 3) for _ in range(30))


def oracle(person: Person | None, question: Question) -> bool:
    """The same answer in another way: a set of all that is allowed, made from the grants one by one."""
    if question.action is Action.ANYONE:
        return question.command in {"help", "whoami", "claim"}
    if person is None:
        return False
    level = {"viewer": 1, "deployer": 2, "approver": 3, "admin": 4}
    wanted = {"view": 1, "deploy": 2, "approve": 3, "admin": 4}[question.action.value]
    best = 0
    for grant in question.grants:
        app_fits = question.app is None or grant.app in ("*", question.app)
        environment_fits = question.environment is None or grant.environment in ("*", question.environment)
        if grant.person == person.id and app_fits and environment_fits:
            best = max(best, level[grant.role.value])
    others_lock = question.lock is not None and question.lock.person != person.id
    if others_lock and question.command == "unlock" and best < level["admin"]:
        return False
    if others_lock and question.action.value == "deploy" and question.command not in {"lock", "unlock", "cancel"}:
        return False
    return best >= wanted


def test_matrix(figure: Callable[[str], None]) -> None:
    cells = wrong = 0
    for grants in grant_shapes():
        for person, action, command, app, environment, lock in itertools.product(
            (ME, OTHER, None), Action, COMMANDS, PLACES, ENVIRONMENTS, LOCKS
        ):
            if person is OTHER and lock is not None:
                continue
            question = Question(
                person=person,
                action=action,
                command=command,
                app=app,
                environment=environment,
                grants=grants,
                lock=lock,
            )
            cells += 1
            wrong += decide(question).allowed is not oracle(person, question)
    figure(f"{wrong} of {cells} cells wrong, seed={SEED}")
    assert cells >= 10_000
    assert wrong == 0


def ask(action: Action = Action.DEPLOY, command: str = "deploy", **more: object) -> Decision:
    """Ask for somebody who is deployer of shop, among people of whom one is admin."""
    grants = (Grant(ME.id, Role.DEPLOYER, "shop"), Grant(OTHER.id, Role.ADMIN))
    question = {"person": ME, "app": "shop", "environment": "production", "grants": grants, "people": PEOPLE} | more
    return decide(Question(action=action, command=command, **question))  # type: ignore[arg-type]


def test_yes_says_why() -> None:
    assert ask() == Decision(allowed=True, reasons=("You are deployer on shop/production.",))


def test_stranger() -> None:
    decision = ask(person=None)
    assert decision.reasons == ("You are not on the allowlist.",)
    assert decision.who_may == ("me", "other")


@pytest.mark.parametrize(
    ("app", "environment", "sentence"),
    [
        ("blog", "live", "`deploy` needs the role deployer on blog/live; you have no role there."),
        ("*", "*", "`deploy` needs the role deployer on every app; you have no role there."),
        ("*", "production", "`deploy` needs the role deployer on production of every app; you have no role there."),
        ("blog", None, "`deploy` needs the role deployer on blog; you have no role there."),
        ("blog", "*", "`deploy` needs the role deployer on every environment of blog; you have no role there."),
    ],
)
def test_no_role(app: str, environment: str | None, sentence: str) -> None:
    decision = ask(app=app, environment=environment)
    assert decision.reasons == (sentence,)
    assert decision.who_may == ("other",)


def test_too_low_a_role() -> None:
    decision = ask(Action.ADMIN, "allow")
    assert decision.reasons == ("`allow` needs the role admin on shop/production; you are deployer there.",)


def test_nowhere_a_role() -> None:
    decision = ask(Action.VIEW, "status", grants=(), app=None, environment=None)
    assert decision.reasons == ("`status` needs the role viewer on at least one app; you have no role there.",)
    assert decision.who_may == ()


def test_a_plugin_cannot_open_itself() -> None:
    decision = ask(Action.ANYONE, "party")
    assert not decision.allowed
    assert decision.reasons == ("Only claim, help, link, whoami are for everyone.",)


@pytest.mark.parametrize("command", sorted(OPEN_COMMANDS))
def test_open_commands(command: str) -> None:
    decision = ask(Action.ANYONE, command, person=None)
    assert decision == Decision(allowed=True, reasons=(f"`{command}` is for everyone.",))


LOCK = Lock("shop", "production", OTHER.id, OTHER.name, "measuring", 1_800_000_000.0)


def test_a_lock_holds_others() -> None:
    decision = ask(lock=LOCK)
    assert decision.reasons == ("shop/production is locked by other.",)
    assert decision.held
    assert decision.who_may == ("other",)


def test_a_lock_is_not_the_only_reason() -> None:
    decision = ask(lock=LOCK, grants=())
    assert len(decision.reasons) == 2
    assert not decision.held


def test_a_lock_holds_admins_too() -> None:
    grants = (Grant(ME.id, Role.ADMIN), Grant(OTHER.id, Role.DEPLOYER))
    assert not ask(lock=LOCK, grants=grants).allowed
    assert ask(Action.DEPLOY, "unlock", lock=LOCK, grants=grants).allowed


def test_unlocking() -> None:
    assert ask(Action.DEPLOY, "unlock", lock=LOCK, person=OTHER).allowed
    assert ask(Action.DEPLOY, "unlock").allowed
    decision = ask(Action.DEPLOY, "unlock", lock=LOCK)
    assert decision.reasons == ("The lock is other's: other or an admin may release it.",)


def test_a_lock_does_not_keep_from_looking() -> None:
    assert ask(Action.VIEW, "status", lock=LOCK).allowed


def test_roles_are_ordered() -> None:
    grants = (Grant(ME.id, Role.ADMIN, "shop", "staging"), Grant(ME.id, Role.VIEWER))
    assert role_of(ME, grants, "shop", "staging") is Role.ADMIN
    assert role_of(ME, grants, "shop", "production") is Role.VIEWER
    assert role_of(ME, (), "shop", "production") is None
    assert not suffices(Role.ADMIN, Action.ANYONE)
    assert [suffices(role, Action.APPROVE) for role in Role] == [False, False, True, True]
    assert set(LEAST) == set(Action) - {Action.ANYONE}


def test_tell_lock() -> None:
    assert tell_lock(LOCK, 1_800_000_720.0) == (
        "shop/production is locked by other since 2027-01-15 08:00 UTC (12 min): “measuring”. "
        "other or an admin can release it: `unlock shop production`."
    )
    bounded = Lock("shop", "staging", OTHER.id, OTHER.name, "", 1_800_000_000.0, 1_800_007_200.0)
    assert tell_lock(bounded, 1_800_000_060.0) == (
        "shop/staging is locked by other since 2027-01-15 08:00 UTC (1 min), until 2027-01-15 10:00 UTC. "
        "other or an admin can release it: `unlock shop staging`."
    )
