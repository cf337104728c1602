"""Proofs of where deliveries come from. Every proof can be checked and, for tests and replays, created.

All are strict. Required values must be present exactly once, and digests are compared in constant time, as they are
written. No error text contains a secret or a part of one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from deploybot.webhooks.sender_port import ForgedError, Received, Signed

TOLERANCE = 300.0
"""The maximum difference between a signed time and ours, in seconds, either way."""

STANDARD_PREFIX = "whsec_"
"""The prefix of secrets of the Standard Webhooks scheme."""

_STANDARD_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_DIGITS = re.compile(r"[0-9]{1,16}")
_STANDARD_ID = re.compile(r"[!-\-/-~]{1,256}")
_MOST_SIGNATURES = 16


class Proof(Protocol):
    """A scheme by which a delivery proves that its sender knows the secret."""

    def verify(self, received: Received, secret: str) -> None:
        """Return if the proof is valid. Raises ForgedError otherwise."""

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:
        """Return the proof for a body at a time (seconds since the epoch)."""


def needed(secret: str) -> bytes:
    """Return the secret's bytes. Raises ForgedError if it is empty: an empty secret proves nothing."""
    if not secret:
        raise ForgedError("no secret is set")
    return secret.encode("utf-8", "surrogateescape")


def same(given: str, wanted: str) -> bool:
    """Return whether two texts are equal, in a time that does not reveal where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode("utf-8", "surrogateescape"))


def _believe(believed: bool, what: str) -> None:  # noqa: FBT001 - one check, used everywhere in this module
    if not believed:
        raise ForgedError(f"{what} does not match the secret")


def _fresh(seconds: float, at: float, header: str) -> None:
    if abs(at - seconds) > TOLERANCE:
        raise ForgedError(f"{header} is more than {TOLERANCE / 60:.0f} minutes off this machine's clock")


def _digits(text: str, header: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise ForgedError(f"{header} is not a number")
    return int(text)


@dataclass(frozen=True, slots=True)
class BodyMac:
    """HMAC-SHA256 of the raw body in lower case hex, in a header, after a prefix such as `sha256=`."""

    header: str
    prefix: str = ""

    def verify(self, received: Received, secret: str) -> None:
        """See Proof."""
        key = needed(secret)
        given = received.one(self.header)
        _believe(same(given, self._written(key, received.body)), self.header)

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:  # noqa: ARG002 - see Proof
        """See Proof."""
        return Signed(headers={self.header: self._written(needed(secret), body)})

    def _written(self, key: bytes, body: bytes) -> str:
        return self.prefix + hmac.digest(key, body, "sha256").hex()


@dataclass(frozen=True, slots=True)
class HeaderToken:
    """The secret itself, in its own header."""

    header: str

    def verify(self, received: Received, secret: str) -> None:
        """See Proof."""
        needed(secret)
        _believe(same(received.one(self.header), secret), self.header)

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:  # noqa: ARG002 - see Proof
        """See Proof."""
        needed(secret)
        return Signed(headers={self.header: secret})


@dataclass(frozen=True, slots=True)
class Bearer:
    """The secret in `Authorization`, as a bearer token (RFC 6750). With `bare` it may also have no scheme before it."""

    bare: bool = False

    def verify(self, received: Received, secret: str) -> None:
        """See Proof. The scheme's name may be written in any case (RFC 9110, section 11.1)."""
        needed(secret)
        given = received.one("authorization")
        scheme, _, token = given.partition(" ")
        by_scheme = same(token, secret) and scheme.lower() == "bearer"
        _believe(by_scheme or (self.bare and same(given, secret)), "authorization")

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:  # noqa: ARG002 - see Proof
        """See Proof."""
        needed(secret)
        return Signed(headers={"authorization": f"Bearer {secret}"})


@dataclass(frozen=True, slots=True)
class QueryToken:
    """The secret as a parameter of the address, for senders that can send nothing else."""

    parameter: str

    def verify(self, received: Received, secret: str) -> None:
        """See Proof."""
        needed(secret)
        found = received.query.get(self.parameter, ())
        if len(found) != 1:
            raise ForgedError(f"?{self.parameter}= is {'missing' if not found else 'sent more than once'}")
        _believe(same(found[0], secret), f"?{self.parameter}=")

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:  # noqa: ARG002 - see Proof
        """See Proof."""
        needed(secret)
        return Signed(query={self.parameter: secret})


class PathPart:
    """The secret as the last part of the address, for senders that prove nothing."""

    def verify(self, received: Received, secret: str) -> None:
        """See Proof."""
        needed(secret)
        _believe(same(received.path, secret), "the end of the address")

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:  # noqa: ARG002 - see Proof
        """See Proof."""
        needed(secret)
        return Signed(path=secret)


class Standard:
    """The symmetric signature of Standard Webhooks (https://www.standardwebhooks.com), `v1`.

    It is the base64 of HMAC-SHA256 over `id.timestamp.body`. The key is the part after `whsec_`, decoded from base64. A
    secret without that prefix is used as it is. There may be several signatures while secrets are rotated.
    """

    def verify(self, received: Received, secret: str) -> None:
        """See Proof. The time may differ from ours by TOLERANCE."""
        key = self._key(secret)
        ident, stamp, given = (received.one(header) for header in _STANDARD_HEADERS)
        # With a dot in the id, the signed text could be read in two ways.
        if not _STANDARD_ID.fullmatch(ident):
            raise ForgedError("webhook-id is not an id")
        _fresh(_digits(stamp, "webhook-timestamp"), received.at, "webhook-timestamp")
        offered = given.split(" ")
        if len(offered) > _MOST_SIGNATURES:
            raise ForgedError("webhook-signature has too many signatures")
        wanted = self._written(key, ident, stamp, received.body)
        # A sum, not any(): all of them are compared, whichever one matches.
        _believe(sum(same(one, wanted) for one in offered) > 0, "webhook-signature")

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:
        """See Proof."""
        stamp = str(int(at))
        written = self._written(self._key(secret), delivery, stamp, body)
        return Signed(headers=dict(zip(_STANDARD_HEADERS, (delivery, stamp, written), strict=True)))

    def _key(self, secret: str) -> bytes:
        plain = needed(secret)
        if not secret.startswith(STANDARD_PREFIX):
            return plain
        try:
            key = base64.b64decode(plain[len(STANDARD_PREFIX) :], validate=True)
        except binascii.Error:
            raise ForgedError("the secret in bot.toml begins with whsec_, but the rest is not base64") from None
        if not key:
            raise ForgedError("no secret is set")
        return key

    def _written(self, key: bytes, ident: str, stamp: str, body: bytes) -> str:
        signed = hmac.new(key, f"{ident}.{stamp}.".encode("utf-8", "surrogateescape") + body, hashlib.sha256)
        return "v1," + base64.b64encode(signed.digest()).decode()


class StandardOrBearer:
    """Standard Webhooks if any of its headers is there, or else a bearer token."""

    _standard, _bearer = Standard(), Bearer()

    def verify(self, received: Received, secret: str) -> None:
        """See Proof. A valid token does not make up for a wrong signature."""
        signed = any(header in received.headers for header in _STANDARD_HEADERS)
        (self._standard if signed else self._bearer).verify(received, secret)

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:
        """See Proof. Creates a signature."""
        return self._standard.sign(body, secret, delivery=delivery, at=at)


@dataclass(frozen=True, slots=True)
class TimedToken:
    r"""Gitee's proof: the secret itself, or the base64 of HMAC-SHA256 over `milliseconds\nsecret`, in the same header.

    The signature is documented as URL-encoded but arrives without that; both are accepted. It does not cover the body.
    """

    header: str
    stamp: str

    def verify(self, received: Received, secret: str) -> None:
        """See Proof. For the secret itself the time is not checked, because it proves nothing there."""
        needed(secret)
        given = received.one(self.header)
        if same(given, secret):
            return
        stamp = received.one(self.stamp)
        seconds = _digits(stamp, self.stamp) / 1000
        written = self._written(secret, stamp)
        _believe(same(given, written) | same(given, quote(written, safe="")), self.header)
        _fresh(seconds, received.at, self.stamp)

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:  # noqa: ARG002 - see Proof
        """See Proof. Creates a signature."""
        stamp = str(int(at * 1000))
        return Signed(headers={self.stamp: stamp, self.header: self._written(secret, stamp)})

    def _written(self, secret: str, stamp: str) -> str:
        key = needed(secret)
        return base64.b64encode(hmac.new(key, f"{stamp}\n".encode() + key, hashlib.sha256).digest()).decode()
