"""One client's connection to the console: requests run concurrently, answers are sent in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from deploybot.card import Card, Tone
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.console import unix_sockets
from deploybot.chat.console.client_mailbox import ClientRoom, Gone, Mailbox
from deploybot.chat.console.console_protocol import (
    REQUEST_LIMIT,
    VERSION,
    Candidates,
    Complete,
    Done,
    Hello,
    LineRequest,
    ProtocolError,
    Show,
    StopRequest,
    WatchRequest,
    Welcome,
    decode_request,
    encode,
)
from deploybot.command import Incoming
from deploybot.domain import Channel, Identity
from deploybot.errors import Unreachable

PLATFORM = "console"
CHANNEL = Channel(PLATFORM, id="console")
IN_FLIGHT = 32
_HELLO_WITHIN = 10.0
_SEND_WITHIN = 60.0
_LOOK_AGAIN = 30.0
_MOST_WORDS = 200

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Active:
    """A running request. `stop` is the command that ends the log it follows; `stopping` is set when it must end."""

    stop: str = ""
    stopping: bool = False


class Session:
    """One connection. `spawn` runs coroutines that outlive it: a command continues when its client leaves."""

    def __init__(
        self,
        parts: Parts,
        room: ClientRoom,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        uid: int,
        spawn: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._parts = parts
        self._room = room
        self._reader, self._writer = streams
        self._uid = uid
        self._spawn = spawn
        self._hello = Hello(VERSION)
        self._mailbox = Mailbox(room.get)
        self._active: dict[str, _Active] = {}
        self._watches: dict[asyncio.Event, str] = {}
        self._token = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._ready = False
        self._last_words = ""

    @property
    def user(self) -> str:
        """Return the identity's user: `1000`, or `1000/ben` for a client that gave a name."""
        return f"{self._uid}/{self._hello.name}" if self._hello.name else str(self._uid)

    @property
    def _identity(self) -> Identity:
        return Identity(PLATFORM, self.user)

    @property
    def listens(self) -> bool:
        """Return whether the client gets the cards for everybody."""
        return self._hello.room and self._ready

    async def run(self) -> None:
        """Serve the client until it leaves, breaks the protocol, or `close` is called; then stop its logs."""
        try:
            await self._greet()
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(self._send())
                await self._read()
                sender.cancel()
        except* ProtocolError as errors:
            self._last_words = f"This client does not speak the bot's protocol: {errors.exceptions[0]}."
        except* (OSError, Gone) as errors:
            log.debug("a console client disconnected: %r", errors.exceptions)
        finally:
            self._mailbox.close()
            for active in self._active.values():
                self._stop(active)
            for changed in self._watches:
                changed.set()
            if self._last_words:
                await unix_sockets.refuse(self._reader, self._writer, self._last_words)
            self._writer.close()

    def card_changed(self, message: str) -> None:
        """Handle a change of a card in the room."""
        if self.listens:
            self._mailbox.post(message)
        for event, key in self._watches.items():
            if key == message:
                event.set()

    def close(self) -> None:
        """End the connection with a message to the client."""
        self._last_words = "The bot is stopping."
        self._mailbox.close()

    async def _greet(self) -> None:
        """Read `hello`, answer `welcome`, and queue the cards that the client has missed."""
        async with asyncio.timeout(_HELLO_WITHIN):
            hello = decode_request(await self._line())
        if not isinstance(hello, Hello) or hello.version != VERSION:
            raise ProtocolError(f"it must begin with `hello` in version {VERSION}")
        self._hello = hello
        self._writer.write(encode(Welcome(VERSION, self._parts.bot, self.user)))
        if hello.room:
            for message in self._room.news():
                self._mailbox.post(message)
        self._ready = True

    async def _line(self) -> bytes:
        """Read the next line; it is empty if the client has left. Raises ProtocolError if it is too long."""
        try:
            return await self._reader.readline()
        except ValueError:
            raise ProtocolError(f"a line is longer than {REQUEST_LIMIT} bytes") from None

    async def _read(self) -> None:
        """Accept requests until the client leaves."""
        while line := await self._line():
            request = decode_request(line)
            if isinstance(request, Hello):
                raise ProtocolError("`hello` was sent twice")
            if isinstance(request, StopRequest):
                if active := self._active.get(request.id):
                    self._stop(active)
            elif request.id in self._active:
                raise ProtocolError("an id is used twice")
            elif len(self._active) >= IN_FLIGHT:
                busy = Card(title="Too many commands at once.", tone=Tone.BAD, ok=False, hint="Wait for one to finish.")
                await self._put(Show(self._name(busy), busy, request.id))
                await self._put(Done(request.id, ok=False, tone=Tone.BAD))
            else:
                self._active[request.id] = _Active()
                self._spawn(self._serve(request))

    async def _send(self) -> None:
        """Write the messages of the mailbox. Waits while the client does not read."""
        while True:
            self._writer.write(encode(await self._mailbox.take()))
            await self._writer.drain()

    async def _serve(self, request: LineRequest | Complete | WatchRequest) -> None:
        """Answer one request. The client may have left by then."""
        try:
            if isinstance(request, LineRequest):
                await self._put(await self._run(request))
            elif isinstance(request, WatchRequest):
                await self._put(await self._watch(request))
            else:
                count, words = await self._parts.complete(self._identity, request.text)
                await self._put(Candidates(request.id, words[:_MOST_WORDS], count))
        except Gone:
            log.debug("no client waits for the answer")
        except Exception:
            log.exception("a console request failed because of a bug")
            await self._broke(request.id)
        finally:
            self._active.pop(request.id, None)

    async def _broke(self, request: str) -> None:
        """Answer a request that failed because of a bug in the bot."""
        card = Card(title="Something broke on my side.", tone=Tone.BAD, ok=False, hint="See the bot's log.")
        with contextlib.suppress(Gone):
            await self._put(Show(self._name(card), card, request))
            await self._put(Done(request, ok=False, tone=Tone.BAD))

    async def _run(self, request: LineRequest) -> Done:
        """Run a command for the person. Its cards go to this client."""
        active = self._active[request.id]

        async def reply(card: Card) -> None:
            await self._reply(request.id, active, card)

        card = await self._parts.handle(self._incoming(request.text), reply)
        if card is None:
            return Done(request.id)
        if not card.queued or not self.listens:
            await self._put(Show(self._name(card), card, request.id))
        return Done(request.id, ok=card.ok, tone=card.tone, follows=card.key if card.queued else "")

    async def _reply(self, request: str, active: _Active, card: Card) -> None:
        """Send a card while a command runs. Raises Unreachable if the client of a followed log has left."""
        if card.queued:
            return
        if card.stream:
            active.stop = "" if card.final else next((b.command for b in card.buttons), active.stop)
            if active.stopping:
                self._stop(active)
        try:
            await self._put(Show(self._name(card), card, request))
        except Gone:
            if card.stream:
                raise Unreachable("the console client", "it has left") from None

    async def _watch(self, request: WatchRequest) -> Done:
        """Send a card and all its later states until it is final."""
        changed = asyncio.Event()
        self._watches[changed] = request.key
        try:
            card = self._room.get(request.key) or await self._parts.recall(request.key)
            shown: Card | None = None
            while card is not None and not self._mailbox.closed:
                if card is not shown:
                    await self._put(Show(request.key, card, request.id))
                    shown = card
                if card.final:
                    return Done(request.id, ok=card.ok, tone=card.tone)
                card = await self._newer(request.key, card, changed)
        finally:
            del self._watches[changed]
        return Done(request.id, ok=False, tone=Tone.UNKNOWN)

    async def _newer(self, key: str, card: Card, changed: asyncio.Event) -> Card:
        """Wait for the card's next state. Ask the database regularly in case the room misses the end."""
        try:
            async with asyncio.timeout(_LOOK_AGAIN):
                await changed.wait()
        except TimeoutError:
            recalled = await self._parts.recall(key)
            return recalled if recalled is not None and recalled.final else card
        changed.clear()
        return self._room.get(key) or card

    def _stop(self, active: _Active) -> None:
        """Stop the log that a request follows: run the command of its card's button as the same person."""
        active.stopping = True
        if active.stop:
            self._spawn(self._quietly(active.stop))
            active.stop = ""

    async def _quietly(self, text: str) -> None:
        """Run a command and ignore its answer."""

        async def reply(_: Card) -> None:
            """Ignore the card."""

        await self._parts.handle(self._incoming(text), reply)

    async def _put(self, answer: Show | Done | Candidates) -> None:
        """Queue an answer. Raises Gone if the client has left.

        A client that reads nothing for a minute is disconnected.
        """
        try:
            await self._mailbox.put(answer, timeout=_SEND_WITHIN)
        except TimeoutError:
            self._writer.transport.abort()
            raise Gone from None

    def _incoming(self, text: str) -> Incoming:
        """Return a line as a message for the dispatcher."""
        return Incoming(
            identity=self._identity,
            channel=CHANNEL,
            text=text,
            id=f"{self._token}-{next(self._numbers)}",
            at=self._parts.clock.now(),
            name=self._hello.name or unix_sockets.user(self._uid),
            can_pick=self._hello.person,
        )

    def _name(self, card: Card) -> str:
        """Return the message id of a reply: the card's key, or a new id."""
        return card.key or f"{self._token}-{next(self._numbers)}"
