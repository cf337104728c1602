"""The matrix of roles and commands, through the front door."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from deploybot import App, Card, Context, Environment
from deploybot.command import Handler
from deploybot.domain import Action, Grant, Identity, Person, Role
from deploybot.ports import Tables
from tests.dispatch.conftest import made
from tests.kit.command_bot import SETTINGS, STRANGER, CommandBot, open_command_bot

# The matrix, through the front door


SINGLE = [
    Grant(0, role, app, environment)
    for role, app, environment in itertools.product(Role, ("*", "shop", "blog"), ("*", "staging", "production"))
]


GRANTS = [(), *((grant,) for grant in SINGLE), *zip(SINGLE[:27], SINGLE[9:], strict=False)]
PROBES = {
    Action.VIEW: "look {app} {environment}",
    Action.DEPLOY: "put {app} {environment}",
    Action.APPROVE: "bless {app} {environment}",
    Action.ADMIN: "rule {app} {environment}",
}


async def test_matrix_through_the_front_door(figure: Callable[[str], None]) -> None:
    """Every role, app, environment and action, typed, mentioned and pressed, in a channel and in private."""
    ran: list[str] = []

    async def probe(_: Context, app: App, env: Environment) -> Card | None:
        ran.append(f"{app.name}/{env.name}")
        return Card(title="ran")

    commands = [
        made(usage.format(app="<app>", environment="<env>"), _probe(probe), needs=action)
        for action, usage in PROBES.items()
    ]
    cells = wrong = 0
    async with open_command_bot(*commands) as bot:
        bot.answer_at_once()
        people = [await _hire(bot, f"p{number}", grants) for number, grants in enumerate(GRANTS)]
        ways = [*itertools.product(("{}", "/{}", "!{}", "@deploybot {}"), (True, False))]
        places = [("shop", "staging"), ("shop", "production"), ("blog", "live"), ("wiki", "test"), ("wiki", "live")]
        for (who, grants), (app, environment), (action, usage), (way, private) in itertools.product(
            [*people, (STRANGER, ())], places, PROBES.items(), ways
        ):
            ran.clear()
            text = way.format(usage.format(app=app, environment=environment))
            card = await bot.maybe(text, who, private=private)
            assert card is not None
            assert "broke" not in card.title
            cells += 1
            wrong += (ran == [f"{app}/{environment}"]) is not _expected(grants, action, app, environment)
    figure(f"{wrong} of {cells} cells wrong")
    assert cells == 65 * 5 * 4 * 8
    assert wrong == 0


def _probe(handler: Handler) -> Handler:
    async def probe(ctx: Context, app: App, env: Environment) -> Card | None:
        return await handler(ctx, app, env)

    return probe


def _expected(grants: tuple[Grant, ...], action: Action, app: str, environment: str) -> bool:
    least = {"view": "viewer deployer approver admin", "deploy": "deployer approver admin"}
    roles = least.get(action, "approver admin" if action == "approve" else "admin").split()
    return any(
        grant.role in roles and grant.app in {"*", app} and grant.environment in {"*", environment} for grant in grants
    )


async def _hire(bot: CommandBot, name: str, grants: tuple[Grant, ...]) -> tuple[str, tuple[Grant, ...]]:
    def hire(tables: Tables) -> Person:
        person = tables.people.add(name, Identity("console", f"5{name[1:]}"))
        for grant in grants:
            tables.people.grant(person.id, grant.role, grant.app, grant.environment)
        return person

    await bot.store.write(hire)
    return f"5{name[1:]}", grants


def test_the_world_is_as_the_tests_think() -> None:
    assert [*SETTINGS.apps] == ["shop", "blog", "wiki"]
