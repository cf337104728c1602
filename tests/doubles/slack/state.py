"""What Slack keeps: people, channels, messages, triggers, addresses for answers, files and views."""

from __future__ import annotations

import asyncio
import html
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.doubles.slack.mrkdwn import Json, Seen, read_blocks, read_text
from tests.doubles.timeline import Post, Press, Timeline

BOT_USER = "U0BOT"
BOT_NAME = "deploybot"
ANSWERS = 5
ANSWER_LIFE = 1800.0
TRIGGER_LIFE = 3.0


@dataclass(slots=True)
class User:
    """Somebody; `team` is their home. `stranger` is somebody of another organisation (Slack Connect)."""

    id: str
    name: str
    team: str
    bot: bool = False
    restricted: bool = False
    ultra_restricted: bool = False
    stranger: bool = False
    deleted: bool = False


@dataclass(slots=True)
class SlackChannel:
    """A conversation; `bot_in` is whether the bot was invited.

    `refuses` is what Slack answers to its messages, `refuses_replies` to those in threads.
    """

    id: str
    name: str
    bot_in: bool = True
    refuses: str = ""
    refuses_replies: str = ""

    @property
    def direct(self) -> bool:
        """Whether it is a direct message."""
        return self.id.startswith("D")


@dataclass(slots=True)
class Message:
    """A message as it was sent."""

    channel: str
    ts: str
    author: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    thread: str = ""
    only_for: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class AnswerAddress:
    """A response_url: how often it may still be used, until when, and where it leads."""

    channel: str
    user: str
    until: float
    message: str = ""
    left: int = ANSWERS


@dataclass(slots=True)
class Trigger:
    """A trigger_id; a view may be opened with it once, within three seconds."""

    user: str
    channel: str
    until: float
    used: bool = False


@dataclass(slots=True)
class State:
    """One workspace with one app in it."""

    now: Callable[[], float]
    team: str
    enterprise: str
    timeline: Timeline = field(default_factory=Timeline)
    violations: list[str] = field(default_factory=list)
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, SlackChannel] = field(default_factory=dict)
    messages: dict[tuple[str, str], Message] = field(default_factory=dict)
    answers: dict[str, AnswerAddress] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    uploads: dict[str, tuple[str, int, bytes | None]] = field(default_factory=dict)
    views: dict[str, Json] = field(default_factory=dict)
    opened: dict[str, str] = field(default_factory=dict)
    view_opened: asyncio.Event = field(default_factory=asyncio.Event)
    interactive: bool = True
    trigger_life: float = TRIGGER_LIFE
    direct: bool = True
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def user(self, user: str) -> User:
        """Somebody by id; an ordinary member where nobody said otherwise."""
        return self.users.setdefault(user, User(user, user.lower(), self.team))

    def channel(self, channel: str) -> SlackChannel:
        """A channel by id; one that the bot is in where nobody said otherwise."""
        return self.channels.setdefault(channel, SlackChannel(channel, channel.lower()))

    def new_ts(self) -> str:
        """A message's id: seconds, and a number that never comes twice."""
        return f"{int(self.now())}.{next(self._numbers):06d}"

    def new_trigger(self, user: str, channel: str) -> str:
        """A trigger_id for something that a person did in a channel."""
        made = f"{next(self._numbers)}.{secrets.token_hex(8)}"
        self.triggers[made] = Trigger(user, channel, asyncio.get_running_loop().time() + self.trigger_life)
        return made

    def new_view(self) -> str:
        """A modal's id."""
        return f"V{next(self._numbers):06d}"

    def new_answer(self, channel: str, user: str, message: str = "") -> str:
        """The last part of a response_url."""
        made = secrets.token_hex(12)
        self.answers[made] = AnswerAddress(channel, user, self.now() + ANSWER_LIFE, message)
        return made

    def put(self, message: Message) -> None:
        """Keep a message, and show what people see of it now."""
        self.messages[message.channel, message.ts] = message
        seen = read_blocks(message.blocks) if message.blocks else read_text(message.text)
        noticed = read_text(message.text)
        self.timeline.put(
            Post(
                id=message.ts,
                channel=message.channel,
                author=message.author,
                text=seen.text.strip("\n"),
                html=seen.html,
                buttons=tuple(seen.buttons),
                files=tuple(message.files),
                pings=tuple(dict.fromkeys((*seen.pings, *noticed.pings))),
                links=tuple(seen.links),
                thread=message.thread,
                only_for=message.only_for,
                at=self.now(),
            )
        )

    def show_view(self, view: Json, trigger: Trigger) -> None:
        """Show a modal to the person whose trigger opened it: what can be chosen in it is its buttons."""
        seen = read_blocks(view["blocks"])
        post = Post(
            id=view["id"],
            channel=trigger.channel,
            author=BOT_NAME,
            text=f"{view['title']['text']}\n{seen.text.strip()}",
            html=f"<h3>{html.escape(view['title']['text'])}</h3>{seen.html}",
            buttons=tuple(seen.buttons) or (Press(view["submit"]["text"], ""),),
            pings=tuple(seen.pings),
            only_for=trigger.user,
            at=self.now(),
        )
        self.timeline.put(post)

    def close_view(self, view: str) -> None:
        """Take a modal away."""
        self.timeline.posts[:] = [post for post in self.timeline.posts if post.id != view]
        self.views.pop(view, None)

    def tell(self, user: str, channel: str, text: str) -> None:
        """What Slack itself tells one person."""
        seen = Seen()
        seen.say(text)
        post = Post(
            id=self.new_ts(),
            channel=channel,
            author="Slackbot",
            text=text,
            html=seen.html,
            only_for=user,
            at=self.now(),
        )
        self.timeline.put(post)
