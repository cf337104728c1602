"""What a person would see of a chat, whichever it is, and what they may do in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Press:
    """A button below a message. `value` is what the platform hands over when it is pressed."""

    label: str
    value: str
    danger: bool = False
    primary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A message as a person sees it, after the platform has read its markup.

    `text` has what is shown, line by line, without any markup; `html` the same for the web page. `pings` are
    those whom it woke by name, `@channel` and the like among them; `links` are text and address of what leads to a
    page. `only_for` is the one user who sees it, empty for everybody. `edits` counts its edits, `files` has names and
    contents.
    """

    id: str
    channel: str
    author: str
    text: str
    html: str = ""
    buttons: tuple[Press, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    pings: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    thread: str = ""
    only_for: str = ""
    edits: int = 0
    at: float = 0.0


@dataclass(slots=True)
class Timeline:
    """All messages of a double, in the order in which they appeared."""

    posts: list[Post] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, post: Post) -> None:
        """Show a new message, or the newer state of one."""
        for at, old in enumerate(self.posts):
            if (old.channel, old.id) == (post.channel, post.id):
                self.posts[at] = replace(post, edits=old.edits + 1, at=old.at)
                break
        else:
            self.posts.append(post)
        self._changed.set()

    def seen_by(self, user: str, channel: str) -> list[Post]:
        """What one user sees in one channel."""
        return [post for post in self.posts if post.channel == channel and post.only_for in {"", user}]

    async def until(self, condition: Callable[[Post], bool], *, within: float = 10.0) -> Post:
        """The newest message that fits, once there is one. AssertionError tells what there was instead."""
        try:
            async with asyncio.timeout(within):
                while True:
                    self._changed.clear()
                    for post in reversed(self.posts):
                        if condition(post):
                            return post
                    await self._changed.wait()
        except TimeoutError:
            there = "\n".join(f"[{post.channel} {post.id}] {post.author}: {post.text}" for post in self.posts[-10:])
            raise AssertionError(f"no such message came within {within:g} s; there is:\n{there}") from None


@dataclass(slots=True)
class Unkind:
    """What a double does wrong on request; each number counts down, one a call."""

    too_many: int = 0
    retry_after: float = 1.0
    broken: int = 0
    silent: int = 0
    dropped: int = 0
    twice: int = 0


class Double(Protocol):
    """A chat platform that runs in this process, with an API for bots and one for people.

    `violations` has one line for each limit or shape that the bot broke: every test ends with it being empty.
    """

    platform: str
    timeline: Timeline
    unkind: Unkind
    violations: list[str]

    async def start(self) -> None:
        """Listen on loopback."""

    async def close(self) -> None:
        """Stop, and cut every connection."""

    async def say(self, user: str, channel: str, text: str, *, thread: str = "") -> str:
        """Have a person write a message or a slash command; its id where the platform gives one."""

    async def press(self, user: str, post: Post, label: str, *, answer: str = "") -> None:
        """Have a person press a button, and answer with a text what it asks for (a modal, a forced reply)."""
