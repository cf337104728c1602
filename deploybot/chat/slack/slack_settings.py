"""The table of Slack in bot.toml."""

from __future__ import annotations

from deploybot.settings import ChatSettings, Secret
from deploybot.settings.address_values import WebUrl


class SlackSettings(ChatSettings):
    """`[slack]`: Socket Mode with `app_token`, HTTP mode with `signing_secret`. `channel` gets every notification."""

    bot_token: Secret
    app_token: Secret | None = None
    signing_secret: Secret | None = None
    api_url: WebUrl = "https://slack.com/api"
