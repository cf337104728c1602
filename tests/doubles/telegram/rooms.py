"""Who and what there is on the other side: users, chats, and the messages in them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.doubles.telegram.markup import Refused

Json = dict[str, object]


@dataclass(slots=True)
class User:
    """A person. `started` is whether they ever wrote to the bot, so that it may write to them."""

    id: int
    name: str
    started: bool = True
    blocked: bool = False

    def json(self) -> Json:
        """https://core.telegram.org/bots/api#user."""
        return {"id": self.id, "is_bot": False, "first_name": self.name, "username": f"{self.name}_{self.id}"}


@dataclass(slots=True)
class Said:
    """A message as the server keeps it. `question` is the one user who is forced to reply, 0 for everybody."""

    json: Json
    by_bot: bool
    buttons: tuple[dict[str, str], ...] = ()
    question: int | None = None
    text: str = ""


@dataclass(slots=True)
class Room:
    """A chat. `status` is what the bot is in it, `moved_to` the supergroup that a group has become.

    `may_write` is whether the bot may, `may_delete` whether it may take out what others wrote.
    """

    id: int
    kind: str
    title: str = ""
    forum: bool = False
    topics: set[int] = field(default_factory=set)
    status: str = "member"
    may_write: bool = True
    may_delete: bool = False
    moved_to: int = 0
    members: dict[int, User] = field(default_factory=dict)
    messages: dict[int, Said] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def group(self) -> bool:
        """Whether the limits of groups hold."""
        return self.kind in {"group", "supergroup"}

    def json(self) -> Json:
        """https://core.telegram.org/bots/api#chat."""
        made: Json = {"id": self.id, "type": self.kind}
        if self.kind == "private":
            return made | {"first_name": self.title}
        return made | {"title": self.title} | ({"is_forum": True} if self.forum else {})

    def message(self, author: Json, text: str, thread: int) -> Json:
        """A new message's JSON; its number is the next of this chat."""
        made: Json = {
            "message_id": next(self.numbers),
            "date": int(time.time()),
            "chat": self.json(),
            "from": author,
            "text": text,
        }
        if thread:
            made |= {"message_thread_id": thread, "is_topic_message": True}
        return made

    def look(self, user: User | None) -> None:
        """Refuse a bot that may not see this chat, as the real one says it; `user` is who is in a private chat."""
        if self.moved_to:
            raise Refused("Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=self.moved_to)
        if self.kind == "private" and (user is None or not user.started):
            raise Refused("Forbidden: bot can't initiate conversation with a user", 403)
        if self.kind != "private" and self.status in {"kicked", "left"}:
            raise Refused(f"Forbidden: bot was kicked from the {self.kind} chat", 403)

    def admit(self, user: User | None) -> None:
        """Refuse a bot that may not write here."""
        self.look(user)
        if user is not None and user.blocked and self.kind == "private":
            raise Refused("Forbidden: bot was blocked by the user", 403)
        if not self.may_write:
            raise Refused("Bad Request: not enough rights to send text messages to the chat")

    def topic(self, thread: int) -> None:
        """Refuse a topic that is not there; the general one has no number."""
        if thread and (not self.forum or thread not in self.topics):
            raise Refused("Bad Request: message thread not found")
