"""Every command takes the environment as `to E`, `from E`, `in E`, `on E` or `E`. The only app may be left out."""

from __future__ import annotations

import pytest

from deploybot import Card, Context, Duration
from deploybot.errors import UserError
from deploybot.parsing import Call, Number, Ref, parse, read_command
from deploybot.settings import App, Settings
from tests.kit.command_bot import EVERYTHING, SETTINGS
from tests.parsing.reading import FORMS, PRODUCTION, SHOP, made, read, refusal

WAYS = ("to production", "from production", "in production", "on production", "production", "TO production")
COMMANDS = (
    "deploy shop@v2 {}",
    "deploy shop {} --dry-run because it is time",
    "rollback shop {}",
    "logs shop {}",
    "logs shop tail 20 {} grep error",
    "status shop {}",
    "history shop {} 5",
    "diff shop@v2 {}",
    "restart shop {}",
    "run shop migrate {}",
    "lock shop {} for 2h because it is time",
    "unlock shop {}",
    "why deploy shop@v2 {}",
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_way_means_the_same(command: str, way: str) -> None:
    found, plain = read(command.format(way)), read(command.format("production"))
    assert found.arguments == plain.arguments
    assert found.arguments["env"] == found.environment == PRODUCTION
    assert found.reason == plain.reason


@pytest.mark.parametrize(
    ("text", "env", "release"),
    [
        ("rollback shop to v1 from production", "production", Ref("v1")),
        ("rollback shop from production to v1", "production", Ref("v1")),
        ("rollback shop production to v1", "production", Ref("v1")),
        ("rollback shop to v1 production", "production", Ref("v1")),
        ("rollback shop to production", "production", None),
        ("rollback shop to production to v1", "production", Ref("v1")),
        ("rollback shop from production to staging", "production", Ref("staging")),
        ("rollback shop to staging from production", "production", Ref("staging")),
        ("rollback shop to v1", "staging", Ref("v1")),
    ],
)
def test_to_leads_to_an_environment_or_to_a_release(text: str, env: str, release: Ref | None) -> None:
    found = read(text)
    assert (found.environment, found.arguments.get("release")) == (SHOP.environments[env], release)


def test_servers_may_follow() -> None:
    server = SHOP.environments["production"].servers[0]
    for way in WAYS:
        assert read(f"deploy shop {way}/{server}").arguments["servers"] == (SETTINGS.servers[server],)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("deploy shop to to production", "There is no environment `to` of shop."),
        ("deploy shop production staging", "I do not understand `staging`."),
        ("deploy shop to production to staging", "`to` appears twice."),
        ("deploy shop from prod", "did you mean `deploy shop to production`?"),
        ("status shop from prod", "did you mean `status shop production`?"),
        ("deploy shop in nowhere", "There is no environment `nowhere` of shop."),
        ("deploy shop in 2h", "did you mean `deploy shop --in 2h`?"),
        ("history shop on nowhere", "There is no environment `nowhere` of shop."),
        ("lock shop to because x", "There is no environment `to` of shop."),
        ("deploy shop 'to' production", "I do not understand `to`"),
    ],
)
def test_what_names_no_environment(text: str, says: str) -> None:
    assert says in refusal(text).sentence


def test_an_environment_that_one_may_not_see_is_unknown() -> None:
    staging = frozenset({("shop", "staging")})
    for way in WAYS:
        sentence = refusal(f"deploy shop {way}", staging).sentence
        assert sentence == refusal(f"deploy shop {way}".replace("production", "elsewhere")).sentence.replace(
            "elsewhere", "production"
        )


ONE = SETTINGS.model_copy(update={"apps": {"shop": SHOP}})


def read_one(text: str, settings: Settings = ONE, visible: frozenset[tuple[str, str]] = EVERYTHING) -> Call:
    return parse(FORMS, text, settings, visible)


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        ("deploy to production", "deploy shop to production"),
        ("deploy production", "deploy shop to production"),
        ("deploy @v2", "deploy shop@v2"),
        ("deploy @v2 production because it is time", "deploy shop@v2 to production because it is time"),
        ("deploy --dry-run", "deploy shop --dry-run"),
        ("rollback from production", "rollback shop from production"),
        ("rollback to v1", "rollback shop to v1"),
        ("logs tail 20", "logs shop tail 20"),
        ("logs follow", "logs shop follow"),
        ("logs 50 grep error production", "logs shop 50 grep error from production"),
        ("status production", "status shop production"),
        ("status in production", "status shop production"),
        ("history 5", "history shop 5"),
        ("diff production", "diff shop production"),
        ("diff @v2", "diff shop@v2"),
        ("restart production", "restart shop production"),
        ("run migrate", "run shop migrate"),
        ("run migrate production", "run shop migrate production"),
        ("lock production because it is time", "lock shop production because it is time"),
        ("unlock production", "unlock shop production"),
        ("why deploy", "why deploy shop"),
        ("why deploy production", "why deploy shop production"),
    ],
)
def test_the_only_app_may_be_left_out(short: str, whole: str) -> None:
    found, expected = read_one(short), read_one(whole)
    assert (found.arguments, found.reason) == (expected.arguments, expected.reason)
    assert (found.app, found.environment) == (expected.app, expected.environment)
    if not short.startswith(("why deploy", "deploy @", "diff @")):
        with pytest.raises(UserError):
            read(short)


def test_a_word_that_is_nothing_else_was_meant_as_the_app() -> None:
    for text in ("deploy shpo", "deploy shpo to production", "logs shpo", "lock shpo because x", "status shpo"):
        with pytest.raises(UserError, match="There is no app `shpo`"):
            read_one(text)


def test_a_deployment_is_no_app() -> None:
    assert read_one("logs #7 follow").arguments["app"] == Number(7)


def test_a_hidden_app_is_counted_for_what_changes_something() -> None:
    """Otherwise an expired role would give the same words another target."""
    shop = frozenset({("shop", "staging"), ("shop", "production")})
    two = SETTINGS.model_copy(update={"apps": {"shop": SHOP, "blog": SETTINGS.apps["blog"]}})
    with pytest.raises(UserError):
        read_one("deploy to production", two, shop)
    assert read_one("status production", two, shop).app == SHOP
    assert isinstance(read_one("logs follow", two, shop).app, App)


async def both(ctx: Context, apps: tuple[App, ...], env: Duration | None = None) -> Card:
    return Card(title=f"{ctx} {apps} {env}")


def test_several_apps_are_never_left_out() -> None:
    form = read_command(made("both <apps> [for <env>]", both))
    found = parse({"both": form}, "both shop for 2h", ONE, EVERYTHING)
    assert found.arguments == {"apps": (SHOP,), "env": 7200.0}
    with pytest.raises(UserError):
        parse({"both": form}, "both for 2h", ONE, EVERYTHING)
