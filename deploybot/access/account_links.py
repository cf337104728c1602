"""Link accounts of two chats to one person, confirmed from both sides.

A known person gets a code and types it in the other chat. This proves that they own the account there.
If that account already belongs to a person, the bot first shows them whose code it is and waits for `link yes`.
So people can't be tricked into giving their roles away.
Then the bot asks the first side to confirm the account that typed the code. So a stolen code is not enough.
One person has one phone for one-time codes: two people who both have one can't be merged.
"""

from __future__ import annotations

import asyncio
import secrets

from deploybot.access.account_syntax import identity_text
from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.card import Button, Card, Tone
from deploybot.command import Context, Incoming
from deploybot.domain import EVERY, AccountLink, Identity, Person
from deploybot.errors import UserError
from deploybot.policy import role_of
from deploybot.ports import Clock, CodeSecrets, Store, Tables
from deploybot.units import show_duration

LIFE = 600.0
CONSOLE = "console"
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_ASK_FIRST = "Get one first: type `link` in the chat where I know you."


def new_code() -> str:
    """Return a random code that people can read aloud and type, such as `7KQ2-M9XD` (39 bits)."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(2))


class Linking:
    """The steps of linking accounts. Links are rows; each step is one transaction that also writes an audit row."""

    def __init__(
        self, store: Store, clock: Clock, codes: CodeSecrets, announcer: GrantAnnouncer, phones: asyncio.Lock
    ) -> None:
        """Take the ports. `codes` holds one-time code secrets, which move with a merged person; links are announced.

        `phones` is held while people are merged, so that enrolling for one-time codes has to wait.
        """
        self._store = store
        self._clock = clock
        self._codes = codes
        self._announcer = announcer
        self._phones = phones

    async def step(self, ctx: Context, word: str) -> Card:
        """Handle one `link` message: empty, a code, `yes` or `no`. Raise UserError if it does not fit."""
        match word.lower():
            case "":
                return await self._begin(ctx)
            case "yes":
                return await self._agree(ctx.incoming) or await self._confirm(ctx.incoming)
            case "no":
                return await self._end(ctx.incoming)
            case _:
                return await self._take(ctx.incoming, word.upper())

    async def _begin(self, ctx: Context) -> Card:
        """Issue a code to a known person in a private chat."""
        person = ctx.person
        if person is None:
            raise UserError("I do not know you here. Start in a chat where I do: type `link` there.")
        require_private(ctx.incoming, "a code")
        code = new_code()
        incoming, until = ctx.incoming, self._clock.now() + LIFE
        link = AccountLink(person.id, incoming.identity, incoming.channel, until)

        def issue(tables: Tables) -> None:
            _insist_on_role(tables, person, self._clock.now())
            # Otherwise a later `yes` could mean either link: drop a code typed here that was not agreed to.
            if typed := tables.links.typed(incoming.identity, self._clock.now()):
                tables.links.end(typed.person)
            tables.links.issue(link, code)

        await self._store.write(issue)
        return Card(
            title=f"Type this in the other chat, within {show_duration(LIFE)}: link {code}",
            text="I will then ask you here to confirm. Do not share the code.",
            private=True,
        )

    async def _take(self, incoming: Incoming, code: str) -> Card:
        """Use up a code for the sender, then ask the sender or the side that requested it to confirm."""
        now, identity = self._clock.now(), incoming.identity

        def take(tables: Tables) -> tuple[Person, AccountLink, Person | None] | str:
            if tables.links.paused(identity, now):
                return "Too many wrong codes. I accept none from you for 15 minutes."
            link = tables.links.take(code, identity, now)
            if link is None:
                tables.links.fail(identity, now)
                return "This code is wrong, used or expired."
            holder = _by_id(tables, link.person)
            other = tables.people.of(identity)
            if refused := _detached(tables, identity) or _roleless(tables, other, now):
                tables.links.end(holder.id)
                return refused
            if other == holder:
                tables.links.end(holder.id)
                return f"You are {holder.name} here already."
            if other is None:
                tables.outbox.put(link.channel, _question(tables, incoming, holder), now)
            else:
                tables.links.end(other.id)
            _audit(tables, identity_text(identity), "link code", holder, now=now)
            return holder, link, other

        taken = await self._store.write(take)
        if isinstance(taken, str):
            raise UserError(taken, hint=_ASK_FIRST)
        holder, link, other = taken
        return _first_question(other, holder, link) if other else _nearly(holder, link)

    async def _agree(self, incoming: Incoming) -> Card | None:
        """Record the `yes` of a sender who is already a person, and ask the code's side; None if none is pending."""
        now, identity = self._clock.now(), incoming.identity

        def agree(tables: Tables) -> tuple[Person, AccountLink] | None:
            link = tables.links.typed(identity, now)
            if link is None:
                return None
            holder = _by_id(tables, link.person)
            if tables.people.of(identity) in {None, holder}:
                return None
            tables.links.agree(link)
            tables.outbox.put(link.channel, _question(tables, incoming, holder), now)
            _audit(tables, identity_text(identity), "link agreed", holder, now=now)
            return holder, link

        agreed = await self._store.write(agree)
        return _nearly(*agreed) if agreed else None

    async def _confirm(self, incoming: Incoming) -> Card:
        """Link the account that typed the code, confirmed by the side that requested it, in a transaction.

        If the account belongs to another person, both become one. The phone of that person is merged before their
        roles: whatever fails in between, their roles never come without their phone.
        """
        async with self._phones:
            merging = await self._store.read(lambda tables: self._merging(tables, incoming))
            copied = await self._give_phone(*merging) if merging else False
            try:
                person, account = await self._link(incoming, merging)
            except UserError:
                if merging and copied:
                    await self._codes.forget(merging[1].id)
                raise
            if merging:
                await self._codes.forget(merging[0].id)
        return Card(
            title=f"You are {person.name} in {account.platform}, too: one person, with all roles of both.",
            hint="`whoami` shows them.",
            tone=Tone.GOOD,
            private=True,
        )

    def _merging(self, tables: Tables, incoming: Incoming) -> tuple[Person, Person] | None:
        """Return who would be merged into whom if the sender types `yes`; None if it would merge no one."""
        person = tables.people.of(incoming.identity)
        link = tables.links.get(person.id, self._clock.now()) if person else None
        if person is None or link is None or link.other is None or not link.agreed:
            return None
        other = tables.people.of(link.other)
        return None if other in {None, person} else (other, person)

    async def _give_phone(self, other: Person, person: Person) -> bool:
        """Have a person need the phone of the one who is merged into them. Raise UserError if both have a phone.

        Otherwise one of both phones would be replaced without a code of it.
        """
        theirs, own = await self._codes.get(other.id), await self._codes.get(person.id)
        if theirs is None or own is None or theirs == own:  # the same after a merge that was interrupted
            return await self._codes.copy(other.id, person.id)
        raise UserError(
            f"{other.name} and {person.name} both have a phone for one-time codes, but one person can have only one.",
            hint="Ask the administrator of the bot's machine to remove the one that is no longer used: `deploybot "
            f"forget-code {other.name}` or `deploybot forget-code {person.name}`. Then type `link yes` again.",
        )

    async def _link(self, incoming: Incoming, merging: tuple[Person, Person] | None) -> tuple[Person, Identity]:
        """Link the account, and merge two people. Return the person and the account."""
        now = self._clock.now()

        def confirm(tables: Tables) -> tuple[Person, Identity]:
            person, link = self._pending(tables, incoming)
            if link.other is None:
                raise UserError("Your code has not been used yet.", hint="Type `link CODE` in the other chat first.")
            other = tables.people.of(link.other)
            if refused := _detached(tables, link.other) or _roleless(tables, other, now):
                raise UserError(refused)
            _insist_on_role(tables, person, now)
            if other not in {None, person} and not link.agreed:
                raise UserError(
                    f"{identity_text(link.other)} already belongs to somebody, who has not confirmed yet.",
                    hint="Type `link yes` there first.",
                )
            if other is None:
                tables.people.link(person.id, link.other, by=person.name, givers=(person.id,), now=now)
            elif other != person:
                if (other, person) != merging:
                    raise UserError("This has just changed.", hint="Type `link yes` again.")
                tables.people.merge(other.id, person)
            tables.links.end(person.id)
            was = f"{identity_text(link.other)}, {f'who was {other.name}' if other else 'a new account'}"
            _audit(tables, person.name, "link", person, now=now, detail=was)
            text = f"{person.name} linked {was}: they are one person now, with the roles of both."
            self._announcer.announce(tables, text, app=EVERY, environment=EVERY, now=now, actor=person.id)
            return person, link.other

        return await self._store.write(confirm)

    async def _end(self, incoming: Incoming) -> Card:
        """Drop a pending link, from either side."""
        now, identity = self._clock.now(), incoming.identity

        def end(tables: Tables) -> None:
            typed = tables.links.typed(identity, now)
            person = _by_id(tables, typed.person) if typed else self._pending(tables, incoming)[0]
            tables.links.end(person.id)
            _audit(tables, identity_text(identity), "link refused", person, now=now)

        await self._store.write(end)
        return Card(title="Nothing was linked.", private=True)

    def _pending(self, tables: Tables, incoming: Incoming) -> tuple[Person, AccountLink]:
        """Return the sender's pending link. Raise UserError unless they write from the account that requested it."""
        person = tables.people.of(incoming.identity)
        if person is not None:
            link = tables.links.get(person.id, self._clock.now())
            if link is not None and link.identity == incoming.identity:
                return person, link
        raise UserError("You have no link to confirm here, or it has expired.", hint=_ASK_FIRST)


def require_private(incoming: Incoming, what: str) -> None:
    """Raise UserError if others could read the answer."""
    if not incoming.channel.private and incoming.identity.platform != CONSOLE:
        raise UserError(f"Others would see {what} here.", hint="Type it to me in a direct message.")


def _detached(tables: Tables, identity: Identity) -> str:
    """Return why an account that an admin removed can't be linked; empty for any other account."""
    account = tables.people.account(identity)
    if account is None or not account.detached:
        return ""
    return f"An admin removed {identity_text(identity)}. Only an admin of everything can add it again."


def _roleless(tables: Tables, person: Person | None, now: float) -> str:
    """Return why a person without any role can't be linked; empty for strangers and people with a role."""
    if person is None or role_of(person, tables.people.grants(), None, None, now) is not None:
        return ""
    return "You need a role to link accounts: ask an administrator for one first."


def _insist_on_role(tables: Tables, person: Person, now: float) -> None:
    if refused := _roleless(tables, person, now):
        raise UserError(refused)


def _nearly(holder: Person, link: AccountLink) -> Card:
    return Card(
        title=f"Almost done: now type `link yes` in {link.identity.platform}, where the code came from.",
        text=f"After that, you are {holder.name} here too.",
        private=True,
    )


def _first_question(other: Person, holder: Person, link: AccountLink) -> Card:
    """Return the question for a sender who typed a code and is already a person."""
    return Card(
        title=f"This code belongs to {holder.name}, from {identity_text(link.identity)}. Are you {holder.name} too?",
        text=f"If you say yes, {holder.name} may do everything here that you may do as {other.name}. "
        "If someone else gave you the code, say no: they want your roles.",
        tone=Tone.WARN,
        buttons=(Button("Yes, that is me", "link yes"), Button("No", "link no", danger=True)),
        private=True,
    )


def _question(tables: Tables, incoming: Incoming, holder: Person) -> Card:
    """Return the question for the account that requested the code."""
    other = tables.people.of(incoming.identity)
    known = f", whom I know as {other.name}," if other else ""
    return Card(
        title=f"{identity_text(incoming.identity)} (“{incoming.name}”){known} typed your code. Is that you?",
        text=f"If you say yes, they are {holder.name}, with all roles of both. If you do not know them, say no.",
        tone=Tone.WARN,
        buttons=(Button("Yes, that is me", "link yes"), Button("No", "link no", danger=True)),
    )


def _audit(tables: Tables, actor: str, action: str, person: Person, *, now: float, detail: str = "") -> None:
    tables.audit.append(actor=actor, action=action, subject=person.name, detail=detail, now=now)


def _by_id(tables: Tables, wanted: int) -> Person:
    """Return the person of a link, who exists as long as the link does."""
    return {person.id: person for person in tables.people.everybody()}[wanted]
