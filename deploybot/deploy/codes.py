"""One-time codes by time (RFC 6238: six digits, 30 seconds), as an authenticator on a phone makes them."""

from __future__ import annotations

from deploybot.domain import Person, Request
from deploybot.errors import UserError
from deploybot.ports import Clock, CodeSecrets, Tables
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

    async def step(self, person: Person, request: Request, code: str) -> int:
        """The time step of a right code for an approval, 0 for a wrong one. UserError where there can be none."""
        secret = await self._secrets.get(person.id)
        if secret is None:
            raise UserError("An approval takes a one-time code, and you have none yet.", hint="Type `totp` in private.")
        if not code:
            how = f"approve #{request.deployment} code 123456"
            raise UserError("An approval takes a one-time code of your phone.", hint=f"Like this: `{how}`.")
        return step_of(secret, code, self._clock.now())

    async def glass_step(self, person: Person, code: str) -> int | None:
        """The time step of an admin's code for break glass, 0 for a wrong one; None where they have not enrolled."""
        secret = await self._secrets.get(person.id)
        if secret is None:
            return None
        if not code:
            raise UserError("Break glass takes a one-time code of your phone.", hint="Add `code 123456`.")
        return step_of(secret, code, self._clock.now())

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
