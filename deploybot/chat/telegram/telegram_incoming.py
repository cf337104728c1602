"""Decide which messages are for the bot, and parse them; pure.

Only humans who write now and under their own name are accepted. Ignored are bots, channels, anonymous administrators,
and messages that were forwarded, sent on behalf of a channel, or edited.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from telegram import Message, User

from deploybot.chat.telegram.telegram_escaping import JOINER
from deploybot.domain import Channel, Identity

_COMMAND = re.compile(r"/(?P<name>[A-Za-z0-9_]+)(?:@(?P<bot>[A-Za-z0-9_]+))?(?=\s|\Z)")
_ROOMS = frozenset({"private", "group", "supergroup"})
_START = "start"
_HELP = "/help"
_CODE = re.compile(r"\b(?:code|totp)\s+[0-9]{3}\s?[0-9]{3,5}\b", re.IGNORECASE)
_CODE_AT_END = re.compile(rf"{_CODE.pattern}\s*\Z", re.IGNORECASE)
_REASON = re.compile(r"\sbecause\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Me:
    """The bot's own account in Telegram."""

    id: int
    name: str


def sender(message: Message) -> User | None:
    """Return the human who wrote a message; None if it was not a human or can't be determined."""
    user = message.from_user
    hidden = message.sender_chat or message.forward_origin or message.via_bot or message.is_automatic_forward
    if user is None or user.is_bot or hidden or message.chat.type not in _ROOMS or message.edit_date:
        return None
    return user


def is_hidden(message: Message) -> bool:
    """Return whether an anonymous administrator wrote the message."""
    return message.sender_chat is not None and message.sender_chat.id == message.chat.id


def holds_code(text: str) -> bool:
    """Return whether a command has a one-time code, before its reason or at its end: others must not see it."""
    return _CODE.search(_REASON.split(text, maxsplit=1)[0]) is not None or _CODE_AT_END.search(text) is not None


def channel_of(message: Message) -> Channel:
    """Return the channel of a message. Only a forum's topics count as threads: replies create threads, too."""
    topic = str(message.message_thread_id or "") if message.is_topic_message else ""
    return Channel("telegram", str(message.chat.id), topic, private=message.chat.type == "private")


def identity_of(user: User) -> Identity:
    """Return a user's identity. It is the number, since names can pass to other people."""
    return Identity("telegram", str(user.id))


def name_of(user: User) -> str:
    """Return a user's name for people."""
    return user.username or user.full_name


def is_reply_to(message: Message, me: Me) -> bool:
    """Return whether a message replies to one of the bot's."""
    replied = message.reply_to_message
    return replied is not None and replied.from_user is not None and replied.from_user.id == me.id


def meant(message: Message, me: Me) -> str | None:
    """Return a message's text for the dispatcher; None if it is not for the bot.

    In groups the bot accepts commands (`/status`, `/status@thebot`), messages that begin or end with its name, and
    replies to its messages. These are what it receives in privacy mode; without that mode it ignores the rest.
    """
    text = (message.text or "").replace(JOINER, "").strip()  # text copied from a card contains it
    if text.startswith("/"):
        return _command(text, me)
    if (rest := _without_name(text, me)) is not None:
        return rest if rest.startswith("/") else f"/{rest}" if rest else _HELP
    if message.chat.type == "private" or is_reply_to(message, me):
        return text or None
    return None


def start_payload(message: Message) -> str:
    """Return the text after `/start`, with which a link to the bot passes data; "" if there is none."""
    found = re.fullmatch(r"/start(?:@\w+)? (\S{1,64})", (message.text or "").strip())
    return found[1] if found and message.chat.type == "private" else ""


def _command(text: str, me: Me) -> str | None:
    match = _COMMAND.match(text)
    if match is None:
        return text
    if match["bot"] and match["bot"].lower() != me.name.lower():
        return None
    if match["name"].lower() == _START:
        return _HELP
    return f"/{match['name']}{text[match.end() :]}"


def _without_name(text: str, me: Me) -> str | None:
    """Return the text without the bot's name at its beginning or end; None if it has neither."""
    name = re.escape(f"@{me.name}")
    match = re.fullmatch(
        rf"(?:{name}(?!\w)[,:]?\s*(?P<after>.*)|(?P<before>.*\S)\s+{name})", text, re.IGNORECASE | re.DOTALL
    )
    if match is None:
        return None
    return match["after"] if match["after"] is not None else match["before"]
