"""What is said to people and comes of what they do: for comparing two bots."""

from __future__ import annotations

import re

from deploybot.card import Card
from deploybot.ports import Tables
from tests.kit.command_bot import CommandBot

Effects = dict[str, object]
_IDENTITY = re.compile(r"\b(?:console|slack|telegram):\S+")


async def direct(bot: CommandBot, line: str, who: str = "ana") -> tuple[Card, ...]:
    """What dispatch itself says to a line of a person, each card as it reads last."""
    bot.replies.clear()
    last = await bot.maybe(line, who, can_pick=True)
    cards = [*bot.replies, *([last] if last else [])]
    return tuple({card.key or str(number): card for number, card in enumerate(cards)}.values())


async def effects(bot: CommandBot) -> Effects:
    """Everything that was asked for, allowed, locked and written down, without the platform it came from."""
    now = bot.clock.now()
    return {
        "asked": [*bot.deployments.requests],
        "cancelled": [*bot.deployments.cancelled],
        "approved": [*bot.deployments.approved],
        "rejected": [*bot.deployments.rejected],
        "logs": [*bot.logs.asked],
        "followed": [*bot.logs.open],
        **await bot.store.read(lambda tables: _kept(tables, now)),
    }


def _kept(tables: Tables, now: float) -> Effects:
    return {
        "grants": sorted(
            (person.name, str(grant.role), grant.app, grant.environment)
            for person in tables.people.everybody()
            for grant in tables.people.grants(person.id)
        ),
        "locks": [(lock.app, lock.environment, lock.holder, lock.reason, lock.until) for lock in tables.locks.all(now)],
        "audit": [tuple(map(_anywhere, (row.actor, row.action, row.subject))) for row in tables.audit.tail(10_000)],
    }


def _anywhere(text: str) -> str:
    """A text without the platform of the person whom it names."""
    return _IDENTITY.sub("somebody", text)
