"""A command's usage and signature are compared at the start, and a command that does not fit is refused."""

from __future__ import annotations

import pytest

from deploybot import App, Card, Context, Deployment, Duration, Environment, Follow, Server, Task
from deploybot.command import Handler, command
from deploybot.errors import UsageError, UserError
from deploybot.parsing import (
    FollowName,
    parse,
    read_command,
)
from tests.kit.command_bot import EVERYTHING, SETTINGS
from tests.parsing.reading import PRODUCTION, SHOP, app, made, plain, release, rest, task


async def none(ctx: Context) -> Card | None: ...


async def app_or_none(ctx: Context, app: App | None) -> Card | None: ...


async def env_alone(ctx: Context, env: Environment | None = None) -> Card | None: ...


async def two_apps(ctx: Context, app: App, other: App) -> Card | None: ...


async def subject(ctx: Context, app: App, number: Deployment) -> Card | None: ...


async def floating(ctx: Context, number: float) -> Card | None: ...


async def flag(ctx: Context, *, fast: bool = False) -> Card | None: ...


async def flag_without_default(ctx: Context, *, fast: bool) -> Card | None: ...


async def untyped(ctx: Context, word) -> Card | None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  that is the mistake


async def no_context(app: App) -> Card | None: ...


async def nothing_at_all() -> Card | None: ...


async def server(ctx: Context, server: Server) -> Card | None: ...


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
