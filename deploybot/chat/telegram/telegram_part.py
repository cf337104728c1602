"""Telegram in bot.toml: its rules, and how it is connected and checked. No library is imported for that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from deploybot.chat.chat_port import ChatTools, Path
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.ports import ChatFinding, LiveChat
from deploybot.settings import Settings


class TelegramPart:
    """ChatPart for Telegram."""

    def connect(self, settings: Settings, tools: ChatTools) -> LiveChat:
        """Return the chat. Its library takes 12 MB."""
        from deploybot.chat.telegram.telegram_chat import TelegramChat  # noqa: PLC0415  see above

        return TelegramChat(
            settings.needs(Telegram),
            tools.parts,
            tools.store,
            server=tools.server,
            url=(settings.http.url if settings.http else None) or "",
            homes=tools.homes,
            closed=tools.closed,
        )

    def summary(self, settings: Settings) -> str:
        """Return the way by which updates come."""
        return "webhook" if settings.needs(Telegram).webhook_secret else "long polling"

    def probe(self, settings: Settings) -> AsyncIterator[ChatFinding]:
        """Yield the checks."""
        from deploybot.chat.telegram.telegram_check import probe  # noqa: PLC0415  see `connect`

        return probe(settings)

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield a webhook without an address."""
        if settings.needs(Telegram).webhook_secret and (settings.http is None or settings.http.url is None):
            yield ("telegram", "webhook_secret"), "is for webhooks, which need `url` in [http]"


CHAT = TelegramPart()
SETTINGS = Telegram
