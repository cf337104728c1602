"""Parse Slack's payloads into what a person did; pure.

The payloads are described at docs.slack.dev/apis/events-api, docs.slack.dev/interactivity and, for slash commands,
docs.slack.dev/interactivity/implementing-slash-commands. Any other payload is None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploybot.chat.slack.slash_command_names import EVERYTHING, command_line

Json = Mapping[str, Any]

ANSWER: Final = "answer"
"""The id of a modal's only input, and of its block."""

RUN, ASK, CODE, REFRESH = "run", "ask", "code", "home"
"""What a button does: the first part of its action id."""

_ANGLES: Final = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackLine:
    """A line for the bot. `answer_url` is for answers that only the sender sees; it may be empty.

    `trigger` opens one modal within three seconds; it is empty for a message. `at` is when it was sent, 0.0 for now.
    """

    user: str
    channel: str
    text: str
    id: str
    thread: str = ""
    at: float = 0.0
    answer_url: str = ""
    trigger: str = ""

    @property
    def private(self) -> bool:
        """Return whether it was sent in a direct message."""
        return self.channel.startswith("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackPressed:
    """A pressed button of a message, or of the home tab (which has no channel).

    `kind` is its function: RUN, ASK or CODE, which ask for input first (`asks` is the question), or REFRESH for the
    home tab.
    """

    user: str
    id: str
    channel: str
    message: str
    thread: str
    kind: str
    asks: str
    token: str
    trigger: str
    answer_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A submitted modal. `about` is the data it was opened with, `answer` a text or the chosen value.

    `trigger` opens the next modal within three seconds.
    """

    user: str
    id: str
    view: str
    about: Mapping[str, str]
    answer: str
    trigger: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeOpened:
    """A person opened the app's home tab."""

    user: str
    id: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """The app or its tokens were removed."""


SlackEvent = SlackLine | SlackPressed | Submitted | HomeOpened | Revoked


def read(body: Json, bot: str = "") -> SlackEvent | None:
    """Parse a payload of either mode. Return None for bots, edits and other events. Never raises.

    `bot` is the bot's own user id, if it is known already.
    """
    try:
        if "command" in body:
            return _slash(body)
        match body.get("type"):
            case "event_callback":
                return _event(body, bot)
            case "block_actions":
                return _pressed(body)
            case "view_submission":
                return _submitted(body)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None
    return None


def _slash(body: Json) -> SlackLine:
    text = typed(str(body["text"]))
    return SlackLine(
        user=body["user_id"],
        channel=body["channel_id"],
        text=f"/{command_line(body['command'], text)}",
        id=f"slash:{body['trigger_id']}",
        answer_url=body.get("response_url", ""),
        trigger=body["trigger_id"],
    )


def _event(body: Json, bot: str) -> SlackEvent | None:
    event = body["event"]
    match event["type"]:
        case "app_mention" | "message":
            return _message(event, bot or _bot(body))
        case "app_home_opened" if event.get("tab") == "home":
            return HomeOpened(user=event["user"], id=f"home:{body['event_id']}")
        case "app_uninstalled":
            return Revoked()
        case "tokens_revoked":
            return Revoked() if event.get("tokens", {}).get("bot") else None
        case _:
            return None


def _message(event: Json, bot: str) -> SlackLine | None:
    """Parse a message or a mention. Ignore edited ones, those of bots, and those with a subtype."""
    ignored = event.get("subtype") or event.get("bot_id") or event.get("edited") or event.get("hidden")
    if ignored or (event["type"] == "message" and event.get("channel_type") != "im"):
        return None
    return SlackLine(
        user=event["user"],
        channel=event["channel"],
        text=typed(event["text"], bot),
        # A mention in a direct message may arrive as both events.
        id=f"message:{event['channel']}:{event['ts']}",
        thread=event.get("thread_ts", ""),
        at=float(event["ts"]),
    )


def _bot(body: Json) -> str:
    """Return the bot's user id from the payload, or ""."""
    return next((one["user_id"] for one in body.get("authorizations") or () if one.get("is_bot")), "")


def _pressed(body: Json) -> SlackPressed:
    action, container = body["actions"][0], body["container"]
    kind, _, rest = action["action_id"].partition(":")
    return SlackPressed(
        user=body["user"]["id"],
        id=f"press:{body['trigger_id']}",
        channel=container.get("channel_id", ""),
        message=container.get("message_ts", ""),
        thread=container.get("thread_ts", ""),
        kind=kind,
        asks=rest.partition(":")[2],
        token=action.get("value", ""),
        trigger=body["trigger_id"],
        answer_url=body.get("response_url", ""),
    )


def _submitted(body: Json) -> Submitted:
    view = body["view"]
    field = view["state"]["values"][ANSWER][ANSWER]
    chosen = field.get("selected_option") or {}
    return Submitted(
        user=body["user"]["id"],
        id=f"view:{view['id']}",
        view=view["id"],
        about=json.loads(view["private_metadata"]),
        answer=chosen.get("value") or field.get("value") or "",
        trigger=str(body.get("trigger_id") or ""),
    )


def typed(text: str, bot: str = "") -> str:
    """Return the text as the person typed it: undo Slack's links, mentions and entities.

    A mention of `bot` becomes the bot's name. A mention of a person becomes the form that `allow` accepts
    (`slack:TEAM/USER`, once the team is known), since names are not identities.
    """
    text = _ANGLES.sub(lambda found: _typed(found[1], bot), text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _typed(inside: str, bot: str) -> str:
    target, _, label = inside.partition("|")
    match target[:1]:
        case "@":
            return f"@{EVERYTHING}" if target[1:] == bot else f"{USER}{target[1:]}"
        case "#":
            return f"#{label or target[1:]}"
        case "!":
            return f"@{(label or target[1:].partition('^')[0]).removeprefix('@')}"
        case _:
            return label or target


USER: Final = "slack:/"
"""The prefix before the id of a mentioned person, until their team is inserted."""
