"""The Telegram double: a Bot API server on loopback, and what people do on the other side of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field

from aiohttp import web

from tests.doubles.telegram.inbox import Inbox
from tests.doubles.telegram.limits import Gate, Limits
from tests.doubles.telegram.markup import Refused
from tests.doubles.telegram.methods import Methods
from tests.doubles.telegram.rooms import Json, Room, Said, User
from tests.doubles.telegram.shapes import COUNTED, Params
from tests.doubles.timeline import Post, Timeline, Unkind

BOT_ID = 123456789
_TOKEN = f"{BOT_ID}:AAFdoubleDOUBLEdoubleDOUBLEdoubleDOU"
_WITHIN = 10.0
_FOREVER = 3600.0


@dataclass(slots=True)
class Pressed:
    """A press of a button, and whether the bot has answered it (a callback query)."""

    id: str
    user: User
    room: Room
    at: float = field(default_factory=time.monotonic)
    answered: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)
    text: str = ""
    url: str = ""
    alert: bool = False


class TelegramDouble:
    """`timeline.Double` for Telegram. `unkind_to` are the methods on which `unkind` is let loose.

    Users and groups are made when they are first spoken of: channels below zero are supergroups that the bot
    is a member of, and a channel that is a user's id is their private chat. `links` are all texts that Telegram
    would have made a link of by itself, `replies` which messages of which chats were answered; `press_life` is how
    many seconds a press can be answered.
    """

    platform = "telegram"
    username = "thebot"

    def __init__(self, limits: Limits | None = None) -> None:
        """Take other limits than the real ones, where a test has no time for them."""
        self.timeline = Timeline()
        self.unkind = Unkind()
        self.takes_documents = True
        self.unkind_to = COUNTED
        self.violations: list[str] = []
        self.gate = Gate(limits or Limits(), self.violations)
        self.inbox = Inbox(self.unkind)
        self.users: dict[int, User] = {}
        self.rooms: dict[int, Room] = {}
        self.menus: dict[str, dict[str, str]] = {}
        self.pressed: dict[str, Pressed] = {}
        self.states: dict[tuple[int, int], tuple[str, tuple[dict[str, str], ...]]] = {}
        self.actions: list[tuple[str, str]] = []
        self.reactions: list[tuple[str, str, str]] = []
        self.reacted_at: list[float] = []
        self.replies: list[tuple[str, str]] = []
        self.links: list[str] = []
        self.calls: list[str] = []
        self.privacy = True
        self.press_life = 15.0
        self.token = _TOKEN
        self.port = 0
        self._presses = itertools.count(1)
        self._methods = Methods(self)
        self._runner: web.AppRunner | None = None

    @property
    def api_url(self) -> str:
        """Where the bot finds it."""
        return f"http://127.0.0.1:{self.port}"

    def me(self) -> Json:
        """The bot as a user."""
        return {"id": BOT_ID, "is_bot": True, "first_name": "The bot", "username": self.username}

    async def start(self) -> None:
        """Listen on loopback; on the same port as before where it was closed."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/bot{token}/{method}", self._call)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        server = site._server
        assert isinstance(server, asyncio.Server)
        self.port = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop, and cut every connection; presses that were never answered are noted."""
        await self.inbox.close()
        self._note_unanswered()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _note_unanswered(self) -> None:
        for pressed in self.pressed.values():
            if not pressed.answered:
                pressed.answered = True
                self.violations.append(f"the press {pressed.id} of {pressed.user.name} was never answered")

    async def _call(self, request: web.Request) -> web.StreamResponse:
        """One call of the Bot API."""
        name = request.match_info["method"]
        self.calls.append(name)
        if unkind := await self._unkind(name, request):
            return unkind
        if request.match_info["token"] != self.token:
            return _failure(Refused("Unauthorized", 401))
        params: Params = dict(request.query)
        if request.method == "POST":
            form = await request.post()
            params |= {key: value for key, value in form.items() if isinstance(value, str | web.FileField)}
        try:
            result = await self._methods.call(name, params)
        except Refused as refused:
            return _failure(refused)
        return web.json_response({"ok": True, "result": result})

    async def _unkind(self, name: str, request: web.Request) -> web.Response | None:
        if name not in self.unkind_to:
            return None
        unkind = self.unkind
        if unkind.too_many > 0:
            unkind.too_many -= 1
            chat = str((await request.post()).get("chat_id", ""))
            return _failure(self.gate.ban(chat, unkind.retry_after))
        if unkind.broken > 0:
            unkind.broken -= 1
            return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
        if unkind.silent > 0:
            unkind.silent -= 1
            await asyncio.sleep(_FOREVER)
        if unkind.dropped > 0 and request.transport is not None:
            unkind.dropped -= 1
            request.transport.abort()
            return web.Response(status=500)
        return None

    def user(self, user: str, *, started: bool = True) -> User:
        """A person, made where there is none of that id; `started` is whether they have pressed Start."""
        number = int(user)
        made = self.users.setdefault(number, User(number, f"user{number}", started))
        self.rooms.setdefault(number, Room(number, "private", made.name))
        return made

    def group(
        self, channel: str, *, forum: bool = False, topics: tuple[int, ...] = (), kind: str = "supergroup"
    ) -> Room:
        """A group that the bot is in, made where there is none of that id."""
        number = int(channel)
        return self.rooms.setdefault(number, Room(number, kind, f"group {number}", forum, set(topics)))

    def _room(self, channel: str) -> Room:
        if channel.startswith("-"):
            return self.group(channel)
        self.user(channel)
        return self.rooms[int(channel)]

    async def say(
        self, user: str, channel: str, text: str, *, thread: str = "", reply_to: str = "", **more: object
    ) -> str:
        """Have a person write; `more` goes into the message as it is (`date`, `forward_origin`, `sender_chat`)."""
        author, room = self.user(user), self._room(channel)
        room.members[author.id] = author
        if room.kind == "private":
            author.started = True
        if thread:
            room.forum = True
            room.topics.add(int(thread))
        message = room.message(author.json(), text, int(thread or 0))
        said = Said(message, by_bot=False, text=text)
        replied = room.messages.get(int(reply_to or 0))
        if replied is not None:
            message["reply_to_message"] = replied.json
        if entities := _entities(text):
            message["entities"] = entities
        message |= more
        number = str(message["message_id"])
        room.messages[int(number)] = said
        self.timeline.put(
            Post(id=number, channel=channel, author=author.name, text=text, thread=thread, at=time.time())
        )
        if self._sees(room, message, replied):
            self.inbox.put("message", message)
        return number

    def _sees(self, room: Room, message: Json, replied: Said | None) -> bool:
        """Whether privacy mode lets the bot see a message."""
        if room.status in {"kicked", "left"}:
            return False
        text = str(message.get("text", ""))
        if room.kind == "private" or not self.privacy or (replied is not None and replied.by_bot):
            return True
        if text.startswith("/"):
            named = text.split(maxsplit=1)[0].partition("@")[2].lower()
            return named in {"", self.username}
        return f"@{self.username}" in text.lower()

    async def press(self, user: str, post: Post, label: str, *, answer: str = "") -> None:
        """Have a person press a button, and answer what is asked."""
        button = next((one for one in post.buttons if one.label == label), None)
        assert button is not None, f"there is no button {label!r}, but {[one.label for one in post.buttons]}"
        before = len(self.timeline.posts)
        pressed = await self.send_press(user, post, button.value)
        if answer:
            await self._reply(pressed, answer, before)

    async def send_press(self, user: str, post: Post, value: str, *, ident: str = "") -> Pressed:
        """Have a client send any callback data for a message, as a forger could."""
        person, room = self.user(user), self._room(post.channel)
        pressed = Pressed(ident or str(next(self._presses)), person, room)
        self.pressed[pressed.id] = pressed
        said = room.messages.get(int(post.id))
        message = said.json if said else {"message_id": int(post.id), "chat": room.json(), "date": 0}
        self.inbox.put(
            "callback_query",
            {"id": pressed.id, "from": person.json(), "message": message, "chat_instance": "1", "data": value},
        )
        return pressed

    def answered(self, pressed: Pressed, text: str, url: str, *, alert: bool) -> None:
        """Show an answer to who pressed, and to nobody else."""
        pressed.answered, pressed.text, pressed.url, pressed.alert = True, text, url, alert
        pressed.done.set()
        if text:
            self.timeline.put(
                Post(
                    id=f"answer-{pressed.id}",
                    channel=str(pressed.room.id),
                    author=self.username,
                    text=text,
                    only_for=str(pressed.user.id),
                    at=time.time(),
                )
            )

    async def _reply(self, pressed: Pressed, answer: str, before: int) -> None:
        """Answer the question that a press leads to, in the group or in private."""
        user = pressed.user
        async with asyncio.timeout(_WITHIN):
            await pressed.done.wait()
        if pressed.url:
            await self.say(str(user.id), str(user.id), f"/start {pressed.url.rpartition('=')[2]}")

        def asked(post: Post) -> bool:
            room = self.rooms.get(int(post.channel))
            said = room.messages.get(int(post.id)) if room and post.id.isdigit() else None
            new = post in self.timeline.posts[before:]
            return new and said is not None and said.question is not None and said.question in {0, user.id}

        question = await self.timeline.until(asked)
        await self.say(str(user.id), question.channel, answer, thread=question.thread, reply_to=question.id)

    def migrate(self, old: str, new: str) -> None:
        """A group becomes a supergroup."""
        group, made = self.group(old, kind="group"), self.group(new)
        group.moved_to = made.id
        nobody = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
        self.inbox.put("message", group.message(nobody, "", 0) | {"migrate_to_chat_id": made.id})


def _entities(text: str) -> list[Json]:
    """The entities that matter to a bot."""
    if not text.startswith("/"):
        return []
    return [{"type": "bot_command", "offset": 0, "length": len(text.split(maxsplit=1)[0])}]


def _failure(refused: Refused) -> web.Response:
    body: Json = {"ok": False, "error_code": refused.code, "description": refused.description}
    if refused.parameters:
        body["parameters"] = refused.parameters
    return web.json_response(body, status=refused.code)
