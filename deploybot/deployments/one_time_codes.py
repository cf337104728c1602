"""One-time codes by time (RFC 6238: six digits, 30 seconds), as an authenticator on a phone makes them."""

from __future__ import annotations

from deploybot.domain import Person, Request
from deploybot.errors import UserError
from deploybot.ports import Clock, CodeSecrets, Store, Tables
from deploybot.units import show_time

ISSUER = "deploybot"
NEXT_CODE = "Your phone shows a new one every 30 seconds."


def new_secret() -> str:
    """A secret of 160 random bits, as base32."""
    import pyotp  # noqa: PLC0415  only who uses codes imports it

    return pyotp.random_base32()


def enrolment(secret: str, name: str) -> str:
    """The otpauth address that a phone reads (Key URI Format), for a person's name."""
    import pyotp  # noqa: PLC0415  see above

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, now: float) -> int:
    """The time step whose code this is: the present one, or the one before or after it; 0 for a wrong code."""
    import pyotp  # noqa: PLC0415  see above

    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(code.replace(" ", ""), for_time=now, valid_window=1)
    except pyotp.exceptions.OTPVerificationError:
        return 0


class CodeCheck:
    """People's codes, taken once each and in order."""

    def __init__(self, secrets: CodeSecrets, clock: Clock) -> None:
        """Take where the secrets are, and the clock."""
        self._secrets = secrets
        self._clock = clock

    async def step(self, person: Person, code: str, *, what: str, how: str) -> int | None:
        """The time step of a right code, 0 for a wrong one; None for a person who has not enrolled.

        `what` takes the code, `how` says how to type it. Raises UserError where an enrolled person typed none.
        """
        secret = await self._secrets.get(person.id)
        if secret is None:
            return None
        if not code:
            raise UserError(f"{what} takes a one-time code of your phone.", hint=how)
        return step_of(secret, code, self._clock.now())

    async def approval_step(self, person: Person, request: Request, code: str) -> int:
        """The time step of a right code for an approval, 0 for a wrong one. Raises UserError without any code."""
        how = f"Like this: `approve #{request.deployment} code 123456`."
        step = await self.step(person, code, what="An approval", how=how)
        if step is None:
            raise UserError("An approval takes a one-time code, and you have none yet.", hint="Type `totp` in private.")
        return step

    async def insist(self, store: Store, person: Person, code: str, *, what: str, how: str, about: str) -> None:
        """Use up a code of a person who has enrolled. Raises UserError where it is missing or wrong."""
        step = await self.step(person, code, what=what, how=how)
        if step is not None:
            await self.take(store, person, step, about=about)

    async def take(self, store: Store, person: Person, step: int, *, about: str) -> None:
        """Use a code up in a transaction of its own. Raises UserError for a wrong one, which counts."""
        now = self._clock.now()
        refused = await store.write(lambda tables: self.use(tables, person, step, now=now, about=about))
        if refused:
            raise UserError(refused, hint=NEXT_CODE)

    @staticmethod
    def use(tables: Tables, person: Person, step: int, *, now: float, about: str) -> str:
        """Use a code up; why not, where it is wrong. What is counted here has to stay, so nothing is raised."""
        until = tables.codes.paused(person.id, now)
        if until:
            return f"Too many wrong codes: I take none of yours before {show_time(until)}."
        if step and tables.codes.use(person.id, step):
            return ""
        tables.codes.fail(person.id, now)
        tables.audit.append(actor=person.name, action="wrong code", subject=about, now=now)
        return "This code is wrong, or was used already."
