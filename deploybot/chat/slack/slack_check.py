"""The Slack checks of `deploybot check`: tokens, scopes, Socket Mode, channels; with a fix for each failure."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from deploybot.chat.card_channels import channel_ids
from deploybot.chat.slack.connection_problems import GRANT, SlackProblems
from deploybot.chat.slack.oauth_scopes import HOOK, bot_scopes
from deploybot.chat.slack.slack_api import SlackApi, SlackRefused
from deploybot.chat.slack.slack_settings import SlackSettings
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, Unreachable, UserError
from deploybot.ports import ChatFinding
from deploybot.settings import Settings

_WITHIN: Final = 10.0
_BOT, _APP = "xoxb-", "xapp-"
_KINDS: Final = {
    _BOT: "a bot's token",
    _APP: "an app-level token",
    "xoxp-": "a person's token",
    "xoxe": "a rotated token, which the bot does not support",
}
_WHERE: Final = {
    _BOT: "bot_token begins with xoxb-. It is the “Bot User OAuth Token” at api.slack.com/apps, “OAuth & Permissions”.",
    _APP: "app_token begins with xapp-. Create it at api.slack.com/apps, “Basic Information”, “App-Level Tokens”, with "
    "the scope connections:write.",
}
_SWITCH_ON: Final = (
    "Enable it at api.slack.com/apps, “Socket Mode”. For HTTP mode, set signing_secret instead of app_token."
)
_NETWORK: Final = "Try again in a minute. If it persists, check for a firewall or a proxy in between."
_INVITE: Final = "Type `/invite @deploybot` there."
_SIGNING_SECRET: Final = re.compile(r"[0-9a-f]{32}")


async def probe(settings: Settings) -> AsyncIterator[ChatFinding]:
    """Run all checks. A second socket is open for a moment; it accepts nothing, so Slack uses the other one."""
    slack = settings.table(SlackSettings)
    if slack is None:
        return
    app_token = slack.app_token.reveal() if slack.app_token else ""
    api = SlackApi(slack.api_url, slack.bot_token.reveal(), app_token, SlackProblems(log_problems=False))
    try:
        async for found in _bot_token(slack, api):
            yield found
        yield await _socket_mode(app_token, api) if slack.app_token else _http_mode(settings, slack)
        if api.granted:
            # Direct messages need no invitation.
            for channel in channel_ids(settings, "slack"):
                if not channel.startswith("D"):
                    yield await _channel(channel, api)
    finally:
        await api.close()


async def _bot_token(slack: SlackSettings, api: SlackApi) -> AsyncIterator[ChatFinding]:
    """Check the bot token and, if it works, its scopes."""
    what = "bot token"
    if wrong := _wrong_kind(what, slack.bot_token.reveal(), _BOT):
        yield wrong
        return
    try:
        answer = await api.call("auth.test")
    except DeploybotError as problem:
        yield ChatFinding(what, _why(problem), _fix_of(problem, _WHERE[_BOT]))
        return
    yield ChatFinding(what, f"{answer.get('user', 'the bot')} in {answer.get('team', answer['team_id'])}")
    missing = sorted({*bot_scopes()} - {*api.granted})
    if missing:
        yield ChatFinding("scopes", f"not granted: {', '.join(missing)}", f"{GRANT[0].upper()}{GRANT[1:]}.")
    else:
        yield ChatFinding("scopes", "all granted")


def _wrong_kind(what: str, token: str, begins: str) -> ChatFinding | None:
    """Return a finding if a token is of the wrong kind. The token itself is never shown."""
    if token.startswith(begins):
        return None
    kind = next((name for start, name in _KINDS.items() if token.startswith(start)), "not a Slack token")
    return ChatFinding(what, f"it is {kind}", _WHERE[begins])


async def _socket_mode(token: str, api: SlackApi) -> ChatFinding:
    """Check whether a socket can be opened and gets Slack's greeting."""
    what = "Socket Mode"
    if wrong := _wrong_kind("app token", token, _APP):
        return wrong
    try:
        answer = await api.call("apps.connections.open")
        reason = await _greeting(str(answer["url"]), api.proxy)
    except DeploybotError as problem:
        return ChatFinding(what, _why(problem), _fix_of(problem, _WHERE[_APP]))
    if reason == "link_disabled":
        return ChatFinding(what, "it is disabled for the app", _SWITCH_ON)
    if reason:
        return ChatFinding(what, f"Slack closed the socket: {reason}", "Try again in a minute.")
    return ChatFinding(what, "on; a test connection worked")


async def _greeting(url: str, proxy: str | None) -> str:
    """Return why Slack rejects a socket, or "" if it sends a greeting. Raises Unreachable."""
    try:
        async with (
            asyncio.timeout(_WITHIN),
            aiohttp.ClientSession() as session,
            session.ws_connect(url, proxy=proxy) as socket,
        ):
            greeting = await socket.receive_json()
    except (TimeoutError, aiohttp.ClientError, OSError, TypeError, ValueError) as error:
        raise Unreachable("Slack's socket", str(error) or "no greeting in time") from None
    return "" if greeting.get("type") == "hello" else str(greeting.get("reason") or "no greeting")


def _http_mode(settings: Settings, slack: SlackSettings) -> ChatFinding:
    """Check the parts of HTTP mode that can be checked from here."""
    what = "HTTP mode"
    secret = slack.signing_secret.reveal() if slack.signing_secret else ""
    if not _SIGNING_SECRET.fullmatch(secret):
        fix = "signing_secret is at api.slack.com/apps, “Basic Information”: 32 of 0-9 and a-f."
        return ChatFinding(what, "signing_secret does not look like one", fix)
    url = (settings.http.url if settings.http else None) or ""
    return ChatFinding(what, f"Slack must reach {url}{HOOK}; its first request shows whether it can")


async def _channel(channel: str, api: SlackApi) -> ChatFinding:
    """Check whether the bot can post in a channel."""
    what = f"channel {Channel('slack', channel)}"
    try:
        found = (await api.call("conversations.info", channel=channel))["channel"]
    except SlackRefused as refused:
        return ChatFinding(what, refused.sentence, f"Check the id. If the channel is private: {_INVITE}")
    except DeploybotError as problem:
        return ChatFinding(what, _why(problem), _fix_of(problem, "Try again."))
    name = f"#{found.get('name', channel)}"
    if found.get("is_archived"):
        return ChatFinding(what, f"{name} is archived", "Unarchive it, or set another channel in bot.toml.")
    if not found.get("is_member"):
        return ChatFinding(what, f"the bot is not in {name}", _INVITE)
    shared = ", which is shared with other organisations" if found.get("is_ext_shared") else ""
    return ChatFinding(what, f"the bot is in {name}{shared}")


def _why(problem: DeploybotError) -> str:
    return problem.why if isinstance(problem, Unreachable) else str(problem)


def _fix_of(problem: DeploybotError, otherwise: str) -> str:
    hint = problem.hint if isinstance(problem, Unreachable | UserError) else ""
    if hint:
        return f"{hint[0].upper()}{hint[1:]}."
    return _NETWORK if isinstance(problem, Unreachable) else otherwise
