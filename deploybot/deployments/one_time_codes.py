"""Time-based one-time codes (RFC 6238: six digits, 30 seconds), as an authenticator app makes them."""

from __future__ import annotations

from deploybot.domain import Person, Request
from deploybot.errors import UserError
from deploybot.ports import Clock, CodeSecrets, Store, Tables
from deploybot.units import show_time

ISSUER = "deploybot"
NEXT_CODE = "Your phone shows a new one every 30 seconds."


def new_secret() -> str:
    """Return a secret of 160 random bits, as base32."""
    import pyotp  # noqa: PLC0415  imported only if codes are used

    return pyotp.random_base32()


def enrolment(secret: str, name: str) -> str:
    """Return the otpauth URL that a phone reads (Key URI Format), for a person's name."""
    import pyotp  # noqa: PLC0415  see above

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, now: float) -> int:
    """Return the time step of this code: the current one, the one before or the one after; 0 for a wrong code."""
    import pyotp  # noqa: PLC0415  see above

    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(code.replace(" ", ""), for_time=now, valid_window=1)
    except pyotp.exceptions.OTPVerificationError:
        return 0


class CodeCheck:
    """Checks people's codes; each code works once, and never after a later one."""

    def __init__(self, secrets: CodeSecrets, clock: Clock) -> None:
        """Take the secrets and the clock."""
        self._secrets = secrets
        self._clock = clock

    async def step(self, person: Person, code: str, *, what: str, how: str) -> int | None:
        """Return the time step of a correct code, 0 for a wrong one; None for a person who has not enrolled.

        `what` names what needs the code, `how` says how to type it. Raises UserError if an enrolled person typed none.
        """
        secret = await self._secrets.get(person.id)
        if secret is None:
            return None
        if not code:
            raise UserError(f"{what} needs a one-time code from your phone.", hint=how)
        return step_of(secret, code, self._clock.now())

    async def approval_step(self, person: Person, request: Request, code: str) -> int:
        """Return the time step of an approval's code, 0 for a wrong one. Raises UserError if there is no code."""
        how = f"Like this: `approve #{request.deployment} code 123456`."
        step = await self.step(person, code, what="an approval", how=how)
        if step is None:
            raise UserError(
                "An approval needs a one-time code, and you have not set one up.",
                hint="Send `totp` in a private chat to set it up.",
            )
        return step

    async def insist(self, store: Store, person: Person, code: str, *, what: str, how: str, about: str) -> None:
        """Use up a code of a person who has enrolled. Raises UserError if it is missing or wrong."""
        step = await self.step(person, code, what=what, how=how)
        if step is not None:
            await self.take(store, person, step, about=about)

    async def take(self, store: Store, person: Person, step: int, *, about: str) -> None:
        """Use up a code in a separate transaction. Raises UserError for a wrong one, which is counted."""
        now = self._clock.now()
        refused = await store.write(lambda tables: self.use(tables, person, step, now=now, about=about))
        if refused:
            raise UserError(refused, hint=NEXT_CODE)

    @staticmethod
    def use(tables: Tables, person: Person, step: int, *, now: float, about: str) -> str:
        """Use up a code; return why not, if it is wrong. Raises nothing, so that the count of wrong codes is stored."""
        until = tables.codes.paused(person.id, now)
        if until:
            return f"Too many wrong codes. Try again after {show_time(until)}."
        if step and tables.codes.use(person.id, step):
            return ""
        tables.codes.fail(person.id, now)
        tables.audit.append(actor=person.name, action="wrong code", subject=about, now=now)
        return "This code is wrong or was already used."
