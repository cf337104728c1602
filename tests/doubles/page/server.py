"""The page's server: what a person sees as JSON, and what they do as posts. Loopback only, and for no real chat."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.doubles.slack import SlackDouble
from tests.doubles.telegram import TelegramDouble
from tests.doubles.timeline import Post

_FILES = Path(__file__).parent
_TYPES = {"page.js": "text/javascript", "page.css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'none'"
)
_ANSWERED_WITHIN = 5.0
READY = "document.getElementById('name').textContent !== ''"
"""What is true in the page once its script knows the chats, and a person can type."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chat:
    """A double, its people by id, and its rooms by id: `{user}` in a room's id stands for whoever looks at it."""

    double: SlackDouble | TelegramDouble
    people: Mapping[str, str]
    rooms: Mapping[str, str]


class Page:
    """Serves `chats`, by their platform, on `port` of 127.0.0.1; 0 for any. `url` is known once it has started."""

    def __init__(self, chats: Mapping[str, Chat], port: int = 0) -> None:
        self._chats = chats
        self._port = port
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/{file:page\\.(?:js|css)}", self._file)
        app.router.add_get("/chats", self._rooms)
        app.router.add_get("/posts", self._posts)
        app.router.add_get("/file", self._download)
        for path, handler in {"/say": self._say, "/press": self._press, "/home": self._home}.items():
            app.router.add_post(path, handler)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, _: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(text=_read("page.html"), content_type="text/html", headers=headers)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["file"]
        return web.Response(text=_read(name), content_type=_TYPES[name])

    async def _rooms(self, _: web.Request) -> web.Response:
        """Which chats there are, and who and what is in them."""
        chats = {name: {"people": dict(chat.people), "rooms": dict(chat.rooms)} for name, chat in self._chats.items()}
        return web.json_response(chats)

    async def _posts(self, request: web.Request) -> web.Response:
        """What somebody sees in a room: everything of it that is shown."""
        chat, user, room = self._where(request.query)
        posts = chat.double.timeline.seen_by(user, room)
        return web.json_response([_shown(chat.double, post) for post in posts])

    async def _download(self, request: web.Request) -> web.Response:
        """A file of a post."""
        chat, user, room = self._where(request.query)
        post = _post(chat, user, room, request.query.get("id", ""))
        content = dict(post.files).get(request.query.get("name", ""))
        if content is None:
            raise web.HTTPNotFound
        return web.Response(body=content, content_type="application/octet-stream")

    async def _say(self, request: web.Request) -> web.Response:
        """Somebody writes."""
        given = await _given(request)
        chat, user, room = self._where(given)
        if isinstance(chat.double, TelegramDouble):
            await chat.double.say(user, room, given["text"], reply_to=given.get("reply", ""))
        else:
            await chat.double.say(user, room, given["text"], thread=given.get("reply", ""))
        return web.json_response({})

    async def _press(self, request: web.Request) -> web.Response:
        """Somebody presses a button; where that leads to another room, which."""
        given = await _given(request)
        chat, user, room = self._where(given)
        post = _post(chat, user, room, given["id"])
        if isinstance(chat.double, SlackDouble):
            await chat.double.press(user, post, given["label"], answer=given.get("answer", ""))
            return web.json_response({})
        return web.json_response({"room": await _press_in_telegram(chat.double, user, post, given["label"])})

    async def _home(self, request: web.Request) -> web.Response:
        """Somebody opens the app's home, where there is one."""
        chat, user, _ = self._where(await _given(request))
        if isinstance(chat.double, SlackDouble):
            await chat.double.open_home(user)
        return web.json_response({})

    def _where(self, given: Mapping[str, str]) -> tuple[Chat, str, str]:
        """Chat, person and room of a request; 404 where there are none of that name."""
        chat, user, room = self._chats.get(given.get("chat", "")), given.get("as", ""), given.get("room", "")
        if chat is None or user not in chat.people or room not in chat.rooms:
            raise web.HTTPNotFound
        return chat, user, room.replace("{user}", user)


def _read(name: str) -> str:
    return (_FILES / name).read_text("utf-8")


async def _given(request: web.Request) -> Mapping[str, str]:
    """What was posted; JSON only, which no other site's page may send here."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    given: dict[str, str] = await request.json()
    return given


def _post(chat: Chat, user: str, room: str, number: str) -> Post:
    for post in chat.double.timeline.seen_by(user, room):
        if post.id == number:
            return post
    raise web.HTTPNotFound


def _shown(double: SlackDouble | TelegramDouble, post: Post) -> Json:
    """A post as the page takes it. `asks` is whether it is a question that has a field to type into (a modal)."""
    return {
        "id": post.id,
        "author": post.author,
        "text": post.text,
        "html": post.html,
        "buttons": [{"label": one.label, "danger": one.danger, "primary": one.primary} for one in post.buttons],
        "files": [name for name, _ in post.files],
        "thread": post.thread,
        "private": bool(post.only_for),
        "edited": post.edits > 0,
        "at": post.at,
        "asks": isinstance(double, SlackDouble) and _has_field(double, post.id),
    }


def _has_field(double: SlackDouble, view: str) -> bool:
    blocks = double.state.views.get(view, {}).get("blocks", ())
    return any(block["type"] == "input" and block["element"]["type"] == "plain_text_input" for block in blocks)


async def _press_in_telegram(double: TelegramDouble, user: str, post: Post, label: str) -> str:
    """Press, and follow the link that the answer may be: it opens the private chat with the bot."""
    value = next((one.value for one in post.buttons if one.label == label), "")
    if not value:
        return user
    pressed = await double.send_press(user, post, value)
    async with asyncio.timeout(_ANSWERED_WITHIN):
        await pressed.done.wait()
    if not pressed.url:
        return ""
    await double.say(user, user, f"/start {pressed.url.rpartition('=')[2]}")
    return user
