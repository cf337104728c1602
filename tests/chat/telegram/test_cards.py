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
from deploybot.chat.telegram.telegram_api import Closed, Limits
from deploybot.chat.telegram.telegram_chat import TelegramChat
from deploybot.chat.telegram.telegram_posting import Post
from deploybot.command import Context, command
from deploybot.errors import DeploybotError, Unreachable, UserError
from tests.chat.cards import RESTORED, RUNNING
from tests.chat.telegram.conftest import ANA, BEN, GROUP, HASTY, QUICK, Town, open_town, place, settings_of, until
from tests.doubles import scene
from tests.doubles.telegram import TelegramDouble

NEW = "-1001000000777"
LOG = tuple(f"{number:05} GET /cart 200" for number in range(2000))


async def say(town: Town, card: Card, channel: str = GROUP, thread: str = "") -> scene.Post:
    """Send a card; it as people see it."""
    town.double.group(channel) if channel.startswith("-") else town.double.user(channel)
    number = (await town.chat.send(place(channel, thread), card)).partition("@")[0]
    return find(town, number)


def find(town: Town, number: str) -> scene.Post:
    return next(post for post in reversed(town.double.scene.posts) if post.id == number and post.author == "thebot")


async def test_a_card_is_one_message_edited_in_place(town: Town) -> None:
    post = await say(town, RUNNING)
    assert [(one.label, one.danger) for one in post.buttons] == [("Cancel", True)]
    await town.chat.edit(place(), post.id, replace(RUNNING, footer="by ann, 3 s"))
    assert find(town, post.id).buttons == post.buttons
    await town.chat.edit(place(), post.id, replace(RESTORED, key=RUNNING.key))
    now = find(town, post.id)
    assert "the old release is back" in now.text
    assert [one.label for one in now.buttons] == ["Try again", "What runs now"]
    assert len(town.said()) == 1
    await town.chat.edit(place(), post.id, replace(RESTORED, buttons=()))
    assert find(town, post.id).buttons == ()


async def test_an_edit_that_changes_nothing_is_no_error(town: Town) -> None:
    post = await say(town, RUNNING)
    for _ in range(3):
        await town.chat.edit(place(), post.id, RUNNING)
    assert find(town, post.id).edits == 0


async def test_a_card_that_a_command_says_along_the_way_is_edited() -> None:
    go = asyncio.Event()

    @command("count", needs="view")
    async def count(ctx: Context) -> Card:
        """Count."""
        await ctx.reply(Card(title="one", key="count", final=False))
        await go.wait()
        return Card(title="two", key="count")

    async with open_town(count.__dict__["__command__"]) as town:
        await town.say(ANA, "/count")
        await town.sees("one", GROUP)
        go.set()
        assert (await town.sees("two", GROUP)).edits == 1
        assert town.said() == ["two"]


async def test_a_message_whose_buttons_could_not_be_written_down_is_not_sent_again(town: Town) -> None:
    """It is there; the first message that shows its tokens has them."""
    card = replace(RUNNING, buttons=(Button("Go", "deploy shop"),))
    sent = town.chat._post._calls.send

    async def send(*given: object, **more: object) -> int:
        number = await sent(*given, **more)  # type: ignore[arg-type]
        town.bot.store.full = "the disk is full"
        return number

    town.chat._post._calls.send = send  # type: ignore[method-assign]
    post = await say(town, card)
    town.bot.store.full = ""
    await town.double.press(BEN, post, "Go")
    await until(lambda: len(town.bot.deployments.asked) == 1)
    assert sum("#42" in text for text in town.said()) == 1


async def test_a_message_that_is_gone_is_refused_for_good(town: Town) -> None:
    post = await say(town, RUNNING)
    del town.double.group(GROUP).messages[int(post.id)]
    with pytest.raises(UserError) as refusal:
        await town.chat.edit(place(), post.id, RUNNING)
    assert "not found" in str(refusal.value)


async def test_buttons_that_an_edit_took_away_do_nothing_any_more(town: Town) -> None:
    post = await say(town, replace(RUNNING, buttons=(Button("Go", "deploy shop"),)))
    await town.chat.edit(place(), post.id, replace(RUNNING, buttons=()))
    pressed = await town.double.send_press(BEN, post, post.buttons[0].value)
    async with asyncio.timeout(10):
        await pressed.done.wait()
    assert "does not work any more" in pressed.text
    assert town.bot.deployments.asked == []


async def test_a_long_log_shows_its_end_and_goes_along_as_a_file(town: Town) -> None:
    post = await say(town, Card(title="shop production", key="log-3", code=LOG, footer="2 servers"))
    assert len(post.text) <= 4096
    assert post.text.startswith("shop production")
    assert LOG[-1] in post.text
    assert LOG[0] not in post.text
    assert post.text.endswith("2 servers")
    await until(lambda: any(one.files for one in town.double.scene.posts))
    ((name, content),) = town.double.scene.posts[-1].files
    assert name == "log-3.txt"
    assert all(line in content.decode() for line in LOG)
    assert town.double.replies[-1] == (GROUP, post.id)


async def test_a_huge_log_does_not_keep_the_others_waiting(town: Town) -> None:
    """The event loop is free; made in it, the message alone would block it for a second."""
    huge = Card(title="t", code=("💥é" * 150,) * 25_000)
    sending = asyncio.create_task(say(town, huge))
    loop, worst = asyncio.get_running_loop(), 0.0
    while not sending.done():
        before = loop.time()
        await asyncio.sleep(0.005)
        worst = max(worst, loop.time() - before)
    assert worst < 0.5
    assert "💥" in (await sending).text


async def test_a_long_text_shows_its_beginning(town: Town) -> None:
    words = " ".join(f"word{number}" for number in range(3000))
    post = await say(town, Card(title="Everything", text=words, hint="Ask for less."))
    assert "word1 word2" in post.text
    assert post.text.endswith("→ Ask for less.")
    shown = post.text.split("\n")[1]
    assert shown.endswith("…")
    assert f"{shown[:-1]} " in f"{words} "  # cut between words
    await until(lambda: any(one.files for one in town.double.scene.posts))


async def test_no_file_goes_along_before_the_card_is_final(town: Town) -> None:
    busy = Card(title="t", key="k", code=LOG, final=False)
    post = await say(town, busy)
    for at in range(3):
        await town.chat.edit(place(), post.id, replace(busy, footer=f"{at}"))
    await town.chat.edit(place(), post.id, replace(busy, final=True))
    await town.chat.edit(place(), post.id, replace(busy, final=True, footer="again"))
    await until(lambda: any(one.files for one in town.double.scene.posts))
    assert sum(bool(one.files) for one in town.double.scene.posts) == 1


async def test_a_log_is_handed_over_as_a_document(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "shop.log.gz"
    path.write_bytes(b"\x1f\x8b" + bytes(range(256)) * 4000)
    town.double.unkind_to = frozenset({"sendDocument"})
    town.double.unkind.dropped = 1
    await say(town, Card(title="shop", files=(File(str(path), "shop.log.gz"),)))
    await until(lambda: any(one.files for one in town.double.scene.posts))
    assert town.double.scene.posts[-1].files == (("shop.log.gz", path.read_bytes()),)


async def test_a_log_that_a_killed_bot_had_yet_to_hand_over_comes_once(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "1.log"
    path.write_bytes(b"all of it")
    store, clock = town.bot.store, town.bot.clock
    town.double.group(GROUP)
    uploads = Uploads(store, clock, "telegram")
    killed = Post(town.chat._calls, ButtonTokens(store, clock, "telegram"), lambda work: work.close(), uploads)
    card = Card(title="shop", files=(File(str(path), "1.log"),))
    number = await killed.send(place(), card)
    await town.chat.close()
    for life in range(2):
        again = TelegramChat(settings_of(town.double), town.chat._parts, store, limits=QUICK, timeouts=HASTY)
        await again.start()
        await until(lambda again=again: bool(again._introduction and again._introduction.done()))  # type: ignore[misc]
        if life:
            # Where the end of the card could not be noted, it is edited in again.
            await again.edit(place(), number, card)
        await again.close()
        assert [one.files for one in town.double.scene.posts if one.files] == [(("1.log", b"all of it"),)]


async def test_a_file_that_is_gone_or_too_big_is_told(town: Town, tmp_path: Path) -> None:
    await say(town, Card(title="shop", files=(File(str(tmp_path / "none"), "gone.log"),)))
    await town.sees("gone.log cannot be read here")
    big = tmp_path / "big.gz"
    with big.open("wb") as file:
        file.truncate(60_000_000)
    await say(town, Card(title="shop", files=(File(str(big), "big.gz"),)))
    said = await town.sees("more than bots may send")
    assert str(big) in said.text.replace("\u2060", "")


async def test_a_topic_that_is_gone_is_no_reason_to_be_silent(town: Town) -> None:
    town.double.group(GROUP, forum=True, topics=(7,))
    assert (await say(town, RUNNING, thread="7")).thread == "7"
    assert (await say(town, RESTORED, thread="9")).thread == ""
    assert (await say(town, RESTORED, thread="1")).thread == ""


# Pace, pauses, failures


async def test_the_real_limits_are_kept() -> None:
    """Four private chats and two groups at once, with Telegram's own limits on both sides."""
    async with open_town(double=TelegramDouble(), limits=Limits()) as town:

        async def chatter(channel: str) -> None:
            post = await say(town, RUNNING, channel)
            for at in range(2):
                await town.chat.edit(place(channel), post.id, replace(RUNNING, footer=f"{at}"))

        async with asyncio.timeout(20):
            await asyncio.gather(*map(chatter, ["1001", "1002", "1003", "1004", GROUP, NEW]))
        assert town.double.violations == []


async def test_in_a_busy_group_all_are_seen_at_once_and_deployments_are_not_held_up() -> None:
    """A group takes a message a second; whoever asks sees within a second that they were heard."""
    async with open_town(double=TelegramDouble(), limits=Limits()) as town:
        asked = [await town.say(ANA, "/status") for _ in range(8)]
        begun = time.monotonic()

        def noticed() -> set[str]:
            reacted = {message for _, message, _ in town.double.reactions}
            return reacted | {message for _, message in town.double.replies}

        await until(lambda: noticed() == set(asked))
        assert max(town.double.reacted_at) - begun < 1.0
        async with asyncio.timeout(6):
            await town.chat.send(place(), RUNNING)
        assert len(town.double.replies) < len(asked), "the outbox waited until all was answered"


@pytest.mark.parametrize("channel", [GROUP, ANA])
async def test_a_pause_that_is_asked_for_is_kept(town: Town, channel: str) -> None:
    await say(town, RESTORED, channel)
    town.double.unkind.too_many = 1
    with pytest.raises(Unreachable) as asked:
        await town.chat.send(place(channel), RUNNING)
    assert 1.0 <= asked.value.retry_after < 1.5
    calls = len(town.double.calls)
    with pytest.raises(Unreachable) as still:
        await town.chat.send(place(channel), RUNNING)
    assert still.value.retry_after > 0.5
    assert len(town.double.calls) == calls, "it was called in the pause"
    other = NEW if channel == GROUP else BEN
    await say(town, RESTORED, other)
    await asyncio.sleep(still.value.retry_after)
    await say(town, RUNNING, channel)


@pytest.mark.parametrize("how", ["broken", "dropped", "too_many"])
async def test_an_answer_arrives_whatever_fails(town: Town, how: str) -> None:
    setattr(town.double.unkind, how, 2)
    await town.ask(BEN, "/deploy shop", "#1 deploy shop")
    assert sum("#1 deploy shop" in text for text in town.said()) == 1
    assert len(town.bot.deployments.asked) == 1


@pytest.mark.parametrize("how", ["broken", "dropped"])
async def test_a_failure_is_to_be_tried_again(town: Town, how: str) -> None:
    post = await say(town, RUNNING)
    setattr(town.double.unkind, how, 2)
    with pytest.raises(Unreachable):
        await town.chat.send(place(), RUNNING)
    with pytest.raises(Unreachable) as error:
        await town.chat.edit(place(), post.id, RESTORED)
    assert town.double.token not in repr(error.value)
    assert ("it answered “Bad Gateway (502)”" if how == "broken" else "the connection failed (") in str(error.value)
    await town.chat.edit(place(), post.id, RESTORED)


# Where the bot may write, and where the group is


async def test_a_chat_that_is_closed_is_refused_for_good(town: Town) -> None:
    town.double.group(GROUP).status = "kicked"
    town.double.user(ANA, started=False)
    town.double.user(BEN).blocked = True
    for channel in (GROUP, ANA, BEN):
        with pytest.raises(Closed):
            await town.chat.send(place(channel), RUNNING)
    with pytest.raises(DeploybotError) as unknown:
        await town.chat.send(place("-1009999999999"), RUNNING)
    assert "Chat not found" in str(unknown.value)


OLD = "-4001"


async def test_a_group_that_becomes_a_supergroup_is_followed(town: Town) -> None:
    town.double.group(OLD, kind="group")
    before = await say(town, RUNNING, OLD)
    town.double.migrate(OLD, NEW)
    await town.settled()
    with pytest.raises(UserError) as stayed:
        await town.chat.edit(place(OLD), before.id, RESTORED)
    assert "stayed behind" in str(stayed.value)
    number = await town.chat.send(place(OLD), replace(RUNNING, buttons=(Button("Go", "deploy shop"),)))
    assert number.endswith(f"@{NEW}")
    post = next(post for post in town.double.scene.posts if post.channel == NEW)
    await town.chat.edit(place(OLD), number, replace(RUNNING, buttons=(Button("Go", "deploy shop"),), footer="f"))
    await town.double.press(BEN, post, "Go")
    await town.sees("#1 deploy shop", NEW)
    assert len(town.bot.deployments.asked) == 1


async def test_both_numbers_of_a_group_are_one_place(town: Town) -> None:
    """Otherwise a deployment asked in the group would be told in it twice: as where it was asked, and as the home."""
    town.double.group(OLD, kind="group")
    town.double.migrate(OLD, NEW)
    await town.settled()
    await town.ask(ANA, "/status", "board", NEW)
    assert town.heard[-1].place.channel == OLD


async def test_a_move_that_nobody_told_is_learnt_from_the_refusal(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    town.double.group(OLD, kind="group").moved_to = int(NEW)
    town.double.group(NEW)
    with caplog.at_level(logging.WARNING):
        number = await town.chat.send(place(OLD), RUNNING)
    assert number.endswith(f"@{NEW}")
    assert f"replace telegram:{OLD} by telegram:{NEW} in bot.toml" in caplog.text


async def test_the_chats_of_bot_toml_are_looked_at_when_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    double = TelegramDouble()
    double.group(OLD, kind="group").moved_to = int(NEW)
    double.group(NEW)
    with caplog.at_level(logging.WARNING):
        async with open_town(double=double, homes=(OLD, "-1005555555555")):
            await until(lambda: len(double.menus) == 3)
    assert f"replace telegram:{OLD} by telegram:{NEW} in bot.toml" in caplog.text
    assert "cannot use telegram:-1005555555555 of bot.toml" in caplog.text


async def test_what_is_for_one_reader_goes_to_the_private_chat(town: Town) -> None:
    town.double.user(BEN, started=False)
    await town.say(ANA, "/whoami")
    await town.sees("You are ana", ANA)
    await town.sees("I answered in our private chat", GROUP)
    await town.say(BEN, "/whoami")
    said = await town.sees("I can show you this only in private", GROUP)
    assert [one.label for one in said.buttons] == ["Open a chat with me"]
    assert "You are" not in "".join(town.said(GROUP))


async def test_tones_are_symbols(town: Town) -> None:
    signs = {(await say(town, Card(title="t", tone=tone, final=False))).text.split()[0] for tone in Tone}
    assert len(signs) == len(Tone)
