"""One-time codes by time (RFC 6238: six digits, 30 seconds), as an authenticator on a phone makes them."""

from __future__ import annotations

ISSUER = "deploybot"


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
