"""The table of Telegram in bot.toml."""

from __future__ import annotations

from deploybot.settings import ChatSettings, Secret
from deploybot.settings.address_values import WebUrl


class Telegram(ChatSettings):
    """`[telegram]`: long polling, or a webhook with `webhook_secret`. `channel` gets every notification."""

    token: Secret
    webhook_secret: Secret | None = None
    api_url: WebUrl = "https://api.telegram.org"
