"""Slack in this process: a workspace, the Web API, Socket Mode or signed HTTP, and what people do in it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator

from aiohttp import web

from tests.doubles.slack.manifest import EVENTS, RESERVED, make
from tests.doubles.slack.mrkdwn import Json, decode, escape, typed
from tests.doubles.slack.state import BOT_NAME, BOT_USER, Message, State, User
from tests.doubles.slack.web import WebApi
from tests.doubles.slack.wire import Wire
from tests.doubles.timeline import Post, Timeline, Unkind

BOT_TOKEN = "xoxb-1234567890-abcdefghijkl"
APP_TOKEN = "xapp-1-A0APP-1234567890-abcdef"
TEAM = "T0TEAM"


class SlackDouble:
    """`tests.doubles.timeline.Double`.

    Without `install` the app has every free name as a slash command, all scopes and all events. `web` is the Web API
    (`web.dead`, `web.scopes`, `web.rates`), `wire` the way to the bot (`wire.hook`, `wire.cut`).
    """

    platform = "slack"

    def __init__(self, *, now: Callable[[], float] = time.time, enterprise: str = "") -> None:
        self.state = State(now, TEAM, enterprise)
        self.timeline: Timeline = self.state.timeline
        self.violations: list[str] = self.state.violations
        self.unkind = Unkind()
        self.commands: frozenset[str] | None = None
        self.events = frozenset(EVENTS)
        self.wire = Wire(self.unkind, self.violations, now)
        self.web = WebApi(self.state, self.unkind, BOT_TOKEN, APP_TOKEN, self.wire.ticket)
        self.user(BOT_USER, BOT_NAME, bot=True)
        self._runner: web.AppRunner | None = None
        self._events = 0

    @property
    def api_url(self) -> str:
        """What bot.toml gives as `api_url`."""
        return f"{self.web.url}/api"

    def user(self, user: str, name: str = "", **flags: bool | str) -> User:
        """Let somebody be in the workspace; `flags` are fields of `User`."""
        made = User(user, name or user.lower(), str(flags.pop("team", TEAM)))
        for flag, value in flags.items():
            setattr(made, flag, value)
        self.state.users[user] = made
        return made

    def install(self, manifest: str) -> None:
        """Make the app of a manifest: it gets the commands, events and scopes that stand there, and no others."""
        made = make(manifest)
        self.commands, self.events = made.commands, made.events
        self.web.scopes = ",".join(made.scopes)
        self.wire.disabled, self.web.home = not made.socket_mode, made.home
        self.state.interactive, self.state.direct = made.interactive, made.direct
        if "commands" not in made.scopes:
            self.commands = frozenset()

    async def start(self) -> None:
        """Listen on loopback."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/api/{method}", self.web.call)
        app.router.add_post("/upload/v1/{file}", self.web.upload)
        app.router.add_post("/answers/{answer}", self.web.answer)
        app.router.add_get("/link/", self.wire.link)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.web.url = self.wire.url = f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """Stop, and cut every connection."""
        self.web.closing.set()
        self.wire.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def say(self, user: str, channel: str, text: str, *, thread: str = "") -> str:
        """Have a person write a message, or a slash command; a message's id."""
        self.state.user(user)
        if text.startswith("/"):
            await self._slash(user, channel, text, thread)
            return ""
        there = self.state.channel(channel)
        names = {one.name: one.id for one in self.state.users.values()}
        # Events give the ids of people who are mentioned, slash commands their names, too.
        raw = re.sub(r"<@(\w+)\|[^>]*>", r"<@\1>", typed(text, names, (BOT_NAME, BOT_USER)))
        message = Message(channel, self.state.new_ts(), self.state.user(user).name, escape(text), thread=thread)
        self.state.put(message)
        if there.direct and not self.state.direct:
            self.state.tell(user, channel, "Sending messages to this app has been turned off.")
            return message.ts
        if there.direct:
            event = {"type": "message", "channel_type": "im", **self._event(user, message, raw)}
        elif f"<@{BOT_USER}>" in raw and there.bot_in:
            event = {"type": "app_mention", **self._event(user, message, raw)}
        else:
            return message.ts
        await self.deliver_event(event)
        return message.ts

    def _event(self, user: str, message: Message, raw: str) -> Json:
        thread = {"thread_ts": message.thread} if message.thread else {}
        return {
            "user": user,
            "text": raw,
            "ts": message.ts,
            "event_ts": message.ts,
            "channel": message.channel,
            "team": self.state.user(user).team,
            "client_msg_id": f"m-{message.ts}",
            **thread,
        }

    async def deliver_event(self, event: Json, *, event_id: str = "") -> str:
        """Hand over an event of the Events API, if the app listens to it; its id."""
        kind = f"message.{event['channel_type']}" if event["type"] == "message" else event["type"]
        if kind not in self.events:
            return ""
        self._events += 1
        event_id = event_id or f"Ev{self._events:08d}"
        payload = {
            "type": "event_callback",
            "token": "deprecated",
            "team_id": self.state.team,
            "api_app_id": "A0APP",
            "event_id": event_id,
            "event_time": int(self.state.now()),
            "is_ext_shared_channel": False,
            "authorizations": [
                {"team_id": self.state.team, "user_id": BOT_USER, "is_bot": True, "is_enterprise_install": False}
            ],
            **({"enterprise_id": self.state.enterprise} if self.state.enterprise else {}),
            "event": event,
        }
        await self.wire.hand_over("events_api", payload)
        return event_id

    async def open_home(self, user: str) -> None:
        """Have a person open the app's home."""
        self.state.user(user)
        event = {"type": "app_home_opened", "user": user, "channel": f"D{user}", "tab": "home"}
        await self.deliver_event({**event, "event_ts": self.state.new_ts()})

    async def _slash(self, user: str, channel: str, text: str, thread: str) -> None:
        command, _, rest = text.partition(" ")
        if thread:
            self.state.tell(user, channel, f"{command} is not supported in threads. Sorry!")
            return
        free = command.removeprefix("/") not in RESERVED if self.commands is None else command in self.commands
        if not free:
            self.state.tell(user, channel, f"{command} is not a valid command of this app.")
            return
        names = {one.name: one.id for one in self.state.users.values()}
        payload = {
            **self._whereabouts(channel),
            "user_id": user,
            "user_name": self.state.user(user).name,
            "command": command,
            "text": typed(rest.strip(), names, (BOT_NAME, BOT_USER)),
            "response_url": self._answer_url(channel, user),
            "trigger_id": self.state.new_trigger(user, channel),
        }
        if await self.wire.hand_over("slash_commands", payload) is None:
            self.state.tell(user, channel, f"{command} failed with the error “operation_timeout”")

    def _whereabouts(self, channel: str) -> Json:
        there = self.state.channel(channel)
        return {
            "token": "deprecated",
            "team_id": self.state.team,
            "team_domain": "acme",
            **({"enterprise_id": self.state.enterprise} if self.state.enterprise else {}),
            "channel_id": channel,
            "channel_name": "directmessage" if there.direct else there.name,
            "api_app_id": "A0APP",
            "is_enterprise_install": "false",
        }

    def _answer_url(self, channel: str, user: str, message: str = "") -> str:
        return f"{self.web.url}/answers/{self.state.new_answer(channel, user, message)}"

    async def press(self, user: str, post: Post, label: str, *, answer: str = "") -> None:
        """Have a person press a button, agree where Slack asks back, and answer the modal that opens.

        The buttons of a modal are what can be chosen in it, or what sends it off.
        """
        if post.id in self.state.views:
            await self.submit(user, self.state.views[post.id], answer or label)
            return
        trigger = self.state.new_trigger(user, post.channel)
        action = self._action(post, label)
        await self.press_raw(user, post, action, trigger)
        if answer:
            await self._submit(user, trigger, answer)

    async def press_raw(self, user: str, post: Post, action: Json, trigger: str) -> None:
        """Hand over a press with whatever value."""
        if not self.state.interactive:
            self.state.tell(user, post.channel, "This app is not configured to handle interactive responses.")
            return
        where = self._container(post)
        payload = {
            "type": "block_actions",
            **self._who(user),
            "trigger_id": trigger,
            "actions": [{**action, "action_ts": self.state.new_ts()}],
            **where,
        }
        if "channel" in where:
            payload["response_url"] = self._answer_url(post.channel, user, post.id)
        if await self.wire.hand_over("interactive", payload) is None:
            self.state.tell(user, post.channel, "The button did not work: operation_timeout")

    def _container(self, post: Post) -> Json:
        if post.id == "home":
            return {"container": {"type": "view", "view_id": "VHOME"}, "view": {"id": "VHOME", "type": "home"}}
        thread = {"thread_ts": post.thread} if post.thread else {}
        return {
            "container": {
                "type": "message",
                "message_ts": post.id,
                "channel_id": post.channel,
                "is_ephemeral": bool(post.only_for),
                **thread,
            },
            "channel": {"id": post.channel, "name": self.state.channel(post.channel).name},
            "message": {"type": "message", "user": BOT_USER, "ts": post.id, **thread},
        }

    def _who(self, user: str) -> Json:
        found = self.state.user(user)
        return {
            "user": {"id": user, "username": found.name, "name": found.name, "team_id": found.team},
            "team": {"id": self.state.team, "domain": "acme"},
            "enterprise": {"id": self.state.enterprise} if self.state.enterprise else None,
            "api_app_id": "A0APP",
            "token": "deprecated",
            "is_enterprise_install": False,
        }

    def _action(self, post: Post, label: str) -> Json:
        """The button with that label, as the message has it now."""
        for block_id, button in self._buttons(post):
            if button["text"]["text"] == escape(label) or button["text"]["text"] == label:
                return {
                    "type": "button",
                    "block_id": block_id,
                    "action_id": button["action_id"],
                    "text": button["text"],
                    **({"value": button["value"]} if "value" in button else {}),
                }
        raise AssertionError(f"no button {label!r} on: {post.text}")

    def _buttons(self, post: Post) -> Iterator[tuple[str, Json]]:
        if post.id == "home":
            blocks = self.state.views[post.channel]["blocks"]
        else:
            blocks = self.state.messages[post.channel, post.id].blocks
        for number, block in enumerate(blocks):
            for button in block["elements"] if block["type"] == "actions" else ():
                yield block.get("block_id", f"b{number}"), button

    async def _submit(self, user: str, trigger: str, answer: str) -> None:
        """Fill the modal's first input, and submit it."""
        async with asyncio.timeout(3):
            while trigger not in self.state.opened:
                self.state.view_opened.clear()
                await self.state.view_opened.wait()
        view = self.state.views[self.state.opened[trigger]]
        await self.submit(user, view, answer)

    async def submit(self, user: str, view: Json, answer: str) -> None:
        """Submit a modal with this text, or choice, in its input. It closes when the app has acknowledged it."""
        field = next(block for block in view["blocks"] if block["type"] == "input")
        element = field["element"]
        values = {field["block_id"]: {element["action_id"]: _filled(element, answer)}}
        payload = {
            "type": "view_submission",
            **self._who(user),
            "trigger_id": self.state.new_trigger(user, self._channel_of(view)),
            "view": {**view, "state": {"values": values}},
            "response_urls": [],
        }
        if await self.wire.hand_over("interactive", payload) is None:
            self.state.tell(user, "modal", "We had some trouble connecting. Try again?")
        else:
            self.state.close_view(view["id"])

    def _channel_of(self, view: Json) -> str:
        """Where a modal was opened: so the next one is there, too."""
        return next((post.channel for post in self.state.timeline.posts if post.id == view["id"]), "modal")


def _filled(element: Json, answer: str) -> Json:
    """What a person made of an input. AssertionError where Slack would not let them."""
    if element["type"] == "static_select":
        fitting = [one for one in element["options"] if decode(one["text"]["text"]) == answer]
        assert fitting, f"there is no {answer!r} to choose"
        return {"type": "static_select", "selected_option": fitting[0]}
    assert element.get("min_length", 0) <= len(answer) <= element.get("max_length", 3000), "too short or too long"
    return {"type": "plain_text_input", "value": answer}
