"""Enrol people for one-time codes. The secret is shown in private and takes effect with its first code."""

from __future__ import annotations

import asyncio

from deploybot.access.account_links import require_private
from deploybot.card import Card, Line, Tone
from deploybot.command import Context
from deploybot.deployments.one_time_codes import CodeCheck, enrolment, new_secret, step_of
from deploybot.deployments.policy_lookup import required
from deploybot.domain import Person
from deploybot.errors import UserError
from deploybot.ports import Clock, CodeSecrets, Store
from deploybot.units import show_duration

OFFER_LIFE = 600.0
"""An offered secret can be read in the chat for as long as the message is there, so it must not work for as long."""


class Enrolment:
    """The enrolment of people for one-time codes. Replacing a secret needs a code of the old one."""

    def __init__(self, store: Store, clock: Clock, codes: CodeSecrets, phones: asyncio.Lock) -> None:
        """Take the ports. `phones` is held while secrets change, so that merging people has to wait."""
        self._store = store
        self._clock = clock
        self._codes = codes
        self._phones = phones
        self._check = CodeCheck(codes, clock)

    async def step(self, ctx: Context, code: str) -> Card:
        """Offer a secret, or check a code against the offered or current one. Raise UserError if it does not fit."""
        person = required(ctx.person)
        require_private(ctx.incoming, "your secret")
        async with self._phones:
            secret = await self._codes.get(person.id)
            if code:
                return await self._take(person, code, secret)
            if secret is not None:
                raise UserError(
                    "Your phone already generates your codes.",
                    hint="To change phones, type a code from the old one: `totp CODE`.",
                )
            return await self._offer(person)

    async def insist(self, person: Person, code: str) -> None:
        """Use up a code of an enrolled person. Raise UserError if it is missing or wrong."""
        how = "Add it at the end: `… code 123456`."
        await self._check.insist(self._store, person, code, what="this", how=how, about=person.name)

    async def _offer(self, person: Person) -> Card:
        secret = new_secret()
        await self._codes.offer(person.id, secret, at=self._clock.now())
        await self._audit(person, "totp offered")
        return Card(
            title="Add this to the authenticator app on your phone:",
            lines=(Line("secret", secret), Line("or as a link", enrolment(secret, person.name))),
            text="Then type the first code that it shows: `totp CODE`. Delete this message afterwards.",
            hint=f"The secret expires in {show_duration(OFFER_LIFE)}, unless you type a code of it.",
            tone=Tone.WARN,
            private=True,
        )

    async def _take(self, person: Person, code: str, secret: str | None) -> Card:
        """Put the offered secret into effect with its first code, or offer a new one for a code of the current one."""
        now = self._clock.now()
        offered = await self._codes.offered(person.id, since=now - OFFER_LIFE)
        if offered is None and secret is None:
            raise UserError("You have not set up one-time codes yet.", hint="Type `totp` first.")
        new_step = step_of(offered, code, now) if offered else 0
        old_step = step_of(secret, code, now) if secret else 0
        await self._check.take(self._store, person, new_step or old_step, about=person.name)
        if not new_step:
            return await self._offer(person)
        await self._codes.confirm(person.id)
        await self._audit(person, "totp")
        return Card(
            title="One-time codes are set up: your phone generates them from now on.", tone=Tone.GOOD, private=True
        )

    async def _audit(self, person: Person, action: str) -> None:
        now = self._clock.now()
        await self._store.write(
            lambda tables: tables.audit.append(actor=person.name, action=action, subject=person.name, now=now)
        )
