"""Cards in Telegram: sent, edited in place, cut with the whole as a file, in time, and where the group is now."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Button, Card, File, Tone
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.resumed_uploads import Uploads
from deploybot.chat.telegram import telegram_posting
from deploybot.chat.telegram.telegram_api import Closed, Limits
from deploybot.chat.telegram.telegram_chat import TelegramChat
from deploybot.chat.telegram.telegram_posting import Post
from deploybot.command import Context, command
from deploybot.errors import DeploybotError, Unreachable, UserError
from tests.chat.cards import RESTORED, RUNNING
from tests.chat.telegram.conftest import (
    ANA,
    BEN,
    GROUP,
    HASTY,
    QUICK,
    TelegramBot,
    channel,
    open_telegram_bot,
    settings_of,
    until,
)
from tests.doubles import timeline
from tests.doubles.telegram import TelegramDouble

NEW = "-1001000000777"
LOG = tuple(f"{number:05} GET /cart 200" for number in range(2000))


async def say(telegram: TelegramBot, card: Card, chat: str = GROUP, thread: str = "") -> timeline.Post:
    """Send a card; it as people see it."""
    telegram.double.group(chat) if chat.startswith("-") else telegram.double.user(chat)
    number = (await telegram.chat.send(channel(chat, thread), card)).partition("@")[0]
    return find(telegram, number)


def find(telegram: TelegramBot, number: str) -> timeline.Post:
    return next(
        post for post in reversed(telegram.double.timeline.posts) if post.id == number and post.author == "thebot"
    )


async def test_a_card_is_one_message_edited_in_place(telegram: TelegramBot) -> None:
    post = await say(telegram, RUNNING)
    assert [(one.label, one.danger) for one in post.buttons] == [("Cancel", True)]
    await telegram.chat.edit(channel(), post.id, replace(RUNNING, footer="by ann, 3 s"))
    assert find(telegram, post.id).buttons == post.buttons
    await telegram.chat.edit(channel(), post.id, replace(RESTORED, key=RUNNING.key))
    now = find(telegram, post.id)
    assert "the old release is back" in now.text
    assert [one.label for one in now.buttons] == ["Try again", "What runs now"]
    assert len(telegram.said()) == 1
    await telegram.chat.edit(channel(), post.id, replace(RESTORED, buttons=()))
    assert find(telegram, post.id).buttons == ()


async def test_an_edit_that_changes_nothing_is_no_error(telegram: TelegramBot) -> None:
    post = await say(telegram, RUNNING)
    for _ in range(3):
        await telegram.chat.edit(channel(), post.id, RUNNING)
    assert find(telegram, post.id).edits == 0


async def test_a_card_that_a_command_says_along_the_way_is_edited() -> None:
    go = asyncio.Event()

    @command("count", needs="view")
    async def count(ctx: Context) -> Card:
        """Count."""
        await ctx.reply(Card(title="one", key="count", final=False))
        await go.wait()
        return Card(title="two", key="count")

    async with open_telegram_bot(count.__dict__["__command__"]) as telegram:
        await telegram.say(ANA, "/count")
        await telegram.sees("one", GROUP)
        go.set()
        assert (await telegram.sees("two", GROUP)).edits == 1
        assert telegram.said() == ["two"]


async def test_a_message_whose_buttons_could_not_be_written_down_is_not_sent_again(telegram: TelegramBot) -> None:
    """It is there; the first message that shows its tokens has them."""
    card = replace(RUNNING, buttons=(Button("Go", "deploy shop"),))
    sent = telegram.chat._post._calls.send

    async def send(*given: object, **more: object) -> int:
        number = await sent(*given, **more)  # type: ignore[arg-type]
        telegram.bot.store.full = "the disk is full"
        return number

    telegram.chat._post._calls.send = send  # type: ignore[method-assign]
    post = await say(telegram, card)
    telegram.bot.store.full = ""
    await telegram.double.press(BEN, post, "Go")
    await until(lambda: len(telegram.bot.deployments.requests) == 1)
    assert sum("#42" in text for text in telegram.said()) == 1


async def test_a_message_that_is_gone_is_refused_for_good(telegram: TelegramBot) -> None:
    post = await say(telegram, RUNNING)
    del telegram.double.group(GROUP).messages[int(post.id)]
    with pytest.raises(UserError) as refusal:
        await telegram.chat.edit(channel(), post.id, RUNNING)
    assert "not found" in str(refusal.value)


async def test_buttons_that_an_edit_took_away_do_nothing_any_more(telegram: TelegramBot) -> None:
    post = await say(telegram, replace(RUNNING, buttons=(Button("Go", "deploy shop"),)))
    await telegram.chat.edit(channel(), post.id, replace(RUNNING, buttons=()))
    pressed = await telegram.double.send_press(BEN, post, post.buttons[0].value)
    async with asyncio.timeout(10):
        await pressed.done.wait()
    assert "does not work any more" in pressed.text
    assert telegram.bot.deployments.requests == []


async def test_a_long_log_shows_its_end_and_goes_along_as_a_file(telegram: TelegramBot) -> None:
    post = await say(telegram, Card(title="shop production", key="log-3", code=LOG, footer="2 servers"))
    assert len(post.text) <= 4096
    assert post.text.startswith("shop production")
    assert LOG[-1] in post.text
    assert LOG[0] not in post.text
    assert post.text.endswith("2 servers")
    await until(lambda: any(one.files for one in telegram.double.timeline.posts))
    ((name, content),) = telegram.double.timeline.posts[-1].files
    assert name == "log-3.txt"
    assert all(line in content.decode() for line in LOG)
    assert telegram.double.replies[-1] == (GROUP, post.id)


async def test_a_huge_log_does_not_keep_the_others_waiting(telegram: TelegramBot) -> None:
    """The event loop is free; made in it, the message alone would block it for a second."""
    huge = Card(title="t", code=("💥é" * 150,) * 25_000)
    sending = asyncio.create_task(say(telegram, huge))
    worst = 0.0  # of this thread's processor time: what other programs take is not counted
    while not sending.done():
        before = time.thread_time()
        await asyncio.sleep(0.005)
        worst = max(worst, time.thread_time() - before)
    assert worst < 0.5
    assert "💥" in (await sending).text


async def test_a_long_text_shows_its_beginning(telegram: TelegramBot) -> None:
    words = " ".join(f"word{number}" for number in range(3000))
    post = await say(telegram, Card(title="Everything", text=words, hint="Ask for less."))
    assert "word1 word2" in post.text
    assert post.text.endswith("→ Ask for less.")
    shown = post.text.split("\n")[1]
    assert shown.endswith("…")
    assert f"{shown[:-1]} " in f"{words} "  # cut between words
    await until(lambda: any(one.files for one in telegram.double.timeline.posts))


async def test_no_file_goes_along_before_the_card_is_final(telegram: TelegramBot) -> None:
    busy = Card(title="t", key="k", code=LOG, final=False)
    post = await say(telegram, busy)
    for at in range(3):
        await telegram.chat.edit(channel(), post.id, replace(busy, footer=f"{at}"))
    await telegram.chat.edit(channel(), post.id, replace(busy, final=True))
    await telegram.chat.edit(channel(), post.id, replace(busy, final=True, footer="again"))
    await until(lambda: any(one.files for one in telegram.double.timeline.posts))
    assert sum(bool(one.files) for one in telegram.double.timeline.posts) == 1


async def test_a_log_is_handed_over_as_a_document(telegram: TelegramBot, tmp_path: Path) -> None:
    path = tmp_path / "shop.log.gz"
    path.write_bytes(b"\x1f\x8b" + bytes(range(256)) * 4000)
    telegram.double.unkind_to = frozenset({"sendDocument"})
    telegram.double.unkind.dropped = 1
    await say(telegram, Card(title="shop", files=(File(str(path), "shop.log.gz"),)))
    await until(lambda: any(one.files for one in telegram.double.timeline.posts))
    assert telegram.double.timeline.posts[-1].files == (("shop.log.gz", path.read_bytes()),)


async def test_a_log_that_a_killed_bot_had_yet_to_hand_over_comes_once(telegram: TelegramBot, tmp_path: Path) -> None:
    path = tmp_path / "1.log"
    path.write_bytes(b"all of it")
    store, clock = telegram.bot.store, telegram.bot.clock
    telegram.double.group(GROUP)
    uploads = Uploads(store, clock, "telegram")
    killed = Post(telegram.chat._calls, ButtonTokens(store, clock, "telegram"), lambda work: work.close(), uploads)
    card = Card(title="shop", files=(File(str(path), "1.log"),))
    number = await killed.send(channel(), card)
    await telegram.chat.close()
    for life in range(2):
        again = TelegramChat(settings_of(telegram.double), telegram.chat._parts, store, limits=QUICK, timeouts=HASTY)
        await again.start()
        await until(lambda again=again: bool(again._introduction and again._introduction.done()))  # type: ignore[misc]
        if life:
            # Where the end of the card could not be noted, it is edited in again.
            await again.edit(channel(), number, card)
        await again.close()
        assert [one.files for one in telegram.double.timeline.posts if one.files] == [(("1.log", b"all of it"),)]


async def test_a_file_that_is_gone_or_too_big_is_reported(telegram: TelegramBot, tmp_path: Path) -> None:
    await say(telegram, Card(title="shop", files=(File(str(tmp_path / "none"), "gone.log"),)))
    await telegram.sees("gone.log cannot be read here")
    big = tmp_path / "big.gz"
    with big.open("wb") as file:
        file.truncate(60_000_000)
    await say(telegram, Card(title="shop", files=(File(str(big), "big.gz"),)))
    said = await telegram.sees("more than bots may send")
    assert str(big) in said.text.replace("\u2060", "")


async def test_a_file_that_telegram_refuses_is_explained_below_its_card(telegram: TelegramBot, tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    path.write_bytes(b"all of it")
    telegram.double.takes_documents = False
    await say(telegram, Card(title="shop", files=(File(str(path), "shop.log"),)))
    said = await telegram.sees("not uploaded: Telegram: Not enough rights to send documents")
    assert str(path) in said.text.replace("\u2060", "")


async def test_a_file_that_telegram_never_takes_is_explained_and_not_sent_after_a_restart(
    telegram: TelegramBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_posting, "_AGAIN", 0.01)
    path = tmp_path / "shop.log"
    path.write_bytes(b"all of it")
    telegram.double.unkind_to = frozenset({"sendDocument"})
    telegram.double.unkind.broken = 5
    await say(telegram, Card(title="shop", files=(File(str(path), "shop.log"),)))
    await telegram.sees("shop.log was not uploaded")
    uploads = Uploads(telegram.bot.store, telegram.bot.clock, "telegram")
    async with asyncio.timeout(5):
        while await uploads.left():  # noqa: ASYNC110  the database has no event for this
            await asyncio.sleep(0.01)


async def test_a_topic_that_is_gone_is_no_reason_to_be_silent(telegram: TelegramBot) -> None:
    telegram.double.group(GROUP, forum=True, topics=(7,))
    assert (await say(telegram, RUNNING, thread="7")).thread == "7"
    assert (await say(telegram, RESTORED, thread="9")).thread == ""
    assert (await say(telegram, RESTORED, thread="1")).thread == ""


# Pace, pauses, failures


async def test_the_real_limits_are_kept() -> None:
    """Four private chats and two groups at once, with Telegram's own limits on both sides."""
    async with open_telegram_bot(double=TelegramDouble(), limits=Limits()) as telegram:

        async def chatter(chat: str) -> None:
            post = await say(telegram, RUNNING, chat)
            for at in range(2):
                await telegram.chat.edit(channel(chat), post.id, replace(RUNNING, footer=f"{at}"))

        async with asyncio.timeout(20):
            await asyncio.gather(*map(chatter, ["1001", "1002", "1003", "1004", GROUP, NEW]))
        assert telegram.double.violations == []


async def test_in_a_busy_group_all_are_seen_at_once_and_deployments_are_not_held_up() -> None:
    """A group takes a message a second; whoever asks sees within a second that they were heard."""
    async with open_telegram_bot(double=TelegramDouble(), limits=Limits()) as telegram:
        asked = [await telegram.say(ANA, "/status") for _ in range(8)]
        begun = time.monotonic()

        def noticed() -> set[str]:
            reacted = {message for _, message, _ in telegram.double.reactions}
            return reacted | {message for _, message in telegram.double.replies}

        await until(lambda: noticed() == set(asked))
        assert max(telegram.double.reacted_at) - begun < 4.0, "seven answers take seven seconds"
        async with asyncio.timeout(20):
            await telegram.chat.send(channel(), RUNNING)
        assert len(telegram.double.replies) < len(asked), "the outbox waited until all was answered"


@pytest.mark.parametrize("chat", [GROUP, ANA])
async def test_a_pause_that_is_asked_for_is_kept(telegram: TelegramBot, chat: str) -> None:
    await say(telegram, RESTORED, chat)
    telegram.double.unkind.too_many, telegram.double.unkind.retry_after = 1, 3.0
    with pytest.raises(Unreachable) as asked:
        await telegram.chat.send(channel(chat), RUNNING)
    assert 3.0 <= asked.value.retry_after < 3.5
    calls = len(telegram.double.calls)
    with pytest.raises(Unreachable) as still:
        await telegram.chat.send(channel(chat), RUNNING)
    assert still.value.retry_after > 0.5
    assert len(telegram.double.calls) == calls, "it was called in the pause"
    other = NEW if chat == GROUP else BEN
    await say(telegram, RESTORED, other)
    await asyncio.sleep(still.value.retry_after)
    await say(telegram, RUNNING, chat)


@pytest.mark.parametrize("how", ["broken", "dropped", "too_many"])
async def test_an_answer_arrives_whatever_fails(telegram: TelegramBot, how: str) -> None:
    setattr(telegram.double.unkind, how, 2)
    await telegram.ask(BEN, "/deploy shop", "#1 deploy shop")
    assert sum("#1 deploy shop" in text for text in telegram.said()) == 1
    assert len(telegram.bot.deployments.requests) == 1


@pytest.mark.parametrize("how", ["broken", "dropped"])
async def test_a_failure_is_to_be_tried_again(telegram: TelegramBot, how: str) -> None:
    post = await say(telegram, RUNNING)
    setattr(telegram.double.unkind, how, 2)
    with pytest.raises(Unreachable):
        await telegram.chat.send(channel(), RUNNING)
    with pytest.raises(Unreachable) as error:
        await telegram.chat.edit(channel(), post.id, RESTORED)
    assert telegram.double.token not in repr(error.value)
    assert ("it answered “Bad Gateway (502)”" if how == "broken" else "the connection failed (") in str(error.value)
    await telegram.chat.edit(channel(), post.id, RESTORED)


# Where the bot may write, and where the group is


async def test_a_chat_that_is_closed_is_refused_for_good(telegram: TelegramBot) -> None:
    telegram.double.group(GROUP).status = "kicked"
    telegram.double.user(ANA, started=False)
    telegram.double.user(BEN).blocked = True
    for chat in (GROUP, ANA, BEN):
        with pytest.raises(Closed):
            await telegram.chat.send(channel(chat), RUNNING)
    with pytest.raises(DeploybotError) as unknown:
        await telegram.chat.send(channel("-1009999999999"), RUNNING)
    assert "Chat not found" in str(unknown.value)


OLD = "-4001"


async def test_a_group_that_becomes_a_supergroup_is_followed(telegram: TelegramBot) -> None:
    telegram.double.group(OLD, kind="group")
    before = await say(telegram, RUNNING, OLD)
    telegram.double.migrate(OLD, NEW)
    await telegram.settled()
    with pytest.raises(UserError) as stayed:
        await telegram.chat.edit(channel(OLD), before.id, RESTORED)
    assert "stayed behind" in str(stayed.value)
    number = await telegram.chat.send(channel(OLD), replace(RUNNING, buttons=(Button("Go", "deploy shop"),)))
    assert number.endswith(f"@{NEW}")
    post = next(post for post in telegram.double.timeline.posts if post.channel == NEW)
    await telegram.chat.edit(channel(OLD), number, replace(RUNNING, buttons=(Button("Go", "deploy shop"),), footer="f"))
    await telegram.double.press(BEN, post, "Go")
    await telegram.sees("#1 deploy shop", NEW)
    assert len(telegram.bot.deployments.requests) == 1


async def test_both_numbers_of_a_group_are_one_channel(telegram: TelegramBot) -> None:
    """Otherwise a deployment asked in the group would be told in it twice: as where it was asked, and as the home."""
    telegram.double.group(OLD, kind="group")
    telegram.double.migrate(OLD, NEW)
    await telegram.settled()
    await telegram.ask(ANA, "/status", "board", NEW)
    assert telegram.received[-1].channel.id == OLD


async def test_messages_of_a_supergroup_are_no_repetitions_of_the_groups(telegram: TelegramBot) -> None:
    """They are numbered from 1 again."""
    telegram.double.group(OLD, kind="group")
    before = set()
    for text in ("board", "orders", "nothing"):
        before.add(await telegram.say(ANA, f"/help unknown-{text}", OLD))
        await telegram.sees(f"unknown-{text}", OLD)
    telegram.double.migrate(OLD, NEW)
    await telegram.settled()
    number = await telegram.say(ANA, "/status", NEW)
    assert number in before
    await telegram.sees("board", NEW)


async def test_an_unreported_move_is_learnt_from_the_refusal(
    telegram: TelegramBot, caplog: pytest.LogCaptureFixture
) -> None:
    telegram.double.group(OLD, kind="group").moved_to = int(NEW)
    telegram.double.group(NEW)
    with caplog.at_level(logging.WARNING):
        number = await telegram.chat.send(channel(OLD), RUNNING)
    assert number.endswith(f"@{NEW}")
    assert f"replace telegram:{OLD} by telegram:{NEW} in bot.toml" in caplog.text


async def test_the_chats_of_bot_toml_are_looked_at_when_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    double = TelegramDouble()
    double.group(OLD, kind="group").moved_to = int(NEW)
    double.group(NEW)
    with caplog.at_level(logging.WARNING):
        async with open_telegram_bot(double=double, homes=(OLD, "-1005555555555")):
            await until(lambda: len(double.menus) == 3)
    assert f"replace telegram:{OLD} by telegram:{NEW} in bot.toml" in caplog.text
    assert "cannot use telegram:-1005555555555 of bot.toml" in caplog.text


async def test_what_is_for_one_reader_goes_to_the_private_chat(telegram: TelegramBot) -> None:
    telegram.double.user(BEN, started=False)
    await telegram.say(ANA, "/whoami")
    await telegram.sees("You are ana", ANA)
    await telegram.sees("I answered in our private chat", GROUP)
    await telegram.say(BEN, "/whoami")
    said = await telegram.sees("I can show you this only in private", GROUP)
    assert [one.label for one in said.buttons] == ["Open a chat with me"]
    assert "You are" not in "".join(telegram.said(GROUP))


async def test_tones_are_symbols(telegram: TelegramBot) -> None:
    signs = {(await say(telegram, Card(title="t", tone=tone, final=False))).text.split()[0] for tone in Tone}
    assert len(signs) == len(Tone)
