"""A button does what its command does, once, for whoever may; all others are told why not."""

from __future__ import annotations

from deploybot.card import Button, Card
from tests.chat import cards
from tests.kit.command_bot import STRANGER, V1, V2, CommandBot
from tests.parity.effects import direct, effects
from tests.parity.platforms import TelegramWay
from tests.parity.test_cards import APPROVE, deployments, requests
from tests.parity.ways import DoubleWay, Way, holds

DEPLOY = Button("Deploy v1.4", "deploy shop@v1.4 to staging")
LOCK = Button("Lock", "lock shop staging", danger=True, asks="Why?")
REASON = "too risky & <b>bold</b> *stars* @here"
STOP = Card(title="shop staging", key="log-3", stream=True, final=False, buttons=(Button("Stop", "cancel log-3"),))


def all_buttons() -> set[Button]:
    """Every button of every card in this suite."""
    shown = [*deployments(), *requests(), cards.RUNNING, cards.RESTORED, STOP]
    return {button for card in shown for button in card.buttons}


def answered(button: Button) -> tuple[str, str]:
    """What a person answers to a button, and the command that this makes of it."""
    if not button.asks:
        return "", button.command
    answer = "123456" if button.asks_code else "it is <b>too</b> *risky* today"
    return answer, f"{button.command} {'code' if button.asks_code else 'because'} {answer}"


async def test_every_button_has_the_effect_of_its_command(way: Way, plain_world: CommandBot) -> None:
    buttons = sorted(all_buttons(), key=repr)
    messages = [await way.show(Card(title="Press", buttons=(button,))) for button in buttons]
    for button, message in zip(buttons, messages, strict=True):
        answer, command = answered(button)
        told = await direct(plain_world, command)
        pressed = await way.press("ana", message, button.label, answer)
        assert pressed.cards == told, button
        assert await effects(way.bot) == await effects(plain_world), button
    assert {"Approve", "Reject", "Cancel", "Roll back", "Try again", "Ask again", "Stop"} <= {
        one.label for one in buttons
    }


async def test_the_choices_of_a_question_are_buttons(way: Way) -> None:
    question = await way.say("ana", "deploy wiki")
    labels = [button.label for card in question.cards for button in card.buttons]
    assert len(labels) == 2
    await way.press("ana", question, labels[0])
    assert [asked.app for asked in way.bot.deployments.requests] == ["wiki"]


async def test_a_bare_command_is_picked_step_by_step(manner: Way) -> None:
    """Each picker is for the person who asked; the last press does what the typed command does."""
    picker = await manner.say("ana", "deploy")
    for label, asked in (("shop", "Which environment of shop?"), ("staging", "Which release for shop/staging?")):
        picker = await manner.press("ana", picker, label)
        assert [card.title for card in picker.cards] == [asked]
        assert all(card.picks and card.private for card in picker.cards)
        assert manner.bot.deployments.requests == []
    await manner.press("ana", picker, "v1.4")
    (asked_for,) = manner.bot.deployments.requests
    assert (asked_for.by, asked_for.app, asked_for.environment, asked_for.release) == ("ana", "shop", "staging", V2)


async def test_a_bare_rollback_offers_what_ran_well(way: Way) -> None:
    picker = await way.say("ana", "rollback")
    for label in ("shop", "production", "v1.3"):
        picker = await way.press("ana", picker, label)
    assert [(one.app, one.environment, one.release, one.dry_run) for one in way.bot.deployments.requests] == [
        ("shop", "production", V1, True)
    ]


async def test_a_rollback_of_an_app_alone_asks_and_with_its_environment_acts(way: Way) -> None:
    way.bot.releases.runs["shop", "staging"] = V2
    way.bot.releases.good["shop", "staging"] = V1
    picker = await way.say("ana", "rollback shop because it is slow")
    assert [card.title for card in picker.cards] == ["Which environment of shop?"]
    picker = await way.press("ana", picker, "staging")
    assert "1970-01-01 00:00 UTC by ana" in picker.cards[-1].text
    assert way.bot.deployments.requests == []
    await way.press("ana", picker, "v1.3")
    await way.say("ana", "rollback shop from staging")
    assert [(one.release, one.dry_run, one.reason) for one in way.bot.deployments.requests] == [
        (V1, True, "it is slow"),
        (V1, False, ""),
    ]


async def test_a_missing_reason_is_asked_for_in_place(manner: Way, plain_world: CommandBot) -> None:
    """A picker may come before it; the answer does what the typed command does."""
    told = await direct(plain_world, f"lock shop staging because {REASON}")
    question = await manner.say("ana", "lock")
    for label in ("shop", "staging"):
        question = await manner.press("ana", question, label)
    assert [(card.title, card.asks_reason) for card in question.cards] == [
        ("`lock shop staging` needs a reason.", True)
    ]
    assert await manner.bot.audit() == []
    answer = await manner.answer("ana", question, REASON)
    assert answer.cards == told
    assert await effects(manner.bot) == await effects(plain_world)


async def test_only_the_person_who_asked_can_use_a_picker(manner: Way) -> None:
    """In Slack nobody else sees it; in a Telegram group the others are refused."""
    if not isinstance(manner, DoubleWay):
        return
    picker = await manner.say("ana", "deploy")
    post = manner.post_with(picker, "shop")
    if post.only_for:
        assert post.only_for == manner.user("ana")
    elif manner.name in {"telegram group", "telegram name"}:
        await manner.press_again("ben", post, "shop")
        await manner.until("ben", picker.where, holds("This question is for someone else."))
        assert manner.received.empty()
    assert all(len(button.value.encode()) <= 64 for button in post.buttons)


async def test_in_telegram_the_next_picker_replaces_the_first(manner: Way) -> None:
    if not isinstance(manner, TelegramWay):
        return
    picker = await manner.say("ana", "deploy")
    first = manner.post_with(picker, "shop")
    picker = await manner.press("ana", picker, "shop")
    second = manner.post_with(picker, "staging")
    assert (first.id, second.edits) == (second.id, 1)
    assert "shop" not in {button.label for button in second.buttons}
    if manner.name != "telegram private":
        await manner.press_again("ben", second, "staging")
        await manner.until("ben", picker.where, holds("This question is for someone else."))
        assert manner.received.empty()


async def test_what_a_button_asks_is_added_to_its_command(way: Way, plain_world: CommandBot) -> None:
    told = await direct(plain_world, f"{LOCK.command} because {REASON}")
    message = await way.show(Card(title="Lock it?", buttons=(LOCK,)))
    answer = await way.press("ana", message, LOCK.label, REASON)
    assert answer.cards == told
    assert await effects(way.bot) == await effects(plain_world)


async def test_a_code_is_asked_where_nobody_else_reads_it(way: Way) -> None:
    message = await way.show(Card(title="Approve it?", key="request:7", final=False, buttons=(APPROVE,)))
    await way.click("ana", message, APPROVE.label, "123456")
    received = await way.next_heard()
    assert received.incoming.text.removeprefix("/") == "approve #7 code 123456"
    assert "123456" not in await way.seen("ben", message.where)


async def test_people_who_may_not_learn_that_and_use_nothing_up(way: Way) -> None:
    messages = {who: await way.show(Card(title="Press", buttons=(DEPLOY,))) for who in ("cem", "eve", STRANGER)}
    for who, message in messages.items():
        refused = await way.press(who, message, DEPLOY.label)
        assert not refused.cards[-1].ok
    assert way.bot.deployments.requests == []
    for message in messages.values():
        await way.press("ben", message, DEPLOY.label)
    assert [asked.by for asked in way.bot.deployments.requests] == ["ben"] * len(messages)


async def test_what_its_own_card_shows_is_not_posted_beside_it(way: Way) -> None:
    """At the console a button is a line to type; a line that was typed is answered, everywhere."""
    approve = Button("Approve", "approve #42")
    message = await way.show(Card(title="Approve it?", key="deployment:42", final=False, buttons=(approve,)))
    if way.name != "console":
        await way.press("ana", message, approve.label)
        assert "#42 is approved" not in await way.seen("ben", message.where)
    typed = await way.say("ana", "approve #42", message.where)
    assert [card.title for card in typed.cards] == ["#42 is approved."]


async def test_a_button_decides_once(way: Way) -> None:
    """At the console a button is a line to type, which can be typed again."""
    if way.name == "console":
        return
    message = await way.show(Card(title="Press", buttons=(DEPLOY,)))
    await way.press("ben", message, DEPLOY.label)
    await way.click("ana", message, DEPLOY.label, "")
    await way.until("ana", message.where, holds("This button was pressed already."))
    assert [asked.by for asked in way.bot.deployments.requests] == ["ben"]


async def test_a_button_that_an_edit_took_away_does_nothing(way: Way) -> None:
    if not isinstance(way, DoubleWay):
        return
    card = Card(title="Press", key="deployment:7", buttons=(DEPLOY,), final=False)
    message = await way.show(card)
    before = way.post_with(message, DEPLOY.label)
    await way.show(Card(title="Over", key="deployment:7", buttons=(Button("Status", "status"),)), message)
    await way.press_again("ana", before, DEPLOY.label)
    await way.until("ana", message.where, holds("This button does not work any more."))
    assert way.bot.deployments.requests == []
