"""A button does what its command does, once, for whoever may; all others are told why not."""

from __future__ import annotations

import pytest

from deploybot.card import Button, Card
from tests.chat import cards
from tests.parity.effects import direct, effects
from tests.parity.test_cards import APPROVE, deployments
from tests.parity.ways import DoubleWay, Way, holds
from tests.world import STRANGER, World

DEPLOY = Button("Deploy v1.4", "deploy shop@v1.4 to staging")
LOCK = Button("Lock", "lock shop staging", danger=True, asks="Why?")
STOP = Card(title="shop staging", key="log-3", stream=True, final=False, buttons=(Button("Stop", "cancel log-3"),))


def all_buttons() -> dict[str, Button]:
    """Every button of every card in this suite, by its command."""
    shown = [*deployments(), cards.RUNNING, cards.RESTORED, STOP]
    return {button.command: button for card in shown for button in card.buttons}


async def test_every_button_has_the_effect_of_its_command(way: Way, plain_world: World) -> None:
    buttons = all_buttons()
    for button in buttons.values():
        told = await direct(plain_world, button.command)
        message = await way.show(Card(title="Press", buttons=(button,)))
        answer = await way.press("ana", message, button.label)
        assert answer.cards == told, button
        assert await effects(way.world) == await effects(plain_world), button
    assert len(buttons) >= 4


async def test_the_choices_of_a_question_are_buttons(way: Way) -> None:
    question = await way.say("ana", "deploy wiki")
    labels = [button.label for card in question.cards for button in card.buttons]
    assert len(labels) == 2
    await way.press("ana", question, labels[0])
    assert [asked.app for asked in way.world.deployments.asked] == ["wiki"]


async def test_what_a_button_asks_is_added_to_its_command(way: Way, plain_world: World) -> None:
    reason = "too risky & <b>bold</b> *stars* @here"
    told = await direct(plain_world, f"{LOCK.command} because {reason}")
    message = await way.show(Card(title="Lock it?", buttons=(LOCK,)))
    answer = await way.press("ana", message, LOCK.label, reason)
    assert answer.cards == told
    assert await effects(way.world) == await effects(plain_world)


async def test_a_code_is_asked_where_nobody_else_reads_it(way: Way) -> None:
    message = await way.show(Card(title="Approve it?", key="request:7", final=False, buttons=(APPROVE,)))
    await way.click("ana", message, APPROVE.label, "123456")
    heard = await way.next_heard()
    assert heard.incoming.text.removeprefix("/") == "approve #7 code 123456"
    assert "123456" not in await way.seen("ben", message.where)


@pytest.mark.parametrize("who", ["cem", "eve", STRANGER])
async def test_who_may_not_is_told_so_and_uses_nothing_up(way: Way, who: str) -> None:
    message = await way.show(Card(title="Press", buttons=(DEPLOY,)))
    refused = await way.press(who, message, DEPLOY.label)
    assert not refused.cards[-1].ok
    assert way.world.deployments.asked == []
    await way.press("ben", message, DEPLOY.label)
    assert [asked.by for asked in way.world.deployments.asked] == ["ben"]


async def test_a_button_decides_once(way: Way) -> None:
    """At the console a button is a line to type, which can be typed again."""
    if way.name == "console":
        return
    message = await way.show(Card(title="Press", buttons=(DEPLOY,)))
    await way.press("ben", message, DEPLOY.label)
    await way.click("ana", message, DEPLOY.label, "")
    await way.until("ana", message.where, holds("This button was pressed already."))
    assert [asked.by for asked in way.world.deployments.asked] == ["ben"]


async def test_a_button_that_an_edit_took_away_does_nothing(way: Way) -> None:
    if not isinstance(way, DoubleWay):
        return
    card = Card(title="Press", key="deployment:7", buttons=(DEPLOY,), final=False)
    message = await way.show(card)
    before = way.post_with(message, DEPLOY.label)
    await way.show(Card(title="Over", key="deployment:7", buttons=(Button("Status", "status"),)), message)
    await way.press_again("ana", before, DEPLOY.label)
    await way.until("ana", message.where, holds("This button does not work any more."))
    assert way.world.deployments.asked == []
