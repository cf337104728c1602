"""Which messages are for the bot, and what they say: pure.

Nobody but a human who writes here and now, under their own name, is heard: no bot, no channel, no administrator who
hides behind the group, nothing that was forwarded, sent for a channel, or edited.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from telegram import Message, User

from deploybot.chat.telegram.telegram_escaping import JOINER
from deploybot.domain import Identity, Place

_COMMAND = re.compile(r"/(?P<name>[A-Za-z0-9_]+)(?:@(?P<bot>[A-Za-z0-9_]+))?(?=\s|\Z)")
_ROOMS = frozenset({"private", "group", "supergroup"})
_START = "start"
_HELP = "/help"
_CODE = re.compile(r"\b(?:code|totp)\s+[0-9]{3}\s?[0-9]{3,5}\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Me:
    """The bot as Telegram knows it."""

    id: int
    name: str


def sender(message: Message) -> User | None:
    """The human who wrote a message; None where it was none, or where that cannot be told."""
    user = message.from_user
    hidden = message.sender_chat or message.forward_origin or message.via_bot or message.is_automatic_forward
    if user is None or user.is_bot or hidden or message.chat.type not in _ROOMS or message.edit_date:
        return None
    return user


def is_hidden(message: Message) -> bool:
    """Whether an administrator wrote it who hides behind the group."""
    return message.sender_chat is not None and message.sender_chat.id == message.chat.id


def holds_code(text: str) -> bool:
    """Whether a command ends with a one-time code, which nobody else is to read."""
    return _CODE.search(text) is not None


def place_of(message: Message) -> Place:
    """Where a message stands. Of the threads of a group only a forum's topics count: replies make threads, too."""
    topic = str(message.message_thread_id or "") if message.is_topic_message else ""
    return Place("telegram", str(message.chat.id), topic, private=message.chat.type == "private")


def identity_of(user: User) -> Identity:
    """Who somebody is: the number, since names change hands."""
    return Identity("telegram", str(user.id))


def name_of(user: User) -> str:
    """What people call them."""
    return user.username or user.full_name


def is_reply_to(message: Message, me: Me) -> bool:
    """Whether a message answers one of the bot's."""
    replied = message.reply_to_message
    return replied is not None and replied.from_user is not None and replied.from_user.id == me.id


def meant(message: Message, me: Me) -> str | None:
    """What a message tells the bot, as dispatch reads it; None where it tells others.

    In groups these are commands (`/status`, `/status@thebot`), messages that begin or end with the bot's name, and
    replies to the bot's messages, which is what the bot sees in privacy mode; without it, nothing else is heard.
    """
    text = (message.text or "").replace(JOINER, "").strip()  # what was copied out of a card holds it
    if text.startswith("/"):
        return _command(text, me)
    if (rest := _without_name(text, me)) is not None:
        return rest if rest.startswith("/") else f"/{rest}" if rest else _HELP
    if message.chat.type == "private" or is_reply_to(message, me):
        return text or None
    return None


def start_payload(message: Message) -> str:
    """What stands behind `/start`, which is how a link to the bot passes something on; empty for none."""
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
    """The text without the bot's name at its beginning or end; None where it stands at neither."""
    name = re.escape(f"@{me.name}")
    match = re.fullmatch(
        rf"(?:{name}(?!\w)[,:]?\s*(?P<after>.*)|(?P<before>.*\S)\s+{name})", text, re.IGNORECASE | re.DOTALL
    )
    if match is None:
        return None
    return match["after"] if match["after"] is not None else match["before"]
