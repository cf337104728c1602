"""What may stand in a call: https://core.telegram.org/bots/api#available-methods, as far as a bot like ours goes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp.web import FileField

from tests.doubles.telegram.markup import Refused, units

Params = dict[str, "str | FileField"]
_MESSAGE = "chat_id message_thread_id disable_notification protect_content reply_parameters reply_markup"
METHODS: Mapping[str, frozenset[str]] = {
    name: frozenset(names.split())
    for name, names in {
        "getMe": "",
        "getUpdates": "offset limit timeout allowed_updates",
        "setWebhook": "url certificate ip_address max_connections allowed_updates drop_pending_updates secret_token",
        "deleteWebhook": "drop_pending_updates",
        "getWebhookInfo": "",
        "setMyCommands": "commands scope language_code",
        "deleteMyCommands": "scope language_code",
        "getMyCommands": "scope language_code",
        "sendMessage": f"{_MESSAGE} text parse_mode entities link_preview_options",
        "sendDocument": f"{_MESSAGE} document caption parse_mode disable_content_type_detection",
        "sendChatAction": "chat_id message_thread_id action",
        "setMessageReaction": "chat_id message_id reaction is_big",
        "editMessageText": "chat_id message_id text parse_mode link_preview_options reply_markup",
        "editMessageReplyMarkup": "chat_id message_id reply_markup",
        "deleteMessage": "chat_id message_id",
        "answerCallbackQuery": "callback_query_id text show_alert url cache_time",
        "getChat": "chat_id",
        "getChatMember": "chat_id user_id",
        "getChatAdministrators": "chat_id",
    }.items()
}
COUNTED = frozenset({"sendMessage", "sendDocument", "editMessageText", "editMessageReplyMarkup"})
SCOPES = frozenset(
    {
        "default",
        "all_private_chats",
        "all_group_chats",
        "all_chat_administrators",
        "chat",
        "chat_administrators",
        "chat_member",
    }
)
_BUTTON_KINDS = frozenset({"url", "callback_data", "copy_text", "web_app", "switch_inline_query"})
_STYLES = frozenset({"danger", "primary", "success"})
_ROW = 8
_BUTTONS = 100
_LABEL = 64
_DATA = 64


def text_of(params: Params, name: str, default: str | None = None) -> str:
    """A parameter; Refused where it has to be there and is not."""
    value = params.get(name, default)
    if value is None:
        raise Refused(f"Bad Request: {name} is empty")
    if isinstance(value, FileField):
        raise Refused(f"Bad Request: {name} is a file")
    return value


def number_of(params: Params, name: str, default: int | None = None) -> int:
    """A whole number."""
    given = text_of(params, name, None if default is None else str(default))
    try:
        return int(given)
    except ValueError:
        raise Refused(f"Bad Request: {name} must be an Integer") from None


def object_of(params: Params, name: str) -> object:
    """A parameter in JSON; None where it is not given."""
    if name not in params:
        return None
    try:
        return json.loads(text_of(params, name))
    except ValueError:
        raise Refused(f"Bad Request: can't parse {name} JSON object") from None


def keyboard_of(params: Params) -> tuple[dict[str, str], ...]:
    """The buttons of an inline keyboard; empty for none, or for another kind of markup."""
    markup = object_of(params, "reply_markup")
    if not isinstance(markup, dict) or "inline_keyboard" not in markup:
        return ()
    rows = markup["inline_keyboard"]
    if any(len(row) > _ROW for row in rows) or sum(map(len, rows)) > _BUTTONS:
        raise Refused("Bad Request: reply markup is too long")
    buttons = tuple(button for row in rows for button in row)
    for button in buttons:
        _button(button)
    return buttons


def _button(button: dict[str, str]) -> None:
    if not button.get("text", "").strip():
        raise Refused("Bad Request: can't parse inline keyboard button: Text is empty")
    if units(button["text"]) > _LABEL:
        raise Refused(f"(double) the label {button['text']!r} has more than {_LABEL} characters and would be cut")
    kinds = _BUTTON_KINDS & button.keys()
    if len(kinds) != 1 or button.keys() - _BUTTON_KINDS - {"text", "style", "icon_custom_emoji_id"}:
        raise Refused("Bad Request: Text buttons are unallowed in the inline keyboard")
    if "style" in button and button["style"] not in _STYLES:
        raise Refused("Bad Request: invalid button style specified")
    if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= _DATA:
        raise Refused("Bad Request: BUTTON_DATA_INVALID")
