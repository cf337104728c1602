"""Who may what: role, action, app, environment, way in and kind of stranger, by the rows of a real database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deploybot.deployments.policy_lookup import PolicyQuestions
from deploybot.domain import Action, Identity, Role
from deploybot.policy import decide
from deploybot.ports import Tables
from tests.approvals.conftest import open_approval_bot

SCOPES = (("shop", "production"), ("shop", "*"), ("*", "*"), ("blog", "*"))
AskedTarget = tuple[str | None, str | None]
PRODUCTION = ("shop", "production")
TARGETS: tuple[AskedTarget, ...] = (PRODUCTION, ("shop", "staging"), ("blog", "live"), ("*", "*"), (None, None))
COMMANDS = (
    (Action.VIEW, "status"),
    (Action.DEPLOY, "deploy"),
    (Action.DEPLOY, "cancel"),
    (Action.APPROVE, "approve"),
    (Action.APPROVE, "reject"),
    (Action.ADMIN, "allow"),
    (Action.ANYONE, "help"),
    (Action.ANYONE, "a-plugin"),
)
PLATFORMS = ("console", "slack", "telegram")


@dataclass(frozen=True)
class Somebody:
    """A person as the test knows them; their identities are made of their number."""

    number: int
    role: Role | None
    scope: tuple[str, str]

    @property
    def name(self) -> str:
        return f"p{self.number}"

    def identity(self, platform: str) -> Identity:
        if platform == "slack":
            return Identity("slack", f"U{self.number}", "T1")
        return Identity(platform, f"{self.number}")

    def others(self, platform: str) -> Iterator[Identity]:
        """Identities that look like theirs and are nobody's: a longer id, a name, of elsewhere."""
        true = self.identity(platform)
        yield Identity(platform, f"{true.user}9", true.team)
        yield Identity(platform, self.name, true.team)
        yield Identity(platform, true.user, "T2")
        yield Identity("telegram" if platform != "telegram" else "slack", f"U{self.number}")


PEOPLE = [
    Somebody(7000 + number, role, scope)
    for number, (role, scope) in enumerate(itertools.product((None, *Role), SCOPES))
]
REQUESTER = next(one for one in PEOPLE if one.role is Role.ADMIN and one.scope == ("*", "*"))


def expected(who: Somebody | None, action: Action, command: str, target: AskedTarget) -> bool:
    """By hand, from the role and its scope."""
    if action is Action.ANYONE:
        return command == "help"
    if who is None or who.role is None:
        return False
    app, environment = target
    inside = (app is None or who.scope[0] in {"*", app}) and (environment is None or who.scope[1] in {"*", environment})
    least = {"view": "viewer", "deploy": "deployer", "approve": "approver", "admin": "admin"}[action.value]
    order = ["viewer", "deployer", "approver", "admin"]
    if command == "approve" and target == PRODUCTION and who is REQUESTER:
        return False
    return inside and order.index(who.role.value) >= order.index(least)


@dataclass
class Count:
    """Asks the policy about everybody, inside a transaction, and keeps what was wrong."""

    questions: PolicyQuestions
    number: int
    cells: int = 0
    wrong: list[str] = field(default_factory=list)

    def cell(
        self, tables: Tables, who: Identity, right: Somebody | None, *, ask: tuple[Action, str], target: AskedTarget
    ) -> None:
        """One question."""
        action, command = ask
        about = self.number if command == "approve" and target == PRODUCTION else 0
        question = self.questions.ask(
            tables, who, action=action, command=command, app=target[0], environment=target[1], number=about
        )
        self.cells += 1
        if decide(question).allowed is not expected(right, action, command, target):
            self.wrong.append(f"{who} {command} {target}")

    def everywhere(self, tables: Tables, one: Somebody, *, removed: bool = False) -> None:
        """Somebody themselves, in every chat; and, while they are there, who only looks like them."""
        for platform, ask, target in itertools.product(PLATFORMS, COMMANDS, TARGETS):
            who = Somebody(one.number, None, one.scope) if removed else one
            self.cell(tables, one.identity(platform), who, ask=ask, target=target)
            for other in () if removed else one.others(platform):
                self.cell(tables, other, None, ask=ask, target=target)


def hire(tables: Tables) -> None:
    for one in PEOPLE:
        person = tables.people.add(one.name)
        for platform in PLATFORMS:
            tables.people.link(person.id, one.identity(platform))
        if one.role is not None:
            tables.people.grant(person.id, one.role, *one.scope)


async def test_cells(tmp_path: Path, figure: Callable[[str], None]) -> None:
    async with open_approval_bot(tmp_path) as bot:
        await bot.store.write(hire)
        number = await bot.ask("deploy shop@v2 to production", str(REQUESTER.number))
        count = Count(PolicyQuestions(bot.settings, bot.clock), number)
        for one in PEOPLE:
            await bot.store.read(partial(count.everywhere, one=one))
        # Whoever is removed may do nothing, at once and everywhere.
        removed = [one for one in PEOPLE if one is not REQUESTER and one.role is not None]
        for one in removed:
            await bot.say(f"deny @{one.name}", "dia")
        for one in removed:
            await bot.store.read(partial(count.everywhere, one=one, removed=True))
    figure(f"{len(count.wrong)} of {count.cells} wrong")
    assert count.cells >= 10_000
    assert count.wrong == []
