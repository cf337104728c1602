"""Pickers: what a bare command lacks is offered step by step, to whoever may see it, and nothing runs before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from deploybot.card import Button
from deploybot.command_loader import load
from deploybot.errors import PickError, Unreachable, UserError
from deploybot.parsing import Call, parse, read_command, with_number, with_release
from tests.kit.command_bot import EVERYTHING, SETTINGS, V1, CommandBot, open_command_bot

FORMS = {name: read_command(made) for name, made in load().items()}


def read(text: str, visible: frozenset[tuple[str, str]] = EVERYTHING) -> Call:
    return parse(FORMS, text, SETTINGS, visible)


def refusal(text: str, visible: frozenset[tuple[str, str]] = EVERYTHING) -> UserError:
    with pytest.raises(UserError) as caught:
        read(text, visible)
    return caught.value


@pytest.mark.parametrize(
    ("text", "sentence", "choices"),
    [
        ("deploy", "Which app?", ["deploy shop ?", "deploy blog ?", "deploy wiki ?"]),
        ("deploy ?", "Which app?", ["deploy shop ?", "deploy blog ?", "deploy wiki ?"]),
        (
            "DEPLOY because x",
            "Which app?",
            ["DEPLOY shop ? because x", "DEPLOY blog ? because x", "DEPLOY wiki ? because x"],
        ),
        ("deploy shop ?", "Which environment of shop?", ["deploy shop to staging ?", "deploy shop to production ?"]),
        (
            "deploy shop@v2 ?",
            "Which environment of shop?",
            ["deploy shop@v2 to staging ?", "deploy shop@v2 to production ?"],
        ),
        (
            "deploy shop --dry-run ?",
            "Which environment of shop?",
            ["deploy shop --dry-run to staging ?", "deploy shop --dry-run to production ?"],
        ),
        ("rollback wiki ?", "Which environment of wiki?", ["rollback wiki from test ?", "rollback wiki from live ?"]),
        ("run", "Which app?", ["run shop ?", "run blog ?", "run wiki ?"]),
        ("run shop ?", "Which task of shop?", ["run shop migrate ?", "run shop reindex ?"]),
        (
            "run shop migrate ?",
            "Which environment of shop?",
            ["run shop migrate staging", "run shop migrate production"],
        ),
        ("restart shop ?", "Which environment of shop?", ["restart shop staging", "restart shop production"]),
        ("unlock wiki ?", "Which environment of wiki?", ["unlock wiki test", "unlock wiki live"]),
        ("lock", "Which app?", ["lock shop ?", "lock blog ?", "lock wiki ?"]),
        ("lock shop ?", "Which environment of shop?", ["lock shop staging ?", "lock shop production ?"]),
        (
            "lock wiki ? because x",
            "Which environment of wiki?",
            ["lock wiki test because x", "lock wiki live because x"],
        ),
        ("history", "Which app?", ["history shop", "history blog", "history wiki"]),
        ("logs", "Which app?", ["logs shop ?", "logs blog ?", "logs wiki ?"]),
        (
            "logs wiki ?",
            "Which environment of wiki do you mean: test, live?",
            ["logs wiki from test", "logs wiki from live"],
        ),
    ],
)
def test_what_a_command_lacks_is_offered(text: str, sentence: str, choices: list[str]) -> None:
    problem = refusal(text)
    assert isinstance(problem, PickError)
    assert (problem.sentence, [command for _, command in problem.choices]) == (sentence, choices)


@pytest.mark.parametrize(
    ("text", "read_as", "asks"),
    [
        ("deploy blog ?", "deploy blog to live", True),
        ("deploy shop to staging ?", "deploy shop to staging", True),
        ("rollback shop from staging ?", "rollback shop from staging", True),
        ("restart blog ?", "restart blog live", False),
        ("logs shop ?", "logs shop", False),
        ("diff shop ?", "diff shop", False),
        ("deploy shop", "deploy shop", False),
    ],
)
def test_what_needs_no_question_is_filled_in(text: str, read_as: str, asks: bool) -> None:
    call = read(text)
    assert (call.text, call.asks) == (read_as, asks)


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("rollback shop", True),
        ("Rollback SHOP because x", True),
        ("rollback shop production", False),
        ("rollback shop to v1", False),
        ("rollback shop --dry-run", False),
        ("rollback shop --break-glass because x", False),
        ("rollback shop code 123456", False),
        ("deploy shop", False),
        ("restart shop production", False),
    ],
)
def test_a_person_who_types_only_an_app_to_roll_back_is_asked(text: str, asks: bool) -> None:
    """A script is not: no person is there to answer."""
    assert not read(text).asks
    if asks:
        with pytest.raises(PickError):
            parse(FORMS, text, SETTINGS, EVERYTHING, can_pick=True)
    else:
        assert not parse(FORMS, text, SETTINGS, EVERYTHING, can_pick=True).asks


@pytest.mark.parametrize(
    "text",
    [
        "deploy shop@v2 to staging ?",
        "restart shop staging ?",
        "history shop ?",
        "cancel #7 ?",
        "status ?",
        "lock shop staging ? because x",
    ],
)
def test_a_question_mark_without_a_question_is_not_understood(text: str) -> None:
    """`restart shop staging ?` may be a question of a person: it has to run nothing."""
    assert not isinstance(refusal(text), PickError)


def test_the_only_app_and_environment_are_taken() -> None:
    only = SETTINGS.model_copy(update={"apps": {"blog": SETTINGS.apps["blog"]}})
    for text, read_as in {
        "deploy": "deploy blog to live",
        "restart": "restart blog live",
        "logs": "logs blog",
        "history because x": "history blog because x",
    }.items():
        call = parse(FORMS, text, only, EVERYTHING)
        assert (call.text, call.app) == (read_as, SETTINGS.apps["blog"])


def test_a_change_takes_nothing_that_only_its_sender_sees_alone() -> None:
    """If a role on another app ended, the same words must not change this one."""
    blog = frozenset({("blog", "live")})
    staging = frozenset({("shop", "staging")})
    assert refusal("restart", blog).choices == (("blog", "restart blog ?"),)
    assert refusal("restart shop ?", staging).choices == (("staging", "restart shop staging"),)
    assert parse(FORMS, "logs", SETTINGS, blog).text == "logs blog"
    assert not isinstance(refusal("deploy", frozenset()), PickError)


def test_a_picker_has_few_buttons_and_says_so() -> None:
    many = {f"app{number}": SETTINGS.apps["blog"].model_copy(update={"name": f"app{number}"}) for number in range(30)}
    visible = frozenset((name, "live") for name in many)
    with pytest.raises(PickError) as caught:
        parse(FORMS, "deploy", SETTINGS.model_copy(update={"apps": many}), visible)
    assert len(caught.value.choices) == 24
    assert caught.value.hint == "24 of 30 are shown. Choose one, or type the command: `deploy shop@v1.4 to production`."


@pytest.mark.parametrize(
    ("text", "read_as", "reason"),
    [
        ("lock shop staging", "lock shop staging", True),
        ("lock shop staging ?", "lock shop staging", True),
        ("lock blog ?", "lock blog live", True),
        ("lock blog ? because x", "lock blog live because x", False),
        ("reject #7", "reject #7", True),
        ("reject #7 ?", "reject #7", True),
        ("deploy shop to staging --break-glass", "deploy shop to staging --break-glass", True),
        ("deploy shop to staging --break-glass --dry-run", "deploy shop to staging --break-glass --dry-run", False),
        ("cancel #7", "cancel #7", False),
    ],
)
def test_a_reason_that_is_needed_and_missing_is_asked_for(text: str, read_as: str, reason: bool) -> None:
    call = read(text)
    assert (call.text, call.lacks_reason, call.asks) == (read_as, reason, reason)


@pytest.mark.parametrize("text", ["approve", "reject", "cancel", "reject ?", "reject because x", "approve ?"])
def test_a_deployment_that_was_not_named_is_asked_for(text: str) -> None:
    call = read(text)
    assert (call.asks_number, call.asks, call.reason) == (True, True, "x" if "x" in text else "")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("approve", "approve #7"),
        ("cancel", "cancel #7"),
        ("reject", "reject #7 ?"),
        ("reject because x", "reject #7 because x"),
    ],
)
def test_a_number_is_put_where_it_belongs(text: str, whole: str) -> None:
    assert with_number(FORMS[text.partition(" ")[0]], text, 7) == whole


@pytest.mark.parametrize(
    ("text", "ref", "whole"),
    [
        ("deploy shop to staging", "v1", "deploy shop@v1 to staging"),
        ("deploy Shop to staging because shop", "heads/v1", "deploy shop@heads/v1 to staging because shop"),
        ('deploy "shop" to staging', "v1", "deploy shop@v1 to staging"),
        ("rollback shop from staging because x", "#41", "rollback shop from staging to #41 because x"),
    ],
)
def test_a_release_is_put_where_it_belongs(text: str, ref: str, whole: str) -> None:
    form = FORMS[text.partition(" ")[0]]
    assert with_release(form, text, "shop", ref) == whole
    assert not read(whole).asks


# Through dispatch


@pytest.fixture
async def bot() -> AsyncIterator[CommandBot]:
    async with open_command_bot() as made:
        yield made


async def test_asking_for_a_release_changes_and_keeps_nothing(bot: CommandBot) -> None:
    card = await bot.say("deploy shop to staging ?", "ben")
    assert card.title == "Which release for shop/staging?"
    assert [(one.label, one.command) for one in card.buttons] == [
        (ref, f"deploy shop@{ref} to staging") for ref in ("main", "v1.3", "v1.4")
    ]
    assert (card.ok, card.private, card.picks) == (False, True, True)
    assert bot.deployments.requests == []
    assert await bot.audit() == []


async def test_releases_are_offered_only_to_those_who_may_use_them(bot: CommandBot) -> None:
    """A viewer is refused before the repository is asked, and that is in the audit."""
    bot.releases.fails = RuntimeError("asked")
    card = await bot.say("deploy shop to staging ?", "cem")
    assert "deployer" in card.title
    assert [row.action for row in await bot.audit()] == ["denied"]


async def test_only_what_a_person_may_see_is_offered(bot: CommandBot) -> None:
    assert [one.label for one in (await bot.say("logs", "cem")).buttons] == ["shop", "wiki"]
    assert [one.label for one in (await bot.say("deploy shop ?", "cem")).buttons] == ["staging"]
    hidden = await bot.say("deploy blog ?", "cem")
    assert hidden.title == "There is no app `blog`."
    assert (await bot.say("deploy", "eve")).buttons == ()


async def test_a_rollback_without_anything_to_go_back_to_says_so(bot: CommandBot) -> None:
    card = await bot.say("rollback shop from staging ?")
    assert card.title == "There is no other release that ran well in shop/staging."
    bot.releases.good["shop", "staging"] = V1
    card = await bot.say("rollback shop from staging ?")
    assert [one.command for one in card.buttons] == ["rollback shop from staging to v1.3 --dry-run"]
    assert card.hint.endswith("To roll back at once, type `rollback shop from staging to v1.3`.")


async def test_a_repository_that_is_down_is_named(bot: CommandBot) -> None:
    bot.releases.fails = Unreachable("the repository of shop", "no answer within 30 s")
    card = await bot.say("deploy shop to staging ?")
    assert "repository of shop" in card.title
    assert bot.deployments.requests == []


@pytest.mark.parametrize("ref", ["a b", '"x"', "x y because z", "“v1”", "-x", "a@b", "ä", "#1x"])
async def test_refs_that_a_command_would_read_as_something_else_are_not_offered(bot: CommandBot, ref: str) -> None:
    bot.releases.known[ref] = V1
    bot.releases.good["shop", "staging"] = replace(V1, ref="because")
    assert (await bot.say("rollback shop from staging ?")).buttons == ()
    commands = [one.command for one in (await bot.say("deploy shop to staging ?")).buttons]
    assert commands == [f"deploy shop@{known} to staging" for known in ("main", "v1.3", "v1.4")]


@pytest.mark.parametrize("text", ["lock shop staging", "lock shop staging ?"])
async def test_a_missing_reason_is_asked_for_and_locks_nothing_before(bot: CommandBot, text: str) -> None:
    card = await bot.say(text, "ben")
    assert (card.title, card.hint) == (
        "`lock shop staging` needs a reason.",
        "Type it: `lock shop staging because …`.",
    )
    assert card.buttons == (Button("Give the reason", "lock shop staging", asks="Why?", primary=True),)
    assert (card.ok, card.private, card.picks, card.asks_reason) == (False, True, True, True)
    assert await bot.audit() == []
    card = await bot.say(f"{card.buttons[0].command} because we measure", "ben")
    assert card.title == "shop/staging is locked by ben until somebody unlocks it: “we measure”."


async def test_who_may_not_lock_is_not_asked_for_a_reason(bot: CommandBot) -> None:
    card = await bot.say("lock shop staging", "cem")
    assert "deployer" in card.title
    assert [row.action for row in await bot.audit()] == ["denied"]


async def test_a_long_command_is_cut_in_its_question_and_runs_whole(bot: CommandBot) -> None:
    text = f"deploy shop@{'v' * 190} to staging --break-glass"
    card = await bot.say(text)
    assert card.title == f"`{text[:199]}…` needs a reason."
    assert card.buttons[0].command == text


async def test_a_one_time_code_is_not_repeated_in_a_question(bot: CommandBot) -> None:
    card = await bot.say("deploy shop to staging --break-glass code 123456")
    assert (card.title, card.hint) == ("`deploy` needs a reason.", "Add `because …` at the end.")
    assert card.buttons == ()


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("approve", "No request waits for your decision."),
        ("reject", "No request waits for your decision."),
        ("cancel", "Nothing runs or waits that you may change."),
    ],
)
async def test_where_nothing_can_be_picked_it_says_so(bot: CommandBot, text: str, title: str) -> None:
    card = await bot.say(text)
    assert (card.title, card.hint) == (title, "`queue` shows what runs and what waits.")


async def test_locks_do_not_hide_what_can_be_picked(bot: CommandBot) -> None:
    await bot.say("lock shop staging because the database moves", "ana")
    card = await bot.say("deploy shop to staging ?", "ben")
    assert "lock" in card.title.lower() or card.picks
