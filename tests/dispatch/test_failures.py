"""What a failure says, how long a command may take, and what happens without the database."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from deploybot import Card, Context, Line, Tone
from deploybot.command import Handler
from deploybot.dispatch import error_card
from deploybot.errors import Denied, EngineError, Locked, StepFailed, StoreError, Unhealthy, Unreachable, UserError
from deploybot.masking import Redactor
from tests.dispatch.conftest import SECRET, SORRY, made, rows
from tests.kit.command_bot import STRANGER, V1, CommandBot, open_command_bot

# What goes wrong


BROKEN = [
    (
        Unreachable("web1", "no route", hint="Is it up?"),
        "web1 cannot be reached: no route.",
        "Is it up?",
        (),
    ),
    (
        StepFailed("web1", "switch", 3, ("last", "lines")),
        "Step `switch` failed on web1: lines (exit code 3).",
        "",
        ("last", "lines"),
    ),
    (Unhealthy("web1", "HTTP 500", ("tail",)), "Not healthy on web1: HTTP 500.", "", ("tail",)),
    (EngineError("the Engine on web1 said no"), "The Engine on web1 said no.", "", ()),
]


@pytest.mark.parametrize(("error", "title", "hint", "code"), BROKEN, ids=[type(row[0]).__name__ for row in BROKEN])
async def test_failures_say_what_runs_now(
    bot: CommandBot, error: Exception, title: str, hint: str, code: tuple[str, ...]
) -> None:
    bot.deployments.fails = error
    bot.releases.runs["shop", "staging"] = V1
    card = await bot.say("deploy shop")
    assert (card.title, card.hint, card.code) == (title, hint, code)
    assert card.lines == (Line("runs there now", "v1.3 (1111111111), as far as I know"),)
    assert (card.tone, card.ok) == (Tone.BAD, False)
    assert rows(await bot.audit())[-1][3] == f"deploy shop: {title}"


async def test_what_runs_now_may_be_unknown(bot: CommandBot) -> None:
    bot.deployments.fails = Unreachable("web1", "no route")
    assert (await bot.say("restart shop")).lines == (Line("runs there now", "unknown"),)
    bot.releases.fails = StoreError("the database is gone")
    card = await bot.say("diff shop@v1.4")
    assert card.title == "The database is gone."
    assert card.lines == (Line("runs there now", "unknown"),)


async def test_unexpected_errors_are_not_shown(bot: CommandBot, caplog: pytest.LogCaptureFixture) -> None:
    bot.deployments.fails = RuntimeError(f"boom with {SECRET}")
    with caplog.at_level(logging.DEBUG):
        card = await bot.say("deploy shop")
    match = re.fullmatch(r"Something broke on my side, id ([0-9a-f]{4})\.", card.title)
    assert match
    assert card.hint == "Search the bot's log for this id."
    assert f"id {match[1]}" in caplog.text
    assert "RuntimeError: boom with" in caplog.text
    assert SECRET not in caplog.text
    assert "boom" not in str(card)


async def test_a_command_has_a_deadline() -> None:
    async def wait(_: Context) -> Card | None:
        await asyncio.Event().wait()
        return None

    async def time_out(_: Context) -> Card | None:
        raise TimeoutError

    commands = made("wait", wait, within=0.01), made("change", _copy(wait), needs="admin", within=0.01)
    async with open_command_bot(*commands, made("clock", time_out)) as other:
        card = await other.say("wait")
        assert (card.title, card.hint) == ("`wait` did not finish within 0.0 s.", "Try again in a while.")
        card = await other.say("change")
        assert card.hint == "Check `status` before you try again."
        assert (await other.say("clock")).title.startswith("Something broke on my side")


def _copy(handler: Handler) -> Handler:
    async def copy(ctx: Context) -> Card | None:
        return await handler(ctx)

    return copy


async def test_slow_work_keeps_nobody_waiting() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Context) -> Card | None:
        begun.set()
        await go_on.wait()
        return Card(title="done")

    async with open_command_bot(made("slow", slow)) as other:
        waiting = asyncio.create_task(other.say("slow"))
        await begun.wait()
        assert (await other.say("status")).title == "board"
        go_on.set()
        assert (await waiting).title == "done"


async def test_cancelling_goes_through() -> None:
    begun = asyncio.Event()

    async def forever(_: Context) -> Card | None:
        begun.set()
        await asyncio.Event().wait()
        return None

    async with open_command_bot(made("forever", forever)) as other:
        task = asyncio.create_task(other.say("forever"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


FULL = "the disk of the bot is full: make room"


async def test_nothing_is_begun_while_the_database_cannot_be_written(bot: CommandBot) -> None:
    bot.store.problem = FULL
    card = await bot.say("deploy shop")
    assert card.title == "The disk of the bot is full: make room."
    assert bot.deployments.requests == []
    assert (await bot.say("status")).ok


async def test_people_who_cannot_be_distinguished_do_not_learn_why(
    bot: CommandBot, caplog: pytest.LogCaptureFixture
) -> None:
    bot.store.gone = "the database at /var/lib/deploybot is damaged"
    card = await bot.say("deploy shop")
    assert card.title == "I cannot identify you: my database does not answer."
    assert card.hint == "See the bot's log."
    assert "the sender of a message cannot be identified: the database at /var/lib/deploybot is damaged" in caplog.text


async def test_denials_are_shown_when_the_audit_cannot_be_written(bot: CommandBot) -> None:
    bot.store.full = FULL
    assert (await bot.say("status", STRANGER)).title == SORRY
    assert (await bot.say("deploy shop", "cem")).title.startswith("`deploy` needs")


async def test_nothing_is_run_that_was_not_kept_first(bot: CommandBot) -> None:
    bot.store.full = FULL
    assert (await bot.say("deploy shop")).title == "The disk of the bot is full: make room."
    assert bot.deployments.requests == []


async def test_a_result_that_cannot_be_kept_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    opened: list[CommandBot] = []

    async def fill(_: Context) -> Card | None:
        opened[0].store.full = FULL
        return Card(title="filled")

    async with open_command_bot(made("fill", fill, needs="admin")) as bot:
        opened.append(bot)
        assert (await bot.say("fill")).title == "filled"
    assert f"not recorded in the audit: result of ana on */*: {FULL}" in caplog.text


def test_the_table_of_errors(caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor()
    with caplog.at_level(logging.DEBUG):
        cards = [
            error_card(error, redactor)
            for error in (
                UserError("that is wrong", hint="do this"),
                Denied(("no", "never."), who_may="ana"),
                Denied(("no",)),
                Locked("shop/production is locked"),
            )
        ]
    assert [(card.title, card.hint, card.private) for card in cards] == [
        ("That is wrong.", "do this", True),
        ("No. never.", "Allowed: ana.", True),
        ("No.", "", True),
        ("shop/production is locked.", "", True),
    ]
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO", "INFO", "INFO"]
