"""`python -m tests.doubles.pictures docs/pictures`: plays scenes on the doubles, and keeps what the page shows."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlencode

from deploybot.errors import UserError
from tests.doubles.both_chats import CHANNEL, GROUP, PEOPLE, BotInBothChats, bot_in_both_chats
from tests.doubles.browser import Browser, browser, missing
from tests.doubles.page import READY, Page

_DEPLOYED_WITHIN = 60.0
_SIZE = {"width": 1000, "height": 700}
_PHONE = {"width": 390, "height": 700}


class Studio:
    """The bot in both chats, and a browser that looks at it."""

    def __init__(self, made: BotInBothChats, page: Page, window: Browser) -> None:
        self.both = made
        self.window = window
        self._page = page

    async def look(self, chat: str, who: str) -> None:
        """Show a chat's public room as somebody sees it."""
        slack, telegram, _ = PEOPLE[who]
        where = {"as": slack, "room": CHANNEL} if chat == "slack" else {"as": telegram, "room": GROUP}
        await self.window.open(f"{self._page.url}/?{urlencode({'chat': chat, **where})}", ready=READY)

    async def write(self, text: str) -> None:
        """Have whoever looks write something."""
        await self.window.type("#text", text)

    async def until(self, *phrases: str) -> None:
        """Wait until one message says all of this."""
        there = f"{json.dumps(phrases)}.every(text => one.innerText.includes(text))"
        script = f"[...document.querySelectorAll('article')].some(one => {there})"
        await self.window.until(script, within=_DEPLOYED_WITHIN)


async def telegram_deployment(studio: Studio) -> None:
    """A deployment in Telegram while it goes on."""
    await studio.look("telegram", "ana")
    await studio.write("/deploy shop@v1")
    await studio.until("#1", "succeeded")
    await studio.write("/deploy shop@v4 because the price list is new")
    await studio.until("#2", "running", "fetch")


async def slack_deployment(studio: Studio) -> None:
    """A broken release in Slack: it does not come up, and the old one is put back."""
    await studio.look("slack", "ben")
    await studio.until("#2", "succeeded")
    await studio.write("/deploy shop@v1 to production")
    await studio.until("#3", "waiting for 1 approval")
    await studio.look("slack", "ana")
    await studio.window.click("Approve")
    await studio.until("#3", "succeeded")
    await studio.write("/deploy shop@v3 to production because everybody wants a cart")
    await studio.until("#4", "waiting for 1 approval")
    await studio.look("slack", "ben")
    await studio.window.click("Approve")
    await studio.until("#4", "rolled back to")


async def slack_approval(studio: Studio) -> None:
    """A request for production in Slack, as somebody sees it who may approve it."""
    await studio.look("slack", "ana")
    await studio.write("/deploy shop@v2 to production because the prices have to change today")
    await studio.until("#5", "waiting for 1 approval")
    await studio.look("slack", "ben")
    await studio.until("#5", "waiting for 1 approval", "Approve")


async def seen(studio: Studio) -> None:
    """The request as it is, on whatever the browser looks like now."""
    await studio.until("#5", "waiting for 1 approval")
    await studio.window.ask("document.querySelector('#posts').scrollTop = 1e6")


SCENES: dict[str, Callable[[Studio], Awaitable[None]]] = {
    "telegram-deployment": telegram_deployment,
    "slack-deployment": slack_deployment,
    "slack-approval": slack_approval,
}


async def main(folder: Path, work: Path) -> None:
    """Make all pictures."""
    if lack := missing():
        raise UserError(lack)
    async with bot_in_both_chats(work / "town") as made:
        page = Page(made.chats())
        await page.start()
        async with browser(work / "profile", **_SIZE) as window:
            studio = Studio(made, page, window)
            for name, timeline in SCENES.items():
                await timeline(studio)
                (folder / f"{name}.png").write_bytes(await window.picture())
                sys.stdout.write(f"{name}.png\n")
        async with browser(work / "phone", **_PHONE) as window:
            studio = Studio(made, page, window)
            for chat in ("slack", "telegram"):
                await studio.look(chat, "ben")
                await seen(studio)
                (folder / f"{chat}-phone.png").write_bytes(await window.picture())
                sys.stdout.write(f"{chat}-phone.png\n")
        await page.close()
        violations = made.slack.violations + made.telegram.violations
        if violations:
            raise UserError("\n".join(violations))


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deploybot-pictures-") as made_for_it:
        asyncio.run(main(target, Path(made_for_it).resolve()))
