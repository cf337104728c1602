"""The Telegram checks of `deploybot check`: token, webhook or polls, groups and rights; with a fix for each failure.

Nothing is posted, and no update is taken from a running bot.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from telegram import Bot, ChatFullInfo, ChatMember, ChatMemberAdministrator, ChatMemberRestricted, User, WebhookInfo
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, TelegramError

from deploybot.chat.card_channels import named_channels
from deploybot.chat.console import unix_sockets
from deploybot.chat.telegram.telegram_api import error_text, make_bot
from deploybot.chat.telegram.telegram_connection import PATH, UNREADABLE
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.domain import Channel
from deploybot.ports import ChatFinding
from deploybot.settings import Settings

LISTEN: Final = 6
"""The seconds for which it polls, to detect another program that polls."""
_RECENT: Final = 600.0
_TOKEN: Final = re.compile(r"[0-9]{5,20}:[A-Za-z0-9_-]{20,}")
_OFFICIAL: Final = "https://api.telegram.org"
_REACHABLE: Final = re.compile(r"https://[^/:]+(?::(?:443|80|88|8443))?(?:/.*)?")
_BOT_FATHER: Final = "Get it from @BotFather (/token) and put it where `token` in [telegram] of bot.toml points."
_ADD: Final = "Open the group, “Add members”, and add @{me}; or correct its id in bot.toml."
_NETWORK: Final = "Check that this machine can reach it; a firewall or proxy may block it."
_NO_FILES: Final = ("the bot may not send files", "Allow it to send files: long logs are sent as files.")
_RIVAL: Final = "Stop the other program, or create a separate bot for it (@BotFather, /newbot)."


async def probe(settings: Settings, *, listen: int = LISTEN) -> AsyncIterator[ChatFinding]:
    """Run all checks. `listen` is the number of seconds to look for another program that polls."""
    telegram = settings.table(Telegram)
    if telegram is None:
        return
    bot = make_bot(telegram, poll=float(listen))
    try:
        found, me = await _token(telegram, bot)
        yield found
        if me is not None:
            async for found in _bot(settings, telegram, bot, me, listen):
                yield found
    finally:
        await bot.shutdown()


async def _token(telegram: Telegram, bot: Bot) -> tuple[ChatFinding, User | None]:
    """Check the token. Return the finding and the bot's account."""
    what = "token"
    if not _TOKEN.fullmatch(telegram.token.reveal()):
        return ChatFinding(what, "it does not look like a bot token (123456789:AAF…)", _BOT_FATHER), None
    try:
        await bot.initialize()
    except InvalidToken:
        return ChatFinding(what, "Telegram rejected it: it is wrong or was revoked", _BOT_FATHER), None
    except TelegramError as error:
        return ChatFinding(what, f"Telegram cannot be reached: {error_text(error)}", _NETWORK), None
    return ChatFinding(what, f"@{bot.username}"), bot.bot


async def _bot(settings: Settings, telegram: Telegram, bot: Bot, me: User, listen: int) -> AsyncIterator[ChatFinding]:
    """Run the checks that need a valid token."""
    yield _privacy(me)
    channels = [channel for channel in named_channels(settings) if channel.platform == "telegram"]
    if not me.can_join_groups and any(channel.id.startswith("-") for channel in channels):
        yield ChatFinding("groups", "the bot may not join groups", "Send @BotFather /setjoingroups and choose Enable.")
    try:
        info = await bot.get_webhook_info()
        yield _webhook(settings, info) if telegram.webhook_secret else await _polls(settings, bot, info, listen)
        for channel in channels:
            yield await _channel(channel, bot)
    except (TelegramError, *UNREADABLE) as error:
        yield ChatFinding("answer", f"Telegram failed: {error_text(error)}", _NETWORK)


def _privacy(me: User) -> ChatFinding:
    """Report the privacy mode. Both settings work; people must know different things."""
    if me.can_read_all_group_messages:
        return ChatFinding("privacy mode", "off: in groups the bot receives every message and ignores those for others")
    return ChatFinding(
        "privacy mode",
        f"on: in groups the bot receives commands, replies and @{me.username}; next to other bots, "
        f"type /status@{me.username}",
    )


def _webhook(settings: Settings, info: WebhookInfo) -> ChatFinding:
    """Check whether Telegram can deliver to the webhook."""
    what, url = "webhook", (settings.http.url if settings.http else None) or ""
    telegram = settings.table(Telegram)
    if telegram is not None and telegram.api_url == _OFFICIAL and not _REACHABLE.fullmatch(url):
        fix = "Put a TLS proxy in front of the bot and set `url` in [http] to its address."
        return ChatFinding(what, f"Telegram delivers to https:// on ports 443, 80, 88 and 8443 only, not to {url}", fix)
    if info.url and info.url != f"{url}{PATH}":
        fix = f"The bot sets its own when it starts; find out who else has the token. {_RIVAL}"
        return ChatFinding(what, f"a different webhook is set: {info.url}", fix)
    failed = info.last_error_date
    if failed is not None and time.time() - failed.timestamp() < _RECENT:
        fix = f"Check that the proxy in front of the bot forwards {PATH} with all headers."
        return ChatFinding(what, f"Telegram's last delivery failed: {info.last_error_message}", fix)
    return ChatFinding(what, f"{url}{PATH}" if info.url else f"{url}{PATH}, set when the bot starts")


async def _polls(settings: Settings, bot: Bot, info: WebhookInfo, listen: int) -> ChatFinding:
    """Check whether updates can be polled, and that no other program polls."""
    what = "long polling"
    if info.url:
        fix = f"The bot removes it when it starts; find out who else has the token. {_RIVAL}"
        return ChatFinding(what, f"a webhook is set, and Telegram delivers to it instead: {info.url}", fix)
    if _runs(settings):
        return ChatFinding(what, "the bot is running here; its log reports when another program polls too")
    try:
        waiting = await bot.get_updates(limit=1, timeout=listen)
    except Conflict:
        return ChatFinding(what, "another program polls with the same token, so both miss updates", _RIVAL)
    if waiting:
        return ChatFinding(what, "updates are waiting for the bot; this check leaves them there")
    return ChatFinding(what, f"no other program has polled for {listen} s")


def _runs(settings: Settings) -> bool:
    """Return whether the bot itself runs here: then it is the program that polls."""
    try:
        unix_sockets.connect(settings.bot.data / "console.sock").close()
    except OSError as error:
        return isinstance(error, PermissionError | BlockingIOError)
    return True


async def _channel(channel: Channel, bot: Bot) -> ChatFinding:
    """Check whether the bot can write in a chat of bot.toml."""
    what = f"channel {channel}"
    try:
        chat = await bot.get_chat(int(channel.id))
        member = await bot.get_chat_member(chat.id, bot.id) if chat.type != chat.PRIVATE else None
        if wrong := _missing(chat, member):
            return ChatFinding(what, f"in “{chat.title}” {wrong[0]}", wrong[1])
        if channel.thread:
            await bot.send_chat_action(chat.id, "typing", message_thread_id=int(channel.thread))
    except ChatMigrated as move:
        moved = replace(channel, id=str(move.new_chat_id))
        return ChatFinding(what, "the group is a supergroup now", f'Write "{moved}" instead in bot.toml.')
    except (BadRequest, Forbidden) as error:
        if "thread not found" in error.message.lower():
            fix = "A link to one of the topic's messages ends with the topic's number and the message's number."
            return ChatFinding(what, "topic not found", fix)
        return ChatFinding(what, error.message, _ADD.format(me=bot.username))
    return ChatFinding(what, f"the bot may write in “{chat.title or chat.full_name}”")


def _missing(chat: ChatFullInfo, member: ChatMember | None) -> tuple[str, str] | None:
    """Return what prevents the bot from writing, and the fix; None if nothing does."""
    if member is None:
        return None
    if member.status in {ChatMember.LEFT, ChatMember.BANNED}:
        return "the bot is not a member", "Open the group, “Add members”, and add it."
    leader = isinstance(member, ChatMemberAdministrator)
    if chat.type == chat.CHANNEL:
        may_post = isinstance(member, ChatMemberAdministrator) and member.can_post_messages
        return None if may_post else ("the bot may not post", "Make it an administrator who may “Post messages”.")
    held = member if isinstance(member, ChatMemberRestricted) else chat.permissions
    if leader or held is None:
        return None
    if not held.can_send_messages:
        return "the bot may not write", "Allow it to send messages, or make it an administrator."
    return None if held.can_send_documents else _NO_FILES
