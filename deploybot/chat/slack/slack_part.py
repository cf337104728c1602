"""Slack in bot.toml: its rules, and how it is connected and checked. No library is imported for that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from deploybot.chat.chat_port import ChatTools, Path
from deploybot.chat.slack.slack_settings import SlackSettings
from deploybot.ports import ChatFinding, LiveChat
from deploybot.settings import Settings


class SlackPart:
    """ChatPart for Slack."""

    def connect(self, settings: Settings, tools: ChatTools) -> LiveChat:
        """Return the chat. Its libraries take 20 MB."""
        from deploybot.chat.button_tokens import ButtonTokens  # noqa: PLC0415  see above
        from deploybot.chat.resumed_uploads import Uploads  # noqa: PLC0415  see above
        from deploybot.chat.slack.slack_chat import SlackChat  # noqa: PLC0415  see above

        clock = tools.parts.clock
        button_tokens, uploads = ButtonTokens(tools.store, clock, "slack"), Uploads(tools.store, clock, "slack")
        return SlackChat(
            settings.needs(SlackSettings),
            tools.parts,
            button_tokens,
            tools.server,
            uploads=uploads,
            homes=tools.homes,
            closed=tools.closed,
        )

    def summary(self, settings: Settings) -> str:
        """Return the mode."""
        return "Socket Mode" if settings.needs(SlackSettings).app_token else "HTTP"

    def probe(self, settings: Settings) -> AsyncIterator[ChatFinding]:
        """Yield the checks."""
        from deploybot.chat.slack.slack_check import probe  # noqa: PLC0415  see `connect`

        return probe(settings)

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield problems with the two modes."""
        slack = settings.needs(SlackSettings)
        if bool(slack.app_token) == bool(slack.signing_secret):
            text = "should have exactly one of app_token (Socket Mode) and signing_secret (HTTP mode)"
            yield ("slack",), text
        if slack.signing_secret and (settings.http is None or settings.http.url is None):
            yield ("slack", "signing_secret"), "is for HTTP mode, which needs `url` in [http]"


CHAT = SlackPart()
SETTINGS = SlackSettings
