"""A message becomes typed arguments: every example, quotes and dashes of phones, reasons, codes."""

from __future__ import annotations

import datetime as dt

import pytest

from deploybot import App, Card, Context, Day, Deployment, Environment, Role
from deploybot.errors import UsageError
from deploybot.parsing import (
    FollowName,
    Number,
    Ref,
    parse,
    read_command,
)
from tests.kit.command_bot import EVERYTHING, SETTINGS
from tests.parsing.reading import COMMANDS, PRODUCTION, SHOP, STAGING, made, read, refusal

# What is understood


@pytest.mark.parametrize("text", [example for made in COMMANDS.values() for example in made.examples])
def test_every_example_is_understood(text: str) -> None:
    assert read(text).command.name == text.partition(" ")[0]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("deploy shop", {"app": SHOP, "ref": Ref(""), "env": STAGING}),
        ("deploy shop@v1.4 to production", {"app": SHOP, "ref": Ref("v1.4"), "env": PRODUCTION}),
        ("deploy shop@feature/cart", {"app": SHOP, "ref": Ref("feature/cart"), "env": STAGING}),
        ("deploy shop@:previous", {"app": SHOP, "ref": Ref(":previous"), "env": STAGING}),
        ("deploy shop@#41", {"app": SHOP, "ref": Ref("#41", 41), "env": STAGING}),
        ("deploy shop --dry-run", {"app": SHOP, "ref": Ref(""), "env": STAGING, "dry_run": True}),
        ("deploy shop --at 9:05", {"app": SHOP, "ref": Ref(""), "env": STAGING, "when": dt.time(9, 5)}),
        (
            "deploy shop --at Mon 08:00",
            {"app": SHOP, "ref": Ref(""), "env": STAGING, "when": Day(weekday=0), "time": dt.time(8)},
        ),
        ("deploy shop --at 24:00", None),
        ("deploy shop --at 6pm", None),
        ("deploy --dry-run", None),
        ("rollback shop to #41 from production", {"app": SHOP, "release": Ref("#41", 41), "env": PRODUCTION}),
        ("rollback shop", {"app": SHOP, "env": STAGING}),
        ("logs shop", {"app": SHOP, "env": STAGING}),
        ("logs shop tail 200", {"app": SHOP, "env": STAGING, "tail": True, "lines": 200}),
        ("logs shop 200 follow", {"app": SHOP, "env": STAGING, "lines": 200, "follow": True}),
        ("logs shop since 1h30m", {"app": SHOP, "env": STAGING, "since": 5400.0}),
        ('logs shop grep "payment failed"', {"app": SHOP, "env": STAGING, "text": "payment failed"}),
        ("logs shop grep follow", {"app": SHOP, "env": STAGING, "text": "follow"}),
        ('logs shop grep "because"', {"app": SHOP, "env": STAGING, "text": "because"}),
        ("logs shop grep '--help'", {"app": SHOP, "env": STAGING, "text": "--help"}),
        ("status", {}),
        ("status shop", {"app": SHOP}),
        ("status shop production", {"app": SHOP, "env": PRODUCTION}),
        ("history shop 5 production", {"app": SHOP, "env": PRODUCTION, "count": 5}),
        ("diff shop@v2 production", {"app": SHOP, "ref": Ref("v2"), "env": PRODUCTION}),
        ("restart blog", {"app": SETTINGS.apps["blog"], "env": SETTINGS.apps["blog"].environments["live"]}),
        ("run shop migrate production", {"app": SHOP, "task": "migrate", "env": PRODUCTION}),
        ("allow @ana deployer", {"who": "@ana", "role": Role.DEPLOYER}),
        ("allow @ana deployer on shop", {"who": "@ana", "role": Role.DEPLOYER, "app": SHOP}),
        (
            "allow slack:T1/U2:ana admin on shop/staging",
            {"who": "slack:T1/U2:ana", "role": Role.ADMIN, "app": SHOP, "env": STAGING},
        ),
        ("cancel #42", {"what": Number(42)}),
        ("cancel 42", {"what": Number(42)}),
        ("cancel log-3", {"what": FollowName("log-3")}),
        ("help deploy", {"topic": "deploy"}),
        ("DEPLOY Shop TO Production", {"app": SHOP, "ref": Ref(""), "env": PRODUCTION}),
        ("deploy  shop\n to\tproduction", {"app": SHOP, "ref": Ref(""), "env": PRODUCTION}),
        ("deploy\u00a0shop", {"app": SHOP, "ref": Ref(""), "env": STAGING}),
    ],
)
def test_arguments(text: str, arguments: dict[str, object] | None) -> None:
    if arguments is None:
        assert isinstance(refusal(text), UsageError)
    else:
        assert read(text).arguments == arguments


def test_servers() -> None:
    call = read("deploy shop to production/web2,web1,web2")
    servers = call.arguments["servers"]
    assert isinstance(servers, tuple)
    assert servers == (SETTINGS.servers["web2"], SETTINGS.servers["web1"])


def test_lock_for_two_hours() -> None:
    call = read("lock shop production for 2h because we  measure\n it")
    assert call.arguments == {"app": SHOP, "env": PRODUCTION, "duration": 7200.0}
    assert call.reason == "we measure it"


@pytest.mark.parametrize(
    "text",
    [
        "deploy shop —dry-run",
        "deploy shop \u2013dry-run",
        "deploy shop --dry\u2011run",
        "deploy shop \u2010\u2010dry\u2010run",
    ],
)
def test_dashes_of_phones(text: str) -> None:
    assert read(text).arguments["dry_run"] is True


@pytest.mark.parametrize("quotes", ["“”", "„“", "«»", "\u2018\u2019", '""', "''", "``", '“"'])
def test_quotes_of_phones(quotes: str) -> None:
    assert read(f"logs shop grep {quotes[0]}two words{quotes[1]} 7").arguments["text"] == "two words"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("deploy shop because the cart", "the cart"),
        ("deploy shop because: the “cart” isn't", "the “cart” isn't"),
        ("deploy shop Because because", "because"),
        ("deploy shop because 👩‍💻 says so", "👩‍💻 says so"),
        ("deploy shop", ""),
    ],
)
def test_reason(text: str, reason: str) -> None:
    assert read(text).reason == reason


def test_everybody_may_give_a_reason() -> None:
    assert read("status because I wonder").reason == "I wonder"


# One-time codes


def test_what_is_kept_of_a_message_holds_no_code() -> None:
    assert read("approve #42 code 123456 because 123456").kept == "approve #42 code … because …"
    assert read("approve #42").kept == "approve #42"
    assert refusal("approve #42 code 12345").sentence == "A one-time code is six digits."


# An app or a deployment


def test_what_takes_an_app_or_a_deployment_takes_its_environment_from_either() -> None:
    async def show(ctx: Context, app: App | Deployment, env: Environment | None) -> Card | None: ...

    form = read_command(made("show <app> [<env>]", show))
    forms = {"show": form}
    call = parse(forms, "show #42", SETTINGS, EVERYTHING)
    assert call.arguments == {"app": Number(42), "env": None}
    assert (call.app, call.environment) == (None, None)
    assert parse(forms, "show shop production", SETTINGS, EVERYTHING).environment == PRODUCTION
    assert parse(forms, "show shop", SETTINGS, EVERYTHING).environment == STAGING


def test_an_environment_that_is_none_needs_a_deployment() -> None:
    async def plain(ctx: Context, app: App, env: Environment | None) -> Card | None: ...

    async def either(ctx: Context, app: App | Deployment, env: Environment) -> Card | None: ...

    with pytest.raises(ValueError, match="accepts None: make that its default"):
        read_command(made("show <app> [<env>]", plain))
    with pytest.raises(ValueError, match=r"write `env: Environment \| None`"):
        read_command(made("show <app> [<env>]", either))
