"""Every command, typed on every platform in every manner, does and answers what it does and answers anywhere."""

from __future__ import annotations

import dataclasses

import pytest

from deploybot.card import Card
from deploybot.command import Command
from tests.kit.command_bot import CommandBot
from tests.parity.effects import direct, effects
from tests.parity.ways import Way

MORE = (
    "deploy shop@v1.4 to staging because the logo is wrong & <b>bold</b> *stars* _lines_ `ticks`",
    "lock shop staging for 2h because of 50 % off, <!channel> @here [link](http://x.example)",
    "unlock shop staging",
    "run shop migrate staging",
)
BY_PLATFORM = frozenset({"whoami", "deny", "who"})
"""Commands whose answers say an identity as the platform writes it."""
SECRET = frozenset({"link", "totp"})
"""Commands whose answers hold a new secret, and so depend on who else is there."""


def lines_of(command: Command) -> tuple[str, ...]:
    """What its help gives as examples; a command without any is called by its name alone."""
    return command.examples or (command.name,)


async def test_every_command_has_the_same_effect_and_all_of_its_answer_is_seen(
    manner: Way, plain_world: CommandBot
) -> None:
    commands = plain_world.services.commands
    lines = [line for command in commands.values() if command.name not in SECRET for line in lines_of(command)]
    for line in [*lines, *MORE]:
        told = await direct(plain_world, line)
        message = await manner.say("ana", line)
        assert await effects(manner.bot) == await effects(plain_world), line
        if line.split()[0] not in BY_PLATFORM:
            assert message.cards == told, line
    assert len(lines) >= len(commands) - len(SECRET)


@pytest.mark.parametrize("command", sorted(SECRET))
async def test_a_secret_is_shown_to_whoever_asks_for_it_and_to_nobody_else(way: Way, command: str) -> None:
    """At the console, where everybody is the same user, it is shown to who typed; in channels only in private."""
    message = await way.say("ana", command)
    others = await way.seen("ben", message.where)
    shown = [line.text for card in message.cards for line in card.lines] + [card.title for card in message.cards]
    if message.cards[-1].ok:
        assert not any(text in others for text in shown)
    else:
        assert "in a direct message" in message.cards[-1].hint


async def test_messages_that_are_not_for_the_bot_are_ignored(way: Way) -> None:
    """A console's every line is for the bot; in a channel only what is addressed to it is heard."""
    if way.name == "console":
        return
    for line in ("deploy shop@v1.4 to staging", "status shop", "dploy shop", "what does deploybot do?"):
        await way.type_to_others("ana", way.new_channel(), line)
    await way.say("ana", "whoami")
    assert way.received.empty()
    assert await way.bot.audit() == []


async def test_a_card_that_changes_is_one_message_in_its_last_state(way: Way) -> None:
    states = [Card(title=f"state {number}", key="deployment:7", final=number == 2) for number in range(3)]
    message = await way.show(states[0])
    for state in states[1:]:
        message = await way.show(dataclasses.replace(state), message)
    assert "state 2" in message.sight.text
    assert "state 1" not in message.sight.text
