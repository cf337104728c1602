"""The calls of the Web API and the events that the app uses, and the scopes that each needs; pure.

docs.slack.dev/reference/scopes. `SlackApi.call` accepts only these methods, so the app needs no other scopes.
"""

from __future__ import annotations

from typing import Final

HOOK: Final = "/slack/events"
"""The path to which Slack posts in HTTP mode."""

SCOPES: Final[dict[str, tuple[str, ...]]] = {
    "apps.connections.open": ("connections:write",),
    "auth.test": (),
    "chat.postEphemeral": ("chat:write",),
    "chat.postMessage": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.info": ("channels:read", "groups:read"),
    "files.completeUploadExternal": ("files:write",),
    "files.getUploadURLExternal": ("files:write",),
    "users.info": ("users:read",),
    "views.open": (),
    "views.publish": (),
}
APP_SCOPES: Final = frozenset({"connections:write"})
"""The scopes of the app-level token, which is created by hand."""

EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "message.im": ("im:history",),
    "tokens_revoked": (),
}
"""The events that the bot listens to, and the scopes that each needs."""


def bot_scopes() -> tuple[str, ...]:
    """Return all scopes of the bot token, sorted."""
    wanted = {scope for scopes in (*SCOPES.values(), *EVENTS.values(), ("commands",)) for scope in scopes}
    return tuple(sorted(wanted - APP_SCOPES))
