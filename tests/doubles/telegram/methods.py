"""The methods of the Bot API that a bot like ours calls."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from aiohttp.web import FileField

from tests.doubles.telegram.inbox import Webhook
from tests.doubles.telegram.markup import Read, Refused, read
from tests.doubles.telegram.rooms import Json, Room, Said
from tests.doubles.telegram.shapes import COUNTED, METHODS, SCOPES, Params, keyboard_of, number_of, object_of, text_of
from tests.doubles.timeline import Post, Press

if TYPE_CHECKING:
    from tests.doubles.telegram.double import TelegramDouble

_CAPTION = 1024
_DOCUMENT = 50 * 1024 * 1024
_TOAST = 200
_DESCRIPTION = 256
_COMMANDS = 100
_TOO_OLD = "Bad Request: query is too old and response timeout expired or query ID is invalid"
_NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a "
    "current content and reply markup of the message"
)
_BREACHES = (
    "(double)",
    "Bad Request: can't parse",
    "Bad Request: message is too long",
    "Bad Request: message text is empty",
    "Bad Request: caption is",
    "Bad Request: reply markup",
    "Bad Request: BUTTON",
    "Bad Request: Text buttons",
    "Bad Request: invalid",
    "Bad Request: MESSAGE_TOO_LONG",
    "Bad Request: BOT_COMMAND",
)


class Methods:
    """Answers calls; what is wrong with them is raised as Refused, and noted where the bot is to blame."""

    def __init__(self, double: TelegramDouble) -> None:
        self._double = double
        self._plain: dict[str, Callable[[Params], Awaitable[object]]] = {
            "getUpdates": self._updates,
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._delete_webhook,
            "setMyCommands": self._commands,
            "sendMessage": self._message,
            "sendDocument": self._document,
            "editMessageText": self._edit,
            "editMessageReplyMarkup": self._edit_markup,
            "deleteMessage": self._delete,
            "answerCallbackQuery": self._answer,
        }

    async def call(self, name: str, params: Params) -> object:
        """The result of a call."""
        if name not in METHODS:
            raise Refused("Not Found", 404)
        if extra := params.keys() - METHODS[name]:
            self._double.violations.append(f"{name} has no parameter {', '.join(sorted(extra))}")
        try:
            if name in COUNTED:
                room = self._room(params)
                self._double.gate.enter(str(room.id), group=room.group)
            if made := self._plain.get(name):
                return await made(params)
            return cast("object", getattr(self, f"_{_snake(name)}")(params))
        except Refused as refused:
            if refused.description.startswith(_BREACHES):
                self._double.violations.append(f"{name}: {refused.description}")
            raise

    def _room(self, params: Params) -> Room:
        room = self._double.rooms.get(number_of(params, "chat_id"))
        if room is None:
            raise Refused("Bad Request: chat not found")
        return room

    def _open_room(self, params: Params) -> Room:
        room = self._room(params)
        room.admit(self._double.users.get(room.id))
        room.topic(number_of(params, "message_thread_id", 0))
        return room

    def _said(self, params: Params, missing: str) -> Said:
        room = self._open_room(params)
        said = room.messages.get(number_of(params, "message_id"))
        if said is None:
            raise Refused(f"Bad Request: {missing}")
        return said

    def _get_me(self, _: Params) -> Json:
        return self._double.me() | {
            "can_join_groups": True,
            "can_read_all_group_messages": not self._double.privacy,
            "supports_inline_queries": False,
        }

    async def _updates(self, params: Params) -> list[Json]:
        allowed = object_of(params, "allowed_updates")
        if isinstance(allowed, list):
            self._double.inbox.allowed = tuple(allowed)
        seconds, offset = number_of(params, "timeout", 0), number_of(params, "offset", 0)
        return await self._double.inbox.poll(offset, number_of(params, "limit", 100), seconds)

    async def _set_webhook(self, params: Params) -> bool:
        url, secret = text_of(params, "url", ""), text_of(params, "secret_token", "")
        if not re.fullmatch(r"(?:https://|http://127\.0\.0\.1[:/]).+", url):
            raise Refused("Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", secret):
            raise Refused("Bad Request: secret token contains unallowed characters")
        allowed = object_of(params, "allowed_updates")
        if isinstance(allowed, list):
            self._double.inbox.allowed = tuple(allowed)
        self._double.inbox.deliver(Webhook(url, secret))
        return True

    async def _delete_webhook(self, _: Params) -> bool:
        self._double.inbox.deliver(Webhook())
        return True

    def _get_webhook_info(self, _: Params) -> Json:
        inbox = self._double.inbox
        made: Json = {
            "url": inbox.webhook.url,
            "has_custom_certificate": False,
            "pending_update_count": inbox.pending,
        }
        if inbox.webhook.error:
            made |= {"last_error_date": int(time.time()), "last_error_message": inbox.webhook.error}
        return made

    async def _commands(self, params: Params) -> bool:
        commands = object_of(params, "commands")
        scope = object_of(params, "scope") or {"type": "default"}
        if not isinstance(commands, list) or not isinstance(scope, dict) or scope.get("type") not in SCOPES:
            raise Refused("Bad Request: can't parse commands")
        if len(commands) > _COMMANDS:
            raise Refused("Bad Request: BOT_COMMANDS_TOO_MUCH")
        for one in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", one["command"]):
                raise Refused("Bad Request: BOT_COMMAND_INVALID")
            if not 1 <= len(one["description"]) <= _DESCRIPTION:
                raise Refused("Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        key = str(scope["type"]) + (f" {scope['chat_id']}" if "chat_id" in scope else "")
        self._double.menus[key] = {one["command"]: one["description"] for one in commands}
        return True

    async def _message(self, params: Params) -> Json:
        room = self._open_room(params)
        return self._put(room, params, _unfolded(params))

    async def _document(self, params: Params) -> Json:
        room = self._open_room(params)
        document = params.get("document")
        if not isinstance(document, FileField):
            raise Refused("Bad Request: there is no document in the request")
        if not self._double.takes_documents:
            raise Refused("Bad Request: not enough rights to send documents to the chat")
        content = document.file.read()
        if not content:
            raise Refused("Bad Request: file must be non-empty")
        if len(content) > _DOCUMENT:
            raise Refused("Request Entity Too Large", 413)
        caption = text_of(params, "caption", "")
        mode = text_of(params, "parse_mode", "")
        seen = read(caption, mode, longest=_CAPTION) if caption else Read("", "")
        return self._put(room, params, seen, ((document.filename, content),))

    def _put(self, room: Room, params: Params, seen: Read, files: tuple[tuple[str, bytes], ...] = ()) -> Json:
        """Keep and show a new message of the bot."""
        thread = number_of(params, "message_thread_id", 0)
        buttons = keyboard_of(params)
        replied = self._replied(room, params)
        message = room.message(self._double.me(), seen.text, thread)
        if files:
            del message["text"]
            message["document"] = {"file_id": "f", "file_unique_id": "f", "file_name": files[0][0]}
        if buttons:
            message["reply_markup"] = object_of(params, "reply_markup")
        said = Said(message, by_bot=True, buttons=buttons, text=seen.text)
        said.question = _forced(object_of(params, "reply_markup"), seen, replied)
        number = int(str(message["message_id"]))
        room.messages[number] = said
        self._double.states[room.id, number] = (seen.html, buttons)
        self._show(room, said, seen, files)
        return message

    def _replied(self, room: Room, params: Params) -> Said | None:
        reply = object_of(params, "reply_parameters")
        if not isinstance(reply, dict):
            return None
        found = room.messages.get(reply.get("message_id", 0))
        if found is None and not reply.get("allow_sending_without_reply"):
            raise Refused("Bad Request: message to be replied not found")
        if found is not None:
            self._double.replies.append((str(room.id), str(reply["message_id"])))
        return found

    def _show(self, room: Room, said: Said, seen: Read, files: tuple[tuple[str, bytes], ...] = ()) -> None:
        at = int(str(said.json["message_id"]))
        self._double.links += [(seen.text[one.start : one.end]) for one in seen.entities if one.kind in _LINKS]
        self._double.timeline.put(
            Post(
                id=str(at),
                channel=str(room.id),
                author=self._double.username,
                text=seen.text,
                html=seen.html,
                buttons=tuple(_press(button) for button in said.buttons),
                files=files,
                pings=seen.pings,
                links=tuple((seen.text[one.start : one.end], one.value) for one in seen.entities if one.kind == "a"),
                thread=str(said.json.get("message_thread_id", "")),
                at=time.time(),
            )
        )

    async def _edit(self, params: Params) -> Json:
        said = self._said(params, "message to edit not found")
        if not said.by_bot:
            raise Refused("Bad Request: message can't be edited")
        return self._changed(params, said, _unfolded(params))

    def _changed(self, params: Params, said: Said, seen: Read) -> Json:
        room = self._room(params)
        state = (seen.html, keyboard_of(params))
        number = int(str(said.json["message_id"]))
        if self._double.states.get((room.id, number)) == state:
            raise Refused(_NOT_MODIFIED)
        said.buttons = state[1]
        self._double.states[room.id, number] = state
        said.text = seen.text
        said.json["text"] = seen.text
        said.json.pop("reply_markup", None)
        if said.buttons:
            said.json["reply_markup"] = object_of(params, "reply_markup")
        self._show(room, said, seen)
        return said.json

    async def _edit_markup(self, params: Params) -> Json:
        said = self._said(params, "message to edit not found")
        html = self._double.states[self._room(params).id, number_of(params, "message_id")][0]
        return self._changed(params, said, Read(said.text, html))

    async def _delete(self, params: Params) -> bool:
        said, room = self._said(params, "message to delete not found"), self._open_room(params)
        if not (said.by_bot or room.kind == "private" or room.may_delete):
            raise Refused("Bad Request: message can't be deleted")
        number = number_of(params, "message_id")
        del room.messages[number]
        timeline = self._double.timeline
        timeline.posts = [post for post in timeline.posts if (post.channel, post.id) != (str(room.id), str(number))]
        return True

    async def _answer(self, params: Params) -> bool:
        text, url = text_of(params, "text", ""), text_of(params, "url", "")
        if len(text) > _TOAST:
            raise Refused("Bad Request: MESSAGE_TOO_LONG")
        if url and not re.fullmatch(rf"(?:https://)?t\.me/{self._double.username}\?start=[A-Za-z0-9_-]{{1,64}}", url):
            raise Refused("Bad Request: URL_INVALID")
        pressed = self._double.pressed.get(text_of(params, "callback_query_id"))
        if pressed is None or pressed.answered or time.monotonic() - pressed.at > self._double.press_life:
            raise Refused(_TOO_OLD)
        alert = text_of(params, "show_alert", "false").lower() == "true"
        self._double.answered(pressed, text, url, alert=alert)
        return True

    def _send_chat_action(self, params: Params) -> bool:
        self._double.actions.append((str(self._open_room(params).id), text_of(params, "action")))
        return True

    def _set_message_reaction(self, params: Params) -> bool:
        room = self._open_room(params)
        reaction = object_of(params, "reaction")
        if number_of(params, "message_id") not in room.messages or not isinstance(reaction, list):
            raise Refused("Bad Request: message to react not found")
        self._double.reacted_at.append(time.monotonic())
        self._double.reactions += [(str(room.id), text_of(params, "message_id"), one["emoji"]) for one in reaction]
        return True

    def _get_chat(self, params: Params) -> Json:
        room = self._room(params)
        room.look(self._double.users.get(room.id))
        rights = {"permissions": dict.fromkeys(_RIGHTS, True)} if room.group else {}
        return room.json() | rights | {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": {
            "unlimited_gifts": False, "limited_gifts": False, "unique_gifts": False, "premium_subscription": False,
            "gifts_from_channels": False}}  # fmt: skip

    def _get_chat_member(self, params: Params) -> Json:
        room, user = self._room(params), number_of(params, "user_id")
        room.look(None)
        if user == self._double.me()["id"]:
            return _member(self._double.me(), room)
        member = room.members.get(user)
        if member is None:
            raise Refused("Bad Request: user not found")
        return {"status": "member", "user": member.json()}

    def _get_chat_administrators(self, params: Params) -> list[Json]:
        room = self._open_room(params)
        return [_member(self._double.me(), room)] if room.status == "administrator" else []


_LINKS = frozenset({"mention", "bot_command", "hashtag", "cashtag", "url", "phone_number"})


def _unfolded(params: Params) -> Read:
    """A message's text; no page that it leads to may be unfolded below it."""
    seen = read(text_of(params, "text", ""), text_of(params, "parse_mode", ""))
    preview = object_of(params, "link_preview_options")
    if any(one.kind == "a" for one in seen.entities) and not (isinstance(preview, dict) and preview.get("is_disabled")):
        raise Refused("(double) links, and no link_preview_options that keep their pages from being unfolded")
    return seen


def _member(me: Json, room: Room) -> Json:
    """https://core.telegram.org/bots/api#chatmember."""
    if room.status == "kicked":
        return {"status": "kicked", "user": me, "until_date": 0}
    if room.status == "member" and not room.may_write:
        no = dict.fromkeys(_RIGHTS, False)
        return {"status": "restricted", "user": me, "is_member": True, "until_date": 0, **no}
    if room.status == "administrator":
        rights = dict.fromkeys(_ADMIN, False) | {"can_post_messages": room.may_write}
        return {"status": "administrator", "user": me, "can_be_edited": False, **rights}
    return {"status": room.status, "user": me}


_RIGHTS = [
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_send_messages",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_manage_topics",
    "can_send_audios",
    "can_send_documents",
    "can_send_photos",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_edit_tag",
    "can_react_to_messages",
]
_ADMIN = [
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
]


def _press(button: dict[str, str]) -> Press:
    style = button.get("style")
    return Press(button["text"], button.get("callback_data", ""), style == "danger", style == "success")


def _forced(markup: object, seen: Read, replied: Said | None) -> int | None:
    """Whom a forced reply is for: 0 for everybody, None where none is forced."""
    if not isinstance(markup, dict) or not markup.get("force_reply"):
        return None
    if not markup.get("selective"):
        return 0
    named = [one.value for one in seen.entities if one.kind == "text_mention"]
    author = replied.json.get("from") if replied else None
    author_id = author.get("id") if isinstance(author, dict) and not author.get("is_bot") else 0
    return int(named[0]) if named else int(author_id or 0)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
