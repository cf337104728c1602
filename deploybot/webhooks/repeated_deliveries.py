"""Which deliveries are the same one sent again: by the sender's id, or by the body."""

from __future__ import annotations

import hashlib

from deploybot.webhooks.sender_port import Sender

_AGAIN = 60.0
_NEVER = 10 * 365 * 86400.0


def again_after(sender: Sender) -> float:
    """Return after how many seconds the same body is a new delivery: never, but for senders whose bodies repeat."""
    return _AGAIN if sender.repeats else _NEVER


def digest_of(sender: Sender, body: bytes, delivery: str) -> bytes:
    """Return the digest by which duplicates are found.

    For senders whose bodies repeat, a new id means a new delivery.
    """
    digest = hashlib.sha256(body)
    if delivery and sender.repeats:
        digest.update(b"\0" + delivery.encode("utf-8", "replace"))
    return digest.digest()
