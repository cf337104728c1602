"""Asking the bot: commands as people type them, and deployments seen to their end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from deploybot.card import Card
from deploybot.chat.console.terminal_cards import plain
from deploybot.deployments.deployment_card import deployment_card, number_of
from deploybot.domain import Deployment, State
from tests.e2e.conftest import RunningBot, server_toml
from tests.histories.server import HandServer

ENDS_WITHIN = 240.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command: the deployment and its last card, or the card that refused it."""

    card: Card
    deployment: Deployment | None = None
    hung: bool = False

    @property
    def state(self) -> State | None:
        """How the deployment ended; None where none began."""
        return self.deployment.state if self.deployment else None

    @property
    def said(self) -> str:
        """Everything the card says."""
        return plain(self.card, 200)


async def order(running: RunningBot, command: str) -> Ended:
    """Type a command that deploys, and see it to its end."""
    card = await running.say(command)
    number = number_of(card.key)
    if not card.queued or number is None:
        return Ended(card)
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            await running.bot.deployments.queue.idle(number)
    except TimeoutError:
        return Ended(card, await running.bot.deployments.get(number), hung=True)
    return await last_card(running, number)


async def last_card(running: RunningBot, number: int) -> Ended:
    """A deployment as it ended, with its card."""
    deployment = await running.bot.deployments.get(number)
    assert deployment is not None
    steps = await running.world.store.read(lambda tables: tables.deployments.steps(number))
    return Ended(deployment_card(deployment, steps), deployment, hung=not deployment.state.ended)


def bot_toml(folder: Path, server: HandServer, tables: list[str]) -> Path:
    """Write a bot.toml with one server and these tables."""
    table = server_toml(server.engine.sshd, more='docker = "/var/run/docker.sock"')
    path = folder / "bot.toml"
    path.write_text("\n".join([f'[bot]\ndata = "{folder / "data"}"', table, *tables]))
    return path
