"""`python -m tests.doubles.card_pictures` makes docs/pictures/cards and docs/cards.md: each state on both platforms."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlencode

from deploybot.errors import UserError
from tests.doubles.browser import Browser, browser, missing
from tests.doubles.card_states import TITLES, all_cards
from tests.doubles.page import Chat, Page
from tests.parity.conftest import connected, furnished
from tests.parity.platforms import SlackWay, TelegramWay

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "pictures" / "cards"
CHATS = {"slack": "slack slash", "telegram": "telegram group"}
WIDTHS = {"desktop": 900, "phone": 390}
MOST_BYTES = 3_000_000
_HEIGHT = 1_400
_MARGIN = 8
_CARD = "[...document.querySelectorAll('article')].pop()"
_INTRODUCTION = """\
# What each card looks like

This page shows the bot's messages in every state, in Slack and Telegram, on a desktop and on a phone.
[The chats compared](chats.md#what-a-card-says) explains what a card says.

The pictures come from [test doubles](chats.md#try-it-without-an-account) of both platforms. The content is exact, but
the real apps look different. `python -m tests.doubles.card_pictures` makes this page.
"""


def page() -> str:
    """Return the text of docs/cards.md."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for state, title in TITLES.items():
        yield f"## {title}\n"
        yield "| | Slack | Telegram |\n| --- | --- | --- |"
        for width in WIDTHS:
            cells = (f"![{title}, {chat}, {width}](pictures/cards/{file_name(state, chat, width)})" for chat in CHATS)
            yield f"| {width} | {' | '.join(cells)} |"
        yield ""


def file_name(state: str, chat: str, width: str) -> str:
    """Return the name of a picture."""
    return f"{state}-{chat}-{width}.png"


async def main(work: Path) -> None:
    """Make all pictures, and the page."""
    if lack := missing():
        raise UserError(lack)
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        window = await stack.enter_async_context(browser(work / "profile", width=max(WIDTHS.values()), height=_HEIGHT))
        for chat, name in CHATS.items():
            bot = await stack.enter_async_context(furnished())
            (way,) = await stack.enter_async_context(connected(bot, name, folder=work))
            assert isinstance(way, SlackWay | TelegramWay)
            rooms = {state: way.new_channel() for state in TITLES}
            for state, card in (await all_cards(way, work / chat)).items():
                await way.chat.send(way.channel(rooms[state]), card)
            shown = Chat(way.chat_double, {way.user("ana"): "ana"}, {room: state for state, room in rooms.items()})
            there = Page({chat: shown})
            await there.start()
            stack.push_async_callback(there.close)
            for (width, pixels), (state, room) in ((one, two) for one in WIDTHS.items() for two in rooms.items()):
                where = urlencode({"chat": chat, "as": way.user("ana"), "room": room})
                picture = await taken(window, f"{there.url}/?{where}", pixels)
                (FOLDER / file_name(state, chat, width)).write_bytes(picture)
            sys.stdout.write(f"{chat}: {len(WIDTHS) * len(rooms)} pictures\n")
    (DOCS / "cards.md").write_text(page())


async def taken(window: Browser, url: str, width: int) -> bytes:
    """Return the card on a page as a PNG."""
    await window.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=_HEIGHT, deviceScaleFactor=1, mobile=False
    )
    await window.open(url)
    await window.until(f"!!{_CARD}")
    box = json.loads(await window.ask(f"JSON.stringify({_CARD}.getBoundingClientRect())"))
    clip = {
        "x": max(box["x"] - _MARGIN, 0),
        "y": max(box["y"] - _MARGIN, 0),
        "width": box["width"] + 2 * _MARGIN,
        "height": box["height"] + 2 * _MARGIN,
        "scale": 1,
    }
    shot = await window.call("Page.captureScreenshot", format="png", clip=clip)
    return base64.b64decode(shot["data"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="deploybot-cards-") as made_for_it:
        asyncio.run(main(Path(made_for_it).resolve()))
