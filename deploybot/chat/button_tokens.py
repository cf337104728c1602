"""Buttons of messages: a message carries random tokens, and the database stores the command behind each.

A token works only in its own message, for thirty days, and can change something only once. Pressing a button needs the
same permissions as typing its command: a token grants nothing. Only hashes of tokens are stored.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploybot.bounded_memory import BoundedDict
from deploybot.card import Button
from deploybot.domain import Channel
from deploybot.errors import UserError
from deploybot.parsing import MARK
from deploybot.ports import ButtonRow, Clock, Store, Tables

_BYTES = 18
_LONGEST = 64
_LASTS = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Press:
    """A pressed button: the hash of its token, for `Incoming.press`, and its command."""

    hash: str
    command: str

    @property
    def is_pick(self) -> bool:
        """Return whether it is a button of a picker, after which more is picked."""
        return any(word == MARK for word in self.command.split(" because ", 1)[0].split()[-1:])


class ButtonTokens:
    """Creates and checks the tokens for the buttons of one platform's messages."""

    def __init__(self, store: Store, clock: Clock, platform: str, *, remember: int = 2_000) -> None:
        """Take the ports, the platform, and the number of messages whose tokens are kept in memory."""
        self._store = store
        self._clock = clock
        self._platform = platform
        self._shown: BoundedDict[tuple[str, str], dict[str, str]] = BoundedDict(remember)

    async def lay_out(self, channel: Channel, buttons: Sequence[Button], message: str = "") -> tuple[str, ...]:
        """Return a token (24 characters of A-Z, a-z, 0-9, - and _) for each button, in the same order.

        `message` is the id of a message that is edited. Buttons that stay keep their tokens unless these were used; the
        tokens of removed buttons become invalid. Without `message`, call `sent` after sending.
        """
        shown = self._shown.get((channel.id, message)) if message else None
        fresh = await self._unused(shown or {})
        tokens = {button.command: fresh.get(button.command) or secrets.token_urlsafe(_BYTES) for button in buttons}
        if tokens != shown and (tokens or message):
            new = {command: token for command, token in tokens.items() if fresh.get(command) != token}
            await self._keep(channel.id, message, tokens, new)
        if message:
            self._shown[channel.id, message] = tokens
        return tuple(tokens[button.command] for button in buttons)

    async def sent(self, channel: Channel, buttons: Sequence[Button], tokens: Sequence[str], message: str) -> None:
        """Bind the tokens of a new message to its id, which is known only after sending."""
        pairs = zip(buttons, tokens, strict=True)
        self._shown[channel.id, message] = {button.command: token for button, token in pairs}
        if tokens:
            await self._store.write(lambda tables: [tables.buttons.bind(_hash(token), message) for token in tokens])

    async def press(self, token: str, channel: str, message: str) -> Press:
        """Return the command of a pressed button.

        Raises UserError if the token is unknown, expired, used already, removed, or from another message.
        """
        token_hash = _hash(token)
        row = await self._store.read(lambda tables: tables.buttons.get(token_hash))
        if row is None or not message or not await self._belongs(row, channel, message):
            raise UserError("This button does not work any more.", hint="Type the command instead: `help` lists them.")
        if row.used:
            raise UserError("This button was pressed already.", hint="Its message shows the result.")
        return Press(row.hash, row.command)

    async def _belongs(self, row: ButtonRow, channel: str, message: str) -> bool:
        """Return whether the button belongs to this message and has not expired."""
        if (row.platform, row.channel) != (self._platform, channel) or self._clock.now() - row.made > _LASTS:
            return False
        if row.message:
            return row.message == message
        # If the bot died between sending and `sent`, the token has no message yet. Bind it to the first message that
        # shows it.
        return await self._store.write(lambda tables: tables.buttons.bind(row.hash, message))

    async def _unused(self, shown: Mapping[str, str]) -> dict[str, str]:
        """Return those tokens, by command, that can still be pressed."""
        if not shown:
            return {}

        def look(tables: Tables) -> dict[str, str]:
            rows = ((command, token, tables.buttons.get(_hash(token))) for command, token in shown.items())
            return {command: token for command, token, row in rows if row is not None and not row.used}

        return await self._store.read(look)

    async def _keep(self, channel: str, message: str, tokens: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Store the tokens that a message now shows, including `new`. An empty `message` has not been sent yet."""
        now = self._clock.now()
        rows = [
            ButtonRow(
                hash=_hash(token), platform=self._platform, channel=channel, message=message, command=command, made=now
            )
            for command, token in new.items()
        ]

        def keep(tables: Tables) -> None:
            if message:
                tables.buttons.keep_only(self._platform, channel, message, [*map(_hash, tokens.values())])
            for row in rows:
                tables.buttons.add(row)

        await self._store.write(keep)


def _hash(token: str) -> str:
    """Return the hash of a token. Only the first characters count, so a forged long token costs nothing."""
    return hashlib.sha256(token[: _LONGEST + 1].encode("utf-8", "replace")).hexdigest()
