"""The transcript in docs/events.md, played: `python -m tests.events.page` prints it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Any

from deploybot.card import Card
from deploybot.chat.console.terminal_cards import plain
from deploybot.domain import Alert, BuildState, Push, PushedCommit
from tests.events.channel import ANA, NOON, EventChannel, build, open_channel, push

COMMITS = ("8c1f04d2ab", "f00d5e1c77", "3b9a6612e4", "d41c88e0f9")
WORK = ("Prices by country", "Round as the tax office does", "Test it with yen, too")
PASSED, FAILED, RUNNING, QUEUED = BuildState.PASSED, BuildState.FAILED, BuildState.RUNNING, BuildState.QUEUED


def commit(number: int) -> str:
    return COMMITS[number].ljust(40, "0")


def pushed(number: int, total: int = 1) -> Push:
    """One of Ana's pushes, ten minutes after the other."""
    at = NOON + 600 * (number - 1)
    page = f"https://git.example.com/acme/shop/compare/{COMMITS[number - 1]}...{COMMITS[number]}"
    told = PushedCommit(
        commit(number), "Ana Ruiz", WORK[number - 1], f"https://git.example.com/acme/shop/{COMMITS[number]}"
    )
    return replace(
        push(), before=commit(number - 1), after=commit(number), commits=(told,), total=total, at=at, compare=page
    )


def built(state: BuildState, number: int, name: str = "tests", **more: Any) -> Any:  # noqa: ANN401  a build's own fields
    """A state of a build of what one of her pushes brought."""
    begun = NOON + 600 * (number - 1) + 20
    over = begun + (95 if name == "tests" else 31)
    at = over if state.ended else begun + (state is RUNNING)
    finished = over if state.ended else 0.0
    return replace(
        build(state, number, name=name, **more), commit=commit(number), number=410 + number, started=begun, at=at,
        finished=finished,
    )  # fmt: skip


async def play() -> tuple[list[Card], list[str]]:
    """Half an hour of a channel: its messages at the end, and the titles that one of them had on the way."""
    async with open_channel() as channel:
        titles: list[str] = []
        for number, end in ((1, FAILED), (2, FAILED), (3, PASSED)):
            failed = ("unit", "browser") if end is FAILED else ()
            await channel.hear(pushed(number, total=3 if number == 1 else 1))
            steps = (built(QUEUED, number), built(RUNNING, number), built(PASSED, number, "lint"))
            for step in (*steps, built(end, number, failed=failed)):
                channel.clock.advance(30)
                await channel.hear(step)
                titles.append((await channel.messages())[-1].title)
            channel.clock.advance(480)
        await channel.runs("staging", commit(3))
        await _alert(channel)
        return await channel.messages(), [*dict.fromkeys(titles[-4:])]


async def _alert(channel: EventChannel) -> None:
    begun = NOON + 1500
    alert = Alert(
        sender="prometheus", key="1", name="HighErrorRate", firing=True, severity="critical", started=begun, at=begun,
        text="5 % of the requests fail.", labels=(("environment", "production"), ("job", "web")), by=ANA,
    )  # fmt: skip
    await channel.hear(alert, replace(alert, firing=False, at=begun + 260))


async def transcript() -> str:
    """What the page holds."""
    cards, titles = await play()
    told = "\n\n".join(plain(card, 118) for card in cards)
    return (
        f"{told}\n\n(The message about the build had these titles, one after the other:\n"
        + "\n".join(f"  {one}" for one in titles)
        + ")\n"
    )


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(transcript()))
