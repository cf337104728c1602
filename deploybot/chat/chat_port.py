"""The port of chats: what bot.toml says of one, and how it is connected and checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.unwritable_channels import Closed
from deploybot.part_tables import CHAT_TABLE
from deploybot.ports import ChatFinding, LiveChat, Store
from deploybot.settings import Settings

if TYPE_CHECKING:
    from deploybot.http_server import WebServer

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTools:
    """What a chat may use.

    `store` keeps tokens of buttons and uploads. `homes` are the ids of its channels that bot.toml names. `closed` is
    called for each one in which the bot can't write. `server` gets routes for incoming calls, before it runs.
    """

    parts: Parts
    store: Store
    homes: tuple[str, ...]
    closed: Closed
    server: WebServer | None = None


class ChatPart(Protocol):
    """A chat. A module of `part_tables.CHAT_TABLE` has one as `CHAT`, and the type of its table as `SETTINGS`.

    The module is imported whenever bot.toml is read, so it imports no library; `connect` and `probe` do. All methods
    are called only if bot.toml has the chat's table.
    """

    def connect(self, settings: Settings, tools: ChatTools) -> LiveChat:
        """Return the chat, which is not started yet."""

    def summary(self, settings: Settings) -> str:
        """Return how it is connected, for `deploybot check`."""

    def probe(self, settings: Settings) -> AsyncIterator[ChatFinding]:
        """Yield the checks of `deploybot check`. Nothing is posted."""

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield what is wrong with its table: the path of a key, and a text that continues the sentence after it.

        The settings may have other mistakes, too. Of a wrong key, they have an empty value.
        """


def chat_parts(settings: Settings) -> Iterator[tuple[str, ChatPart]]:
    """Yield the chats that bot.toml has, with their names."""
    for name in settings.chats():
        found: ChatPart = import_module(f"{__package__}.{CHAT_TABLE[name].module}").CHAT
        yield name, found
