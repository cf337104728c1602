"""The console's protocol: one JSON object per line, in UTF-8, over a Unix socket. docs/console.md specifies it.

A client opens with `hello`, and the bot answers `welcome`. Then the client sends requests, each with a unique id. All
answers carry the id of their request; `done` or `candidates` is the last one. Unknown keys are ignored, and keys with
default values are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Final, cast

from pydantic import StringConstraints, TypeAdapter, ValidationError

from deploybot.card import Card, Tone
from deploybot.errors import DeploybotError

VERSION: Final = 1
SOCKET: Final = "console.sock"
"""The socket's name in the data folder."""
REQUEST_LIMIT: Final = 8192
"""The longest line that a client may send, in bytes, including the newline."""
ANSWER_LIMIT: Final = 16 * 2**20
"""The longest line that the bot sends, in bytes, including the newline."""
_CODE_LIMIT: Final = 2 * 2**20
_TITLE_LIMIT: Final = 1000

RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
PersonName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class ProtocolError(DeploybotError):
    """A line is not a message of this protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's first line. `name` is the `--as` name or empty; `room` asks for the cards for everybody.

    `person` means that a person types there, who can be asked to pick something. Scripts and programs cannot.
    """

    type: ClassVar[str] = "hello"
    version: int
    name: PersonName | Annotated[str, StringConstraints(max_length=0)] = ""
    room: bool = True
    person: bool = False


@dataclass(frozen=True, slots=True)
class LineRequest:
    """A line that a person typed."""

    type: ClassVar[str] = "say"
    id: RequestId
    text: str


@dataclass(frozen=True, slots=True)
class Complete:
    """Ask for completions of the line up to the cursor."""

    type: ClassVar[str] = "complete"
    id: RequestId
    text: str


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Follow a card by its key until it is final."""

    type: ClassVar[str] = "watch"
    id: RequestId
    key: str


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Stop the log that the request `id` follows."""

    type: ClassVar[str] = "stop"
    id: RequestId


@dataclass(frozen=True, slots=True)
class Welcome:
    """The bot's first line. `user` is the identity of the client, such as `1000/ben`."""

    type: ClassVar[str] = "welcome"
    version: int
    bot: str
    user: str


@dataclass(frozen=True, slots=True)
class Show:
    """A card. `message` is its id; with `edit` it replaces the card of that id. `request` is what it answers."""

    type: ClassVar[str] = "card"
    message: str
    card: Card
    request: str = ""
    edit: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """Answers `complete`: each of `words` may replace the last `replace` characters of the line."""

    type: ClassVar[str] = "candidates"
    request: str
    words: tuple[str, ...] = ()
    replace: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """A request is answered. `follows` is the key of the card that continues to be updated, `tone` its last tone."""

    type: ClassVar[str] = "done"
    request: str
    ok: bool = True
    tone: Tone = Tone.PLAIN
    follows: str = ""


@dataclass(frozen=True, slots=True)
class ConsoleRefused:
    """The bot closes the connection. `sentence` is the reason, `hint` the fix."""

    type: ClassVar[str] = "refused"
    sentence: str
    hint: str = ""


Request = Hello | LineRequest | Complete | WatchRequest | StopRequest
Answer = Welcome | Show | Candidates | Done | ConsoleRefused

_ANY: Final = TypeAdapter[Request | Answer](Request | Answer)
_REQUESTS: Final = {kind.type: TypeAdapter(kind) for kind in (Hello, LineRequest, Complete, WatchRequest, StopRequest)}
_ANSWERS: Final = {kind.type: TypeAdapter(kind) for kind in (Welcome, Show, Candidates, Done, ConsoleRefused)}


def encode(message: Request | Answer) -> bytes:
    """Return a message as one line. Characters that UTF-8 cannot encode (half a surrogate pair) become `?`.

    A card that is too large for one line is replaced by a short one with a notice.
    """
    line = to_json(message).encode("utf-8", "replace") + b"\n"
    if len(line) > ANSWER_LIMIT and isinstance(message, Show):
        card = message.card
        small = Card(title=card.title[:_TITLE_LIMIT], key=card.key, tone=card.tone, final=card.final, ok=card.ok)
        hint = "This message is too large for the console; ask for less of it."
        return encode(replace(message, card=replace(small, hint=hint)))
    return line


def to_json(message: Request | Answer) -> str:
    """Return a message as one JSON object on one line."""
    if isinstance(message, Show):
        message = replace(message, card=bounded(message.card))
    body = _ANY.dump_python(message, mode="json", exclude_defaults=True, warnings="error")
    return json.dumps({"type": message.type, **body}, ensure_ascii=False, separators=(",", ":"))


def decode_request(line: bytes) -> Request:
    """Parse a client's line. Raises ProtocolError if it is not a request."""
    return cast("Request", _decode(line, _REQUESTS))


def decode_answer(line: bytes) -> Answer:
    """Parse the bot's line. Raises ProtocolError if it is not an answer."""
    return cast("Answer", _decode(line, _ANSWERS))


def _decode(line: bytes, kinds: dict[str, TypeAdapter[object]]) -> object:
    """Parse a line as the message that its `type` names."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("a line is not JSON") from None
    kind = body.pop("type", None) if isinstance(body, dict) else None
    adapter = kinds.get(kind) if isinstance(kind, str) else None
    if adapter is None:
        raise ProtocolError("a line has an unknown `type`")
    try:
        return adapter.validate_json(json.dumps(body), strict=True)
    except (ValidationError, ValueError, RecursionError) as error:
        raise ProtocolError(f"a `{kind}` message is wrong: {_first(error)}") from None


def _first(error: Exception) -> str:
    """Return the first problem of a message, without its content."""
    if not isinstance(error, ValidationError):
        return "not JSON"
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def bounded(card: Card, limit: int = _CODE_LIMIT) -> Card:
    """Return the card with at most `limit` characters of code. Older lines are replaced by a line that says so."""
    if sum(map(len, card.code)) <= limit:
        return card
    kept: list[str] = []
    room = limit
    for line in reversed(card.code):
        room -= len(line)
        if room < 0:
            break
        kept.append(line)
    if not kept:
        kept.append(card.code[-1][-limit:])
    return replace(card, code=("… earlier lines are left out …", *reversed(kept)))
