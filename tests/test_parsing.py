"""The grammar: what is understood, and what is said, word for word, of what is not."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploybot import App, Card, Context, Deployment, Duration, Environment, Follow, Release, Role, Server, Task
from deploybot.command import Command, Handler, command
from deploybot.command_loader import load
from deploybot.domain import Kind, Plan, State
from deploybot.errors import UsageError, UserError
from deploybot.parsing import (
    LONGEST,
    Call,
    FollowName,
    Number,
    Ref,
    clean,
    complete,
    find,
    parse,
    read_command,
    split,
    strip_mention,
)
from tests.kit.command_bot import EVERYTHING, SETTINGS

COMMANDS = load()
FORMS = {name: read_command(made) for name, made in COMMANDS.items()}
SHOP = SETTINGS.apps["shop"]
PRODUCTION = SHOP.environments["production"]
STAGING = SHOP.environments["staging"]


def read(text: str, visible: frozenset[tuple[str, str]] = EVERYTHING) -> Call:
    return parse(FORMS, text, SETTINGS, visible)


def refusal(text: str, visible: frozenset[tuple[str, str]] = EVERYTHING) -> UserError:
    with pytest.raises(UserError) as caught:
        read(text, visible)
    return caught.value


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
        ("deploy shop --at 9:05", {"app": SHOP, "ref": Ref(""), "env": STAGING, "time": dt.time(9, 5)}),
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


# What is not, word for word


USAGE_DEPLOY = (
    "Usage: deploy <app>[@<ref>] [to <env>[/<servers>]] [--dry-run] [--remove-orphans] [--at <time>] "
    "[--break-glass] [code <code>]\n"
    "For example: deploy shop@v1.4 to production"
)
USAGE_LOCK = (
    "Usage: lock <app> <env> [for <duration>] because …\n"
    "For example: lock shop production for 2h because we are measuring"
)
USAGE_WHY = "Usage: why <what> <app>[@<ref>] [<env>]\nFor example: why deploy shop production"
USAGE_LOGS = (
    "Usage: logs <app> [tail] [<lines>] [follow] [since <since>] [grep <text>] [from <env>[/<server>]] [file]\n"
    "For example: logs shop tail 200 from production/web1"
)


@pytest.mark.parametrize(
    ("text", "sentence", "hint", "choice"),
    [
        (
            "deploy shpo",
            "There is no app `shpo`, did you mean `shop`?",
            "Apps: shop, blog, wiki.",
            "deploy shop",
        ),
        ("deploy nothing", "There is no app `nothing`.", "Apps: shop, blog, wiki.", ""),
        (
            "status live",
            "There is no app `live`.",
            "`live` is an environment: write the app first. Apps: shop, blog, wiki.",
            "",
        ),
        (
            "deploy shop@v2 to prod because x",
            "There is no environment `prod` of shop, did you mean `production`?",
            "Environments of shop: staging, production.",
            "deploy shop@v2 to production because x",
        ),
        (
            "logs shop from production/wbe2",
            "There is no server `wbe2` in shop/production, did you mean `web2`?",
            "Servers in shop/production: web1, web2.",
            "logs shop from production/web2",
        ),
        (
            "deploy shop to production/web1,web9",
            "There is no server `web9` in shop/production, did you mean `web2`?",
            "Servers in shop/production: web1, web2.",
            "deploy shop to production/web1,web2",
        ),
        (
            "run shop migrat",
            "There is no task `migrat` of shop, did you mean `migrate`?",
            "Tasks of shop: migrate, reindex.",
            "run shop migrate",
        ),
        (
            "run blog x",
            "There is no task `x` of blog.",
            "It has no tasks: add some to [apps.blog.tasks] of bot.toml.",
            "",
        ),
        (
            "allow @ana deploy",
            "There is no role `deploy`, did you mean `deployer`?",
            "Roles: viewer, deployer, approver, admin.",
            "allow @ana deployer",
        ),
        (
            "deply shop",
            "There is no command `deply`, did you mean `deploy`?",
            "`help` lists what I can do.",
            "deploy shop",
        ),
        ("xyzzy", "There is no command `xyzzy`.", "`help` lists what I can do.", ""),
        (
            "deploy wiki --dry-run because x",
            "Which environment of wiki do you mean: test, live?",
            "For example: deploy wiki --dry-run to test because x",
            "deploy wiki --dry-run to test because x",
        ),
        ("why deploy", "Add an app after `deploy`: shop, blog, wiki.", USAGE_WHY, ""),
        ("claim", "Add `<code>` after `claim`.", "Usage: claim <code>\nFor example: claim 7KQ2-M9XD", ""),
        ("deploy shop to", "Add an environment after `to`: staging, production.", USAGE_DEPLOY, ""),
        (
            "deploy shop production",
            "I do not understand `production`, did you mean `deploy shop to production`?",
            USAGE_DEPLOY,
            "deploy shop to production",
        ),
        (
            "deploy shop prodcution because x",
            "I do not understand `prodcution`, did you mean `deploy shop to production because x`?",
            USAGE_DEPLOY,
            "deploy shop to production because x",
        ),
        (
            "deploy shop on production",
            "I do not understand `on`, did you mean `deploy shop to production`?",
            USAGE_DEPLOY,
            "deploy shop to production",
        ),
        (
            "deploy shop v2",
            "I do not understand `v2`, did you mean `deploy shop@v2`?",
            USAGE_DEPLOY,
            "deploy shop@v2",
        ),
        (
            "deploy shop --dry",
            "I do not understand `--dry`, did you mean `deploy shop --dry-run`?",
            USAGE_DEPLOY,
            "deploy shop --dry-run",
        ),
        ("deploy shop --force", "I do not understand `--force`.", USAGE_DEPLOY, ""),
        ("deploy --force", "I do not understand `--force`.", USAGE_DEPLOY, ""),
        ("deploy shop to staging to production", "`to` appears twice.", USAGE_DEPLOY, ""),
        (
            "history shop prodution",
            "There is no environment `prodution` of shop, did you mean `production`?",
            "Environments of shop: staging, production.",
            "history shop production",
        ),
        ("deploy shop@", "A ref is missing in `shop@`.", USAGE_DEPLOY, ""),
        ("deploy @v2", "An app is missing in `@v2`.", USAGE_DEPLOY, ""),
        ("deploy shop to production/web1,", "A server is missing in `production/web1,`.", USAGE_DEPLOY, ""),
        ('deploy ""', "An app is missing in ``.", USAGE_DEPLOY, ""),
        (
            "deploy shop@-rf",
            "`-rf` is not a ref: use letters, digits and . _ / + -, and do not begin with . / + -",
            USAGE_DEPLOY,
            "",
        ),
        ("deploy shop because", "Add a reason after `because`.", USAGE_DEPLOY, ""),
        (
            "status shop in production",
            "I do not understand `in`, did you mean `status shop production`?",
            "Usage: status [<app>] [<env>]\nFor example: status",
            "status shop production",
        ),
        (
            "lock shop production because",
            "Add a reason after `because`.",
            USAGE_LOCK,
            "",
        ),
        (
            "logs shop since 5",
            "`5` is not a duration such as 90s, 15m, 2h or 1h30m or time of day such as 18:00.",
            USAGE_LOGS,
            "",
        ),
        (
            "logs shop flow",
            "I do not understand `flow`, did you mean `logs shop follow`?",
            USAGE_LOGS,
            "logs shop follow",
        ),
        (
            "logs shop error",
            "I do not understand `error`, did you mean `logs shop grep error`?",
            USAGE_LOGS,
            "logs shop grep error",
        ),
        (
            "logs shop grep x 5y",
            "`5y` is not a whole number.",
            USAGE_LOGS,
            "",
        ),
        (
            "cancel it",
            "`it` is not a deployment or followed log.",
            "Usage: cancel <what>\nFor example: cancel #42",
            "",
        ),
        ("apps please", "I do not understand `please`.", "Usage: apps", ""),
        (
            "logs shop grep “two words",
            "The quote that starts at `“two words` is not closed.",
            "Close it, or remove it: only text with spaces needs quotes.",
            "",
        ),
    ],
)
def test_refusals(text: str, sentence: str, hint: str, choice: str) -> None:
    problem = refusal(text)
    assert (problem.sentence, problem.hint) == (sentence, hint)
    assert [command for _, command in problem.choices][:1] == ([choice] if choice else [])


@pytest.mark.parametrize(
    "ref",
    ["-x", "--upload-pack=x", "a..b", "a//b", "/a", "a/", "a.lock", "a b", "ä", "a;b", "$(a)", "a@{1}", "@", "#x"],
)
def test_refs_that_git_would_misunderstand(ref: str) -> None:
    assert isinstance(refusal(f"deploy shop@{ref}"), UsageError)


def test_every_proposal_of_a_choice_is_understood() -> None:
    for text in ("deploy wiki", "deploy shpo", "deploy shop on production", "deploy shop v2", "logs shop error"):
        for _, choice in refusal(text).choices:
            read(choice)


def test_nothing_is_named_that_one_may_not_see() -> None:
    problem = refusal("deploy shpo", frozenset({("blog", "live")}))
    assert (problem.sentence, problem.hint) == ("There is no app `shpo`.", "Apps: blog.")
    assert refusal("deploy wiki", frozenset({("blog", "live")})).choices == ()
    assert refusal("deploy shop to prod", frozenset({("shop", "staging")})).hint == "Environments of shop: staging."
    assert refusal("deploy x", frozenset()).hint == ""
    blog = frozenset({("blog", "live")})
    for text in ("deploy shop to production/web9", "run shop migrate", "deploy shop"):
        assert (refusal(text, blog).sentence, refusal(text, blog).hint) == ("There is no app `shop`.", "Apps: blog.")
    staging = frozenset({("shop", "staging")})
    problem = refusal("deploy shop to production", staging)
    assert problem.sentence == "There is no environment `production` of shop."
    production = frozenset({("shop", "production")})
    assert refusal("deploy shop", production).sentence == "Which environment of shop do you mean: production?"


def test_long_words_are_cut() -> None:
    assert refusal("deploy " + "x" * 100).sentence == f"There is no app `{'x' * 39}…`."


# Before the grammar


@pytest.mark.parametrize(
    ("text", "rest", "addressed"),
    [
        ("status", "status", False),
        ("/status shop", "status shop", True),
        ("/ status", "status", True),
        ("!status", "status", True),
        ("@deploybot status", "status", True),
        ("@DeployBot: /status", "status", True),
        ("deploybot, status", "status", True),
        ("/status@deploybot shop", "status shop", True),
        ("`deploy shop`", "deploy shop", False),
        ("@deploybot", "", True),
        ("  ", "", False),
        ("deploy shop@v1", "deploy shop@v1", False),
    ],
)
def test_a_mention_is_stripped(text: str, rest: str, addressed: bool) -> None:
    found = strip_mention(text, {"deploybot"})
    assert found is not None
    assert (found.text, found.addressed) == (rest, addressed)


def test_another_bots_command() -> None:
    assert strip_mention("/status@otherbot", {"deploybot"}) is None


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x7f", "\u202e", "\u200f", "\u2066", "\u200b", "\ufeff", "\ud800"])
def test_what_cannot_be_seen(sign: str) -> None:
    with pytest.raises(UserError) as caught:
        clean(f"deploy {sign}shop")
    assert caught.value.sentence == (f"Your message has an invisible character (U+{ord(sign):04X}), so I ignored it.")
    assert caught.value.hint == "Type it again by hand, or paste it as plain text."


def test_too_long() -> None:
    assert clean("x" * LONGEST)
    with pytest.raises(UserError) as caught:
        clean("x" * (LONGEST + 1))
    assert str(caught.value) == "Your message has 4,001 characters; I read up to 4,000."
    assert caught.value.hint == "Leave out what the command does not need."


# Usage against signature


def made(usage: str, handler: Handler) -> Command:
    command(usage, needs="view")(handler)
    found = handler.__dict__["__command__"]
    assert isinstance(found, Command)
    return found


async def none(ctx: Context) -> Card | None: ...
async def app(ctx: Context, app: App) -> Card | None: ...
async def app_or_none(ctx: Context, app: App | None) -> Card | None: ...
async def env_alone(ctx: Context, env: Environment | None = None) -> Card | None: ...
async def two_apps(ctx: Context, app: App, other: App) -> Card | None: ...
async def subject(ctx: Context, app: App, number: Deployment) -> Card | None: ...
async def floating(ctx: Context, number: float) -> Card | None: ...
async def flag(ctx: Context, *, fast: bool = False) -> Card | None: ...
async def flag_without_default(ctx: Context, *, fast: bool) -> Card | None: ...
async def rest(ctx: Context, *words: str) -> Card | None: ...
async def untyped(ctx: Context, word) -> Card | None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  that is the mistake
async def no_context(app: App) -> Card | None: ...
async def nothing_at_all() -> Card | None: ...
async def server(ctx: Context, server: Server) -> Card | None: ...
async def release(ctx: Context, ref: Release) -> Card | None: ...
async def task(ctx: Context, task: Task, app: App) -> Card | None: ...
def plain(ctx: Context) -> Card | None: ...
async def unknown(ctx: Context, word: Nowhere) -> Card | None: ...  # type: ignore[name-defined]  # noqa: F821  that is the mistake


@pytest.mark.parametrize(
    ("usage", "handler", "words"),
    [
        ("go <app", none, "the usage `go <app` cannot be read"),
        ("go [a] <app>", app, "the usage `go [a] <app>` cannot be read"),
        ("go  <app>", app, "the usage `go  <app>` cannot be read"),
        ("go [to <a>] [to <b>]", none, "two groups of the usage begin with `to`"),
        ("go [because <why>]", none, "`because` needs no group"),
        ("go <app>", none, "the usage has <app>, but the function has no parameter `app`"),
        ("go", app, "the function has a parameter `app`, but the usage has no <app>"),
        ("go <app> <app>", app, "the usage has <app> more than once"),
        ("go [<app>]", app, "<app> is optional: give the parameter `app` a default, such as None"),
        ("go [<app>]", app_or_none, "the parameter `app` accepts None: make that its default"),
        ("go [<env>]", env_alone, "<env> is looked up in the app, so that must come before it"),
        ("go <app> <other>", two_apps, "a command is about one app: use that type once"),
        (
            "go <app> <number>",
            subject,
            "a deployment, a followed log or a change of grants has its app already: leave the app out",
        ),
        ("go <number>", floating, "the parameter `number` has a type that is not supported; supported are App, "),
        ("go", flag, "the parameter `fast` is a bool, but the usage has no [fast] or [--fast]"),
        (
            "go [--fast] [--slow]",
            flag,
            "the usage has [--slow], but the function has no parameter `slow: bool = False`",
        ),
        ("go [--fast]", flag_without_default, "the parameter `fast` should have a default: `fast: bool = False`"),
        ("go <words>", rest, "the parameter `words` should be a plain one that can be passed by name"),
        ("go <word>", untyped, "the parameter `word` has no type"),
        ("go <app>", no_context, "the first parameter should be `ctx: Context`"),
        ("go", nothing_at_all, "the first parameter should be `ctx: Context`"),
        ("go <server>", server, "<server> is looked up in the environment, so that must come before it"),
        ("go <ref>", release, "a release belongs to an app: the usage needs one"),
        ("go <task> <app>", task, "<task> is looked up in the app, so that must come before it"),
        ("go", plain, "the function should be an `async def`"),
        (
            "go <word>",
            unknown,
            "a type of the function is unknown (name 'Nowhere' is not defined): import it from deploybot",
        ),
    ],
)
def test_commands_that_do_not_fit(usage: str, handler: Handler, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are compared
        read_command(made(usage, handler))
    assert str(caught.value).startswith(words)


def test_unknown_needs() -> None:
    with pytest.raises(
        ValueError, match=r"^`needs` should be one of anyone, view, deploy, approve, admin, got 'root'$"
    ):
        command("go", needs="root")


async def glued(ctx: Context, app: App, env: Environment, many: tuple[int, ...] = ()) -> Card | None: ...
async def union(ctx: Context, what: Deployment | Follow | int) -> Card | None: ...
async def wait(ctx: Context, time: Duration) -> Card | None: ...


def test_required_glue_and_words() -> None:
    forms = {"go": read_command(made("go now <app>/<env> [<many>]", glued))}
    call = parse(forms, "go now shop/production 1,2,1", SETTINGS, EVERYTHING)
    assert call.arguments == {"app": SHOP, "env": PRODUCTION, "many": (1, 2)}
    for text, sentence in {
        "go now shop": "Add `/` and an environment after `shop`.",
        "go shop": "Add `now` after `go`.",
        "go": "Add `now` after `go`.",
    }.items():
        with pytest.raises(UsageError) as caught:
            parse(forms, text, SETTINGS, EVERYTHING)
        assert caught.value.sentence == sentence


def test_unions_take_the_first_that_fits() -> None:
    forms = {"go": read_command(made("go <what>", union)), "wait": read_command(made("wait <time>", wait))}
    assert parse(forms, "go log-7", SETTINGS, EVERYTHING).arguments == {"what": FollowName("log-7")}
    assert parse(forms, "wait 90S", SETTINGS, EVERYTHING).arguments == {"time": 90.0}


async def loose(
    ctx: Context,
    app: App | None = None,
    env: Environment | None = None,
    server: Server | None = None,
    task: Task | None = None,
) -> Card | None: ...
async def somewhere(ctx: Context, *, app: App | None = None, env: Environment) -> Card | None: ...


def test_what_leans_on_something_that_was_not_said() -> None:
    forms = {
        "go": read_command(made("go [<app>] [<env>] [<server>] [<task>]", loose)),
        "be": read_command(made("be [<app>] [<env>]", somewhere)),
    }
    call = parse(forms, "go shop migrate staging web1", SETTINGS, EVERYTHING)
    assert [*call.arguments] == ["app", "task", "env", "server"]
    for text, sentence in {
        "go web1": "There is no app `web1`.",
        "go shop web1": "There is no environment `web1` of shop.",
        "be": "Add an app after `be`.",
    }.items():
        with pytest.raises(UserError) as caught:
            parse(forms, text, SETTINGS, EVERYTHING)
        assert caught.value.sentence == sentence


# While it is typed


@pytest.mark.parametrize(
    ("line", "count", "words"),
    [
        ("", 0, (*COMMANDS,)),
        ("de", 2, ("deny", "deploy")),
        ("Dep", 3, ("deploy",)),
        ("deploy ", 0, ("shop", "blog", "wiki")),
        ("deploy s", 1, ("shop",)),
        ("deploy shop", 4, ("shop",)),
        ("deploy shop@", 0, (":current", ":previous")),
        ("deploy shop@:p", 2, (":previous",)),
        ("deploy shop@v1", 0, ()),
        ("deploy nothing@v1", 0, ()),
        ("deploy shop ", 0, ("to", "--dry-run", "--remove-orphans", "--at", "--break-glass", "code")),
        ("deploy shop -", 1, ("--dry-run", "--remove-orphans", "--at", "--break-glass")),
        ("deploy shop to ", 0, ("staging", "production")),
        ("deploy shop to prod", 4, ("production",)),
        ("deploy shop to production/", 0, ("web1", "web2")),
        ("deploy shop to production/web1,", 0, ("web1", "web2")),
        ("deploy shop to production/web1,web2", 4, ("web2",)),
        ("deploy shop to production --", 2, ("--dry-run", "--remove-orphans", "--at", "--break-glass")),
        ("status ", 0, ("shop", "blog", "wiki")),
        ("status shop ", 0, ("staging", "production")),
        ("run shop ", 0, ("migrate", "reindex")),
        ("run shop migrate p", 1, ("production",)),
        ("allow @ana d", 1, ("deployer",)),
        ("allow @ana deployer ", 0, ("on", "for", "code")),
        ("allow @ana deployer on shop/st", 2, ("staging",)),
        ("logs shop from ", 0, ("staging", "production")),
        ("logs shop t", 1, ("tail",)),
        ("deploy shop nonsense ", 0, ()),
        ("deploy shop because ", 0, ()),
        ("deploy shop because st", 0, ()),
        ('logs shop grep "two ', 0, ()),
        ("xyzzy ", 0, ()),
        ("cancel ", 0, ()),
    ],
)
def test_complete(line: str, count: int, words: tuple[str, ...]) -> None:
    assert complete(FORMS, line, SETTINGS, EVERYTHING) == (count, words)


def deployed(number: int, state: State, environment: str = "production", *, asked: bool = False) -> Deployment:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment=environment, release=Release.of_commit("a" * 40), servers=())
    return Deployment(number=number, plan=plan, state=state, requester=1, requester_name="ana", needs_approval=asked)


@pytest.mark.parametrize(
    ("line", "count", "words"),
    [
        ("cancel ", 0, ("#44", "#43")),
        ("cancel #4", 2, ("#44", "#43")),
        ("cancel 44", 2, ("#44",)),
        ("cancel 7", 0, ()),
        ("approve ", 0, ("#44",)),
        ("reject #", 1, ("#44",)),
        ("rollback shop to #", 1, ("#41", "#40")),
        ("rollback shop from production to ", 0, (":current", ":previous", "#41")),
        ("deploy shop@#4", 2, ("#41", "#40")),
        ("deploy wiki@#", 0, ()),
    ],
)
def test_numbers_are_proposed_where_they_make_sense(line: str, count: int, words: tuple[str, ...]) -> None:
    there = [
        deployed(44, State.WAITING, asked=True),
        deployed(43, State.RUNNING),
        deployed(42, State.FAILED),
        deployed(41, State.SUCCEEDED),
        deployed(40, State.SUCCEEDED, "staging"),
    ]
    assert complete(FORMS, line, SETTINGS, EVERYTHING, there) == (count, words)
    shown = complete(FORMS, line, SETTINGS, frozenset({("wiki", "one")}), there)[1]
    assert not any(word.startswith("#") for word in shown)


def test_completion_shows_nothing_that_one_may_not_see() -> None:
    visible = frozenset({("shop", "staging")})
    assert complete(FORMS, "deploy ", SETTINGS, visible) == (0, ("shop",))
    assert complete(FORMS, "deploy shop to ", SETTINGS, visible) == (0, ("staging",))
    assert complete(FORMS, "deploy shop to production/", SETTINGS, visible) == (0, ())
    assert complete(FORMS, "run blog ", SETTINGS, visible) == (0, ())


# Whatever comes


WORDS: Sequence[str] = sorted(
    {word for made in COMMANDS.values() for example in made.examples for word in (example, *example.split())}
    | {*SETTINGS.apps, "to", "from", "on", "in", "because", "--", "—", '"', "'", "“", "@", "/", ",", "#", ":current"}
    | {"shop@", "@v2", "production/", "/web1", ",,", "shop/production", "#0", "999999999999", "-", "\u202e", "\x00"}
)


@settings(max_examples=int(os.environ.get("N", "600")), deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=12)), max_size=9), st.sampled_from(["", " "]))
def test_anything_is_understood_or_refused(words: list[str], glue: str) -> None:
    """Neither another exception, nor a value that was not checked."""
    text = (glue or " ").join(words)
    for message in (text, f"{next(iter(COMMANDS))} {text}"):
        count, proposed = complete(FORMS, message, SETTINGS, EVERYTHING)
        assert all(word.lower().startswith(message[len(message) - count :].lower()) for word in proposed)
        try:
            addressed = strip_mention(message, {"deploybot"})
            call = read(clean(addressed.text if addressed else ""))
        except UserError:
            continue
        assert call.command.name in COMMANDS
        for value in call.arguments.values():
            if isinstance(value, Ref) and value.text:
                assert value.text.isascii()
                assert not value.text.startswith("-")


@settings(max_examples=int(os.environ.get("N", "300")), deadline=None)
@given(st.text(max_size=60))
def test_splitting_loses_nothing(text: str) -> None:
    try:
        words = split(text)
    except UserError:
        return
    bare = [token for token in words.tokens if not token.quoted]
    assert all(token.text and not any(sign.isspace() for sign in token.text) for token in bare)
    assert all(text[token.start : token.end].strip() for token in words.tokens)


def test_find() -> None:
    assert find(FORMS, "Deploy shop") is FORMS["deploy"]
    assert find(FORMS, "") is None
    assert find(FORMS, "hello deploy") is None


# What needs approvals is never meant without its name


def test_what_needs_approvals_is_never_meant_by_what_changes_something() -> None:
    """Looking at it is another thing: there the app's only environment may be meant."""
    blog = SETTINGS.apps["blog"]
    live = blog.environments["live"].model_copy(update={"approvals": 1})
    guarded = SETTINGS.model_copy(
        update={"apps": {**SETTINGS.apps, "blog": blog.model_copy(update={"environments": {"live": live}})}}
    )
    assert parse(FORMS, "logs blog", guarded, EVERYTHING).environment == live
    assert parse(FORMS, "deploy blog to live", guarded, EVERYTHING).environment == live
    with pytest.raises(UserError) as caught:
        parse(FORMS, "deploy blog", guarded, EVERYTHING)
    assert caught.value.sentence == "Which environment of blog do you mean: live?"
    assert caught.value.choices == (("live", "deploy blog to live"),)


def test_a_default_is_meant_beside_what_needs_approvals() -> None:
    production = PRODUCTION.model_copy(update={"approvals": 1})
    places = {"staging": STAGING, "production": production}
    guarded = SETTINGS.model_copy(update={"apps": {"shop": SHOP.model_copy(update={"environments": places})}})
    assert parse(FORMS, "deploy shop", guarded, EVERYTHING).environment == STAGING


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
