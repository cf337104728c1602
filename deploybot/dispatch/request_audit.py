"""Audit requests, denials and results."""

from __future__ import annotations

import logging
import re

from deploybot.access import identity_text
from deploybot.command import Incoming
from deploybot.domain import Person
from deploybot.errors import StoreError, UserError
from deploybot.ports import Clock, Store, Tables, TextRedactor

log = logging.getLogger(__name__)

_READ = 5_000
_LONGEST = 500
_CODE = re.compile(r"\b((?:code|totp) )[0-9]{6}\b", re.ASCII | re.IGNORECASE)


class RequestAudit:
    """A writer of audit rows about messages. Texts are redacted, put on one line, and cut to 500 characters."""

    def __init__(self, store: Store, clock: Clock, redactor: TextRedactor) -> None:
        """Take the ports."""
        self._store = store
        self._clock = clock
        self._redactor = redactor

    async def first(self, incoming: Incoming, person: Person | None, subject: str, text: str) -> bool:
        """Record a request. Return False, and record nothing, if this message was already taken.

        Uses up the button that was pressed. Raises UserError if someone else pressed it first.
        """
        message, now = f"{incoming.channel.id}:{incoming.id}", self._clock.now()

        def take(tables: Tables) -> bool:
            if incoming.id and not tables.seen.first(incoming.identity.platform, message, now):
                return False
            if incoming.press and not tables.buttons.use(incoming.press, now):
                raise UserError("This button was pressed already.", hint="Its message shows the result.")
            actor, detail = _actor(incoming, person), self._line(text)
            tables.audit.append(actor=actor, action="request", subject=subject, detail=detail, now=now)
            return True

        return await self._store.write(take)

    async def denied(self, incoming: Incoming, person: Person | None, subject: str, text: str) -> None:
        """Record a denial. If that fails, log it: nothing was done."""
        await self._note("denied", _actor(incoming, person), subject, text)

    async def result(self, incoming: Incoming, person: Person | None, subject: str, text: str) -> None:
        """Record a result. If that fails, log it: the work is already done."""
        await self._note("result", _actor(incoming, person), subject, text)

    async def _note(self, action: str, actor: str, subject: str, text: str) -> None:
        detail, now = self._line(text), self._clock.now()
        try:
            await self._store.write(
                lambda tables: tables.audit.append(actor=actor, action=action, subject=subject, detail=detail, now=now)
            )
        except StoreError as problem:
            log.error("not recorded in the audit: %s of %s on %s: %s", action, actor, subject, problem)  # noqa: TRY400  the message is enough

    def _line(self, text: str) -> str:
        # What was not understood, or named something unseen, still has its one-time code.
        return self._redactor.text(_CODE.sub(r"\1…", " ".join(text[:_READ].split())))[:_LONGEST]


def _actor(incoming: Incoming, person: Person | None) -> str:
    return person.name if person else identity_text(incoming.identity)
