"""The Web API, response_urls and the upload of files (docs.slack.dev/reference/methods)."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from tests.doubles.slack.mrkdwn import Json, read_blocks
from tests.doubles.slack.rates import Rates
from tests.doubles.slack.rules import check_message, check_view
from tests.doubles.slack.state import BOT_NAME, BOT_USER, Message, State
from tests.doubles.timeline import Post, Unkind

_TEXT: Final = {"text", "blocks", "parse", "link_names", "metadata"}
_MESSAGE: Final = {"channel", *_TEXT, "thread_ts", "unfurl_links", "unfurl_media", "mrkdwn"}
METHODS: Final[dict[str, tuple[str, set[str], set[str]]]] = {
    # method: scope, arguments that must be there, arguments that may be there
    "auth.test": ("", set(), set()),
    "apps.connections.open": ("connections:write", set(), set()),
    "chat.postMessage": ("chat:write", {"channel"}, _MESSAGE),
    "chat.update": ("chat:write", {"channel", "ts"}, _TEXT),
    "chat.postEphemeral": ("chat:write", {"channel", "user"}, {*_TEXT, "thread_ts"}),
    "views.open": ("", {"view", "trigger_id"}, set()),
    "views.publish": ("", {"view", "user_id"}, {"hash"}),
    "views.update": ("", {"view", "view_id"}, {"hash"}),
    "files.getUploadURLExternal": ("files:write", {"filename", "length"}, {"alt_txt", "snippet_type"}),
    "files.completeUploadExternal": ("files:write", {"files"}, {"channel_id", "thread_ts", "initial_comment"}),
    "users.info": ("users:read", {"user"}, {"include_locale"}),
    "conversations.info": ("channels:read", {"channel"}, {"include_locale", "include_num_members"}),
}
ALL_SCOPES: Final = "commands,chat:write,app_mentions:read,files:write,users:read,im:history,channels:read,groups:read"


class Refused(Exception):
    """`ok: false` with this error; `more` goes beside it. What a bot could have known to be wrong is a violation."""

    def __init__(self, error: str, *, breach: str = "", **more: object) -> None:
        super().__init__(error)
        self.error = error
        self.breach = breach
        self.more = more


@dataclass(slots=True)
class WebApi:
    """`dead` is the error that every call gets (`token_revoked`); `scopes` are those that were granted.

    `narrow` is the error that every message with blocks gets: Slack refuses some for reasons of its own.
    `garbled` is the JSON that something on the way to Slack answers with. So many messages and edits as `throttled` are
    `rate_limited`, without Retry-After: docs.slack.dev/reference/methods/chat.postMessage, Errors.
    A `full` workspace accepts no files.
    Messages with a block of one of `refused_blocks` are `invalid_blocks`: older workspaces do not take new kinds.
    """

    state: State
    unkind: Unkind
    bot_token: str
    app_token: str
    open_socket: Callable[[], str]
    url: str = ""
    dead: str = ""
    dead_app: str = ""
    home: bool = True
    narrow: str = ""
    garbled: str = ""
    throttled: int = 0
    full: bool = False
    refused_blocks: frozenset[str] = frozenset()
    scopes: str = ALL_SCOPES
    rates: Rates = field(default_factory=Rates)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, request: web.Request) -> web.StreamResponse:
        """One call of the Web API."""
        method = request.match_info["method"]
        if (mood := await self._mood(method)) is not None:
            return mood
        headers = {"X-OAuth-Scopes": self.scopes}
        try:
            args = await _arguments(request)
            self._authorise(method, request.headers.get("Authorization", ""))
            self._shape(method, args)
            wait, breach = self.rates.refuse(method, str(args.get("channel", "")))
            if wait:
                self.state.violations.extend([breach] if breach else [])
                return _too_many(wait)
            answer = getattr(self, "_" + method.replace(".", "_"))(args)
        except Refused as refused:
            if refused.breach:
                self.state.violations.append(f"{method}: {refused.error}: {refused.breach}")
            return web.json_response({"ok": False, "error": refused.error, **refused.more}, headers=headers)
        return web.json_response({"ok": True, **answer}, headers=headers)

    async def _mood(self, method: str) -> web.Response | None:
        """What it does wrong on request."""
        if self.unkind.silent > 0:
            self.unkind.silent -= 1
            await self.closing.wait()
            return web.Response(status=503)
        if self.unkind.broken > 0:
            self.unkind.broken -= 1
            return web.Response(status=503, text="<html>upstream connect error</html>", content_type="text/html")
        if self.garbled:
            return web.Response(text=self.garbled, content_type="application/json")
        if self.throttled > 0 and method in {"chat.postMessage", "chat.update"}:
            self.throttled -= 1
            return web.json_response({"ok": False, "error": "rate_limited"})
        if self.unkind.too_many > 0:
            self.unkind.too_many -= 1
            if method != "chat.postMessage":
                self.rates.hush(method, "", self.unkind.retry_after)
            return _too_many(self.unkind.retry_after)
        return None

    def _authorise(self, method: str, header: str) -> None:
        if method not in METHODS:
            raise Refused("unknown_method", breach=method, req_method=method)
        scope = METHODS[method][0]
        app = scope == "connections:write"
        if header != f"Bearer {self.app_token if app else self.bot_token}":
            raise Refused("not_allowed_token_type" if header.startswith("Bearer xapp") and not app else "invalid_auth")
        if app and self.dead_app:
            raise Refused(self.dead_app)
        if self.dead and not app:
            raise Refused(self.dead)
        if scope and not app and scope not in self.scopes.split(","):
            raise Refused("missing_scope", needed=scope, provided=self.scopes)

    @staticmethod
    def _shape(method: str, args: Json) -> None:
        _, must, may = METHODS[method]
        if missing := must - args.keys():
            raise Refused("invalid_arguments", breach=f"missing {sorted(missing)}")
        if unknown := args.keys() - must - may:
            raise Refused("invalid_arguments", breach=f"unknown {sorted(unknown)}")

    def _auth_test(self, _: Json) -> Json:
        more = {"enterprise_id": self.state.enterprise} if self.state.enterprise else {}
        return {
            "url": "https://acme.slack.com/",
            "team": "acme",
            "team_id": self.state.team,
            "user": BOT_NAME,
            "user_id": BOT_USER,
            "bot_id": "B0BOT",
            "is_enterprise_install": False,
            **more,
        }

    def _apps_connections_open(self, _: Json) -> Json:
        return {"url": self.open_socket()}

    def _chat_postMessage(self, args: Json) -> Json:  # noqa: N802  Slack's name
        if args["channel"] in self.state.users:  # a user's id: docs.slack.dev/reference/methods/chat.postMessage
            if not self.state.direct:
                raise Refused("messages_tab_disabled")
            args = {**args, "channel": f"D{args['channel']}"}
        message = self._message(args, author=BOT_NAME)
        if read_blocks(message.blocks).links and not (args.get("unfurl_links") is args.get("unfurl_media") is False):
            raise Refused("(double) unfolds", breach="links, and not unfurl_links and unfurl_media: false")
        self.state.put(message)
        return {"channel": message.channel, "ts": message.ts, "message": {"text": message.text, "ts": message.ts}}

    def _message(self, args: Json, *, author: str, only_for: str = "") -> Message:
        """A new message, checked. In direct messages the bot is always; elsewhere it has to be invited."""
        self._check(args)
        channel = self.state.channel(args["channel"])
        if not channel.bot_in:
            raise Refused("channel_not_found" if channel.direct else "not_in_channel")
        if channel.refuses:
            raise Refused(channel.refuses)
        thread = args.get("thread_ts") or ""
        if thread and channel.refuses_replies:
            raise Refused(channel.refuses_replies)
        self._check_thread(channel.id, thread)
        return Message(
            channel.id,
            self.state.new_ts(),
            author,
            args.get("text") or "",
            blocks=args.get("blocks") or [],
            thread=thread,
            only_for=only_for,
        )

    def _check_thread(self, channel: str, thread: str) -> None:
        if not thread:
            return
        parent = self.state.messages.get((channel, thread))
        if parent is None:
            raise Refused("thread_not_found", breach=f"no message {thread} in {channel}")
        if parent.thread and parent.thread != thread:
            raise Refused("invalid_thread_ts", breach="a reply is no thread")

    def _check(self, args: Json) -> None:
        if self.narrow and args.get("blocks"):
            raise Refused(self.narrow)
        if self.refused_blocks & {one.get("type") for one in args.get("blocks") or ()}:
            raise Refused("invalid_blocks")
        for breach in check_message(args):
            error = breach if breach in {"msg_blocks_too_long", "no_text"} else "invalid_blocks"
            raise Refused(error, breach=breach, response_metadata={"messages": [breach]})

    def _chat_update(self, args: Json) -> Json:
        self._check(args)
        message = self.state.messages.get((args["channel"], args["ts"]))
        if message is None or message.only_for:
            raise Refused("message_not_found")
        if message.author != BOT_NAME:
            raise Refused("cant_update_message", breach="another's message")
        message.text, message.blocks = args.get("text") or "", args.get("blocks", message.blocks)
        self.state.put(message)
        return {"channel": message.channel, "ts": message.ts, "text": message.text}

    def _chat_postEphemeral(self, args: Json) -> Json:  # noqa: N802  Slack's name
        message = self._message(args, author=BOT_NAME, only_for=args["user"])
        self.state.put(message)
        return {"message_ts": message.ts}

    def _views_open(self, args: Json) -> Json:
        trigger = self.state.triggers.get(args["trigger_id"])
        if trigger is None:
            raise Refused("invalid_trigger_id", breach="made up")
        if trigger.used:
            raise Refused("exchanged_trigger_id", breach="used twice")
        if asyncio.get_running_loop().time() > trigger.until:
            raise Refused("expired_trigger_id")
        view = self._view(args["view"], "modal")
        trigger.used = True
        view["id"] = self.state.new_view()
        self.state.views[view["id"]] = view
        self.state.opened[args["trigger_id"]] = view["id"]
        self.state.show_view(view, trigger)
        self.state.view_opened.set()
        return {"view": view}

    @staticmethod
    def _view(view: Json | str, kind: str) -> Json:
        view = json.loads(view) if isinstance(view, str) else view
        for breach in check_view(view):
            raise Refused("invalid_arguments", breach=breach, response_metadata={"messages": [breach]})
        if view["type"] != kind:
            raise Refused("invalid_arguments", breach=f"a {view['type']}, not a {kind}")
        return {**view}

    def _views_publish(self, args: Json) -> Json:
        if not self.home:
            raise Refused("not_enabled")
        view = self._view(args["view"], "home")
        self.state.views[f"home:{args['user_id']}"] = view
        seen = read_blocks(view["blocks"])
        self.state.timeline.put(
            Post(
                id="home",
                channel=f"home:{args['user_id']}",
                author=BOT_NAME,
                text=seen.text.strip("\n"),
                html=seen.html,
                buttons=tuple(seen.buttons),
                pings=tuple(seen.pings),
                only_for=args["user_id"],
                at=self.state.now(),
            )
        )
        return {"view": {**view, "id": "VHOME"}}

    def _files_getUploadURLExternal(self, args: Json) -> Json:  # noqa: N802  Slack's name
        length = int(args["length"])
        if self.full:
            raise Refused("storage_limit_reached")
        if length <= 0:
            raise Refused("invalid_arguments", breach="an empty file")
        file = f"F{secrets.token_hex(5).upper()}"
        self.state.uploads[file] = (str(args["filename"]), length, None)
        return {"upload_url": f"{self.url}/upload/v1/{file}", "file_id": file}

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a file."""
        file = request.match_info["file"]
        name, length, _ = self.state.uploads[file]
        data = await request.read()
        if len(data) != length:
            self.state.violations.append(f"upload: {len(data)} bytes of {name}, not {length}")
            return web.Response(status=400, text="wrong length")
        self.state.uploads[file] = (name, length, data)
        return web.Response(text=f"OK - {length}")

    def _files_completeUploadExternal(self, args: Json) -> Json:  # noqa: N802  Slack's name
        files = args["files"] if isinstance(args["files"], list) else json.loads(args["files"])
        found = []
        for file in files:
            name, _, data = self.state.uploads.pop(file["id"], ("", 0, None))
            if data is None:
                raise Refused("file_not_found", breach="completed before it was uploaded")
            found.append((name, data))
        if channel := args.get("channel_id"):
            message = self._message({**args, "channel": channel, "text": " "}, author=BOT_NAME)
            message.text, message.files = args.get("initial_comment") or "", found
            self.state.put(message)
        return {"files": [{"id": file["id"], "title": file.get("title", "")} for file in files]}

    def _users_info(self, args: Json) -> Json:
        user = self.state.users.get(args["user"])
        if user is None:
            raise Refused("user_not_found")
        more: Json = {"enterprise_user": {"enterprise_id": self.state.enterprise}} if self.state.enterprise else {}
        return {
            "user": {
                "id": user.id,
                "team_id": user.team,
                "name": user.name,
                "deleted": user.deleted,
                "profile": {"display_name": user.name, "real_name": user.name.title()},
                "is_bot": user.bot,
                "is_restricted": user.restricted,
                "is_ultra_restricted": user.ultra_restricted,
                "is_stranger": user.stranger,
                **more,
            }
        }

    def _conversations_info(self, args: Json) -> Json:
        channel = self.state.channels.get(args["channel"])
        if channel is None:
            raise Refused("channel_not_found")
        archived = channel.refuses == "is_archived"
        known = {"id": channel.id, "name": channel.name, "is_member": channel.bot_in, "is_archived": archived}
        return {"channel": known}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A post to a response_url."""
        if (mood := await self._mood("response_url")) is not None:
            return mood
        address = self.state.answers.get(request.match_info["answer"])
        if address is None or self.state.now() > address.until:
            return web.Response(status=404, text="expired_url")
        if address.left <= 0:
            self.state.violations.append("response_url: used more than 5 times")
            return web.Response(status=404, text="used_url")
        address.left -= 1
        body = await request.json()
        try:
            self._check(body)
        except Refused as refused:
            self.state.violations.append(f"response_url: {refused.breach}")
            return web.Response(status=404, text=refused.error)
        only_for = "" if body.get("response_type") == "in_channel" else address.user
        new = Message(address.channel, self.state.new_ts(), BOT_NAME, body.get("text") or "", body.get("blocks") or [])
        new.thread, new.only_for = body.get("thread_ts") or "", only_for
        self.state.put(new)
        return web.Response(text="ok")


def _too_many(wait: float) -> web.Response:
    """429. Slack gives whole seconds."""
    seconds = str(max(1, round(wait + 0.499)))
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": seconds})


async def _arguments(request: web.Request) -> Json:
    """The arguments of a call: JSON, or a form whose lists are JSON."""
    if request.content_type == "application/json":
        body: Json = await request.json()
        return body
    form = await request.post()
    return {str(key): _value(str(key), str(value)) for key, value in form.items()}


def _value(key: str, value: str) -> object:
    return json.loads(value) if key in {"blocks", "view", "files"} else value
