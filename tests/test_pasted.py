"""What people paste and what phones type: marks, quotes, dashes, blanks, links, full stops, the bot's name inside."""

from __future__ import annotations

import pytest

from deploybot.errors import UserError
from deploybot.parsing import Ref, strip_mention
from tests.kit.command_bot import CommandBot, open_command_bot
from tests.parsing.reading import read, refusal

NAMES = ("deploybot",)


@pytest.mark.parametrize(
    "text",
    [
        "deploy shop@v2 --dry-run",
        "`deploy shop@v2 --dry-run`",
        "```\ndeploy shop@v2 --dry-run\n```",
        "*deploy* shop@v2 --dry-run",
        "`deploy`\u00a0shop@v2 --dry-run",
        "*deploy*\n`shop@v2` --dry-run",
        "deploy shop@v2 --dry-run, because it\u2019s late",
        "**deploy shop@v2 --dry-run**",
        "_deploy shop@v2 --dry-run_",
        "“deploy shop@v2 --dry-run”",
        '"deploy shop@v2 --dry-run"',
        "\u2018deploy shop@v2 --dry-run\u2019",
        "«deploy shop@v2 --dry-run»",
        "„deploy shop@v2 --dry-run“",
        "> deploy shop@v2 --dry-run",
        "$ deploy shop@v2 --dry-run",
        "deploy `shop@v2` `--dry-run`",
        "deploy shop@`v2` --dry-run",
        "deploy *shop@v2* *--dry-run*",
        "deploy shop@v2 —dry-run",
        "deploy shop@v2 \u2013dry-run",
        "deploy shop@v2 \u2011\u2011dry-run",
        "deploy\u00a0shop@v2\u202f--dry-run",
        "  deploy\tshop@v2\n--dry-run  ",
        "deploy shop@v2 --dry-run.",
        "deploy shop@v2 --dry-run!",
        "deploy shop@[v2](https://github.com/acme/shop/tree/v2) --dry-run",
        "deploy shop@<https://github.com/acme/shop/tree/v2|v2> --dry-run",
        "[deploy](https://example.com/x) shop@v2 --dry-run",
        "@deploybot: `deploy shop@v2 --dry-run`",
        "/deploy shop@v2 --dry-run",
    ],
)
def test_what_is_pasted_is_understood(text: str) -> None:
    addressed = strip_mention(text, NAMES)
    assert addressed is not None
    call = read(addressed.text)
    assert (call.arguments["ref"], call.arguments["dry_run"]) == (Ref("v2"), True)
    assert call.environment is not None
    assert call.environment.name == "staging"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("logs shop grep error.", "text", "error."),
        ("logs shop grep `error.`", "text", "error."),
        ('logs shop grep "*error*"', "text", "*error*"),
        ("logs shop grep `two words`", "text", "two words"),
        ('logs shop grep "because"', "text", "because"),
        ('logs shop grep "a > b $ c"', "text", "a > b $ c"),
        ("approve #42.", "number", 42),
        ("history shop production 50.", "count", 50),
    ],
)
def test_a_full_stop_belongs_to_a_text_but_to_no_name(text: str, name: str, value: object) -> None:
    found = read(text).arguments[name]
    assert getattr(found, "value", found) == value


@pytest.mark.parametrize("text", ["status.", "status?", "`status`", "*status*", "status!"])
def test_a_command_alone(text: str) -> None:
    addressed = strip_mention(text, NAMES)
    assert addressed is not None
    assert addressed.text == "status"


@pytest.mark.parametrize("text", ["", "?", ".", "``", "**", '""', "“”", "> ", "*", "_"])
def test_marks_alone_are_nothing_to_stumble_over(text: str) -> None:
    addressed = strip_mention(text, NAMES)
    assert addressed is not None
    with pytest.raises(UserError):
        read(addressed.text)


@pytest.mark.parametrize("text", ["deploy wiki.", "deploy wiki. because it is done."])
def test_a_choice_comes_before_the_full_stop(text: str) -> None:
    for _, command in refusal(text).choices:
        read(command)


def test_a_reason_keeps_its_marks() -> None:
    assert read("deploy shop@v2. because *it* is `done`.").reason == "*it* is `done`."


async def answer(bot: CommandBot, text: str, *, platform: str = "telegram") -> str:
    card = await bot.maybe(text, "ana", platform=platform)
    return card.title if card else ""


async def test_the_name_of_the_bot_may_be_anywhere() -> None:
    async with open_command_bot() as bot:
        person = await bot.store.read(lambda tables: tables.people.named("ana"))
        assert person is not None
        identity = bot.incoming("", "ana", platform="telegram").identity
        await bot.store.write(lambda tables: tables.people.link(person.id, identity))
        for text in ("please @deploybot status", "hey @deploybot, `status`", "status @deploybot", "@deploybot status."):
            assert await answer(bot, text) == "board", text
        for text in (
            "I like @deploybot very much",
            "deploy is what @otherbot does",
            "please ask for it because @deploybot status",
            "mail status@deploybot.example status",
        ):
            assert await answer(bot, text) != "board", text


async def test_a_cited_command_is_taken_only_where_it_is_clearly_for_the_bot() -> None:
    """In a group, `> deploy shop` is what somebody else wrote."""
    async with open_command_bot() as bot:
        person = await bot.store.read(lambda tables: tables.people.named("ana"))
        assert person is not None
        identity = bot.incoming("", "ana", platform="telegram").identity
        await bot.store.write(lambda tables: tables.people.link(person.id, identity))
        for text in ("> deploy shop", "“deploy shop”", "$ deploy shop", "'deploy' shop"):
            assert await bot.maybe(text, "ana", platform="telegram") is None, text
            assert await bot.maybe(text, "ana", platform="telegram", private=True) is not None, text
        assert len(bot.deployments.requests) == 4
