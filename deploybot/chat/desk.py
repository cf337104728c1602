"""The buttons of messages: a message carries random tokens, the database what they stand for.

A token works in its own message alone, and changes something once. Who presses it is asked the same
questions as who types the command: a token is no right. Only hashes of tokens are kept.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from deploybot.card import Button
from deploybot.domain import Place
from deploybot.errors import UserError
from deploybot.ports import ButtonRow, Clock, Store, Tables

_BYTES = 18
_REMEMBERED = 5_000
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Press:
    """A button that was pressed: its token's hash, for `Incoming.press`, and the command behind it."""

    hash: str
    command: str


class Desk:
    """Gives out tokens for the buttons of one platform's messages, and takes them back."""

    def __init__(self, store: Store, clock: Clock, platform: str) -> None:
        """Take the ports, and whose buttons these are."""
        self._store = store
        self._clock = clock
        self._platform = platform
        self._tokens: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    async def lay_out(self, place: Place, buttons: Sequence[Button], message: str = "") -> tuple[str, ...]:
        """A token (24 characters of A-Z, a-z, 0-9, - and _) for each button, in their order.

        With `message`, the id of a message that is edited, it keeps the tokens of buttons that stay and were not
        used; those of buttons that go become invalid. Without it, `sent` has to follow.
        """
        known = {button.command: self._tokens.get((place.channel, message, button.command), "") for button in buttons}

        def look(tables: Tables) -> set[str]:
            rows = (tables.buttons.get(_hash(token)) for token in known.values() if token)
            return {row.hash for row in rows if row is not None and not row.used}

        fresh = await self._store.read(look) if any(known.values()) else set()
        tokens = {
            command: token if token and _hash(token) in fresh else secrets.token_urlsafe(_BYTES)
            for command, token in known.items()
        }
        now = self._clock.now()
        new = [command for command, token in tokens.items() if known[command] != token]

        def keep(tables: Tables) -> None:
            if message:
                hashes = [_hash(token) for token in tokens.values()]
                tables.buttons.keep_only(self._platform, place.channel, message, hashes)
            for command in new:
                row = ButtonRow(
                    hash=_hash(tokens[command]),
                    platform=self._platform,
                    channel=place.channel,
                    message=message,
                    command=command,
                    made=now,
                )
                tables.buttons.add(row)

        if new or message:
            await self._store.write(keep)
        if message:
            self._remember(place.channel, message, tokens)
        return tuple(tokens[button.command] for button in buttons)

    async def sent(self, place: Place, buttons: Sequence[Button], tokens: Sequence[str], message: str) -> None:
        """Tie the tokens of a new message to it, now that its id is known."""
        if not tokens:
            return
        await self._store.write(lambda tables: [tables.buttons.bind(_hash(token), message) for token in tokens])
        pairs = zip(buttons, tokens, strict=True)
        self._remember(place.channel, message, {button.command: token for button, token in pairs})

    async def press(self, token: str, channel: str, message: str) -> Press:
        """What a pressed button stands for. UserError for one that is made up, from elsewhere, gone or used."""
        token_hash = _hash(token) if 0 < len(token) <= _LONGEST else ""

        def take(tables: Tables) -> ButtonRow | None:
            row = tables.buttons.get(token_hash)
            if row is None or (row.platform, row.channel) != (self._platform, channel):
                return None
            # A bot that died between sending and `sent` has left it untied: the first message that shows it has it.
            return row if tables.buttons.bind(token_hash, message) else None

        row = await self._store.write(take)
        if row is None:
            raise UserError("This button does not work any more.", hint="Type the command instead: `help` lists them.")
        if row.used:
            raise UserError("This button was pressed already.", hint="Its message tells what came of it.")
        return Press(row.hash, row.command)

    def _remember(self, channel: str, message: str, tokens: dict[str, str]) -> None:
        for command, token in tokens.items():
            self._tokens[channel, message, command] = token
        while len(self._tokens) > _REMEMBERED:
            self._tokens.popitem(last=False)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
