"""The payloads beside this file: what each sender documents, written by hand, and what is to be made of them.

`payloads/SENDER/NAME.json` is a body, `NAME.headers` what comes with it but for the proof, and `NAME.events` the
events, each as its type and the fields that are not left at their defaults.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from deploybot.part_tables import SENDERS
from deploybot.webhooks.sender_port import Received, Sender, Signed
from deploybot.webhooks.senders import sender

PAYLOADS = Path(__file__).parent / "payloads"
NOW = 1_795_170_000.0
SECRETS = {name: f"{name}-4c1f9a7be2d84e35" for name in SENDERS}
"""A secret for each, that stands in nobody's payload."""
SIGNED = "whsec_" + "c2VuZGVycyBhcmUgaGVsZCB0byB0aGVpciB3b3JkIQ=="


@dataclass(frozen=True, slots=True)
class Recorded:
    """One payload."""

    sender: str
    name: str

    def __str__(self) -> str:
        return f"{self.sender}/{self.name}"

    @property
    def path(self) -> Path:
        return PAYLOADS / self.sender / f"{self.name}.json"

    @property
    def body(self) -> bytes:
        return self.path.read_bytes()

    @property
    def headers(self) -> Mapping[str, str]:
        lines = self.path.with_suffix(".headers").read_text().splitlines()
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def expected(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.path.with_suffix(".events").read_text())
        return found

    def received(self, secret: str = "", *, at: float = NOW) -> Received:
        """As it comes, proven by the sender's secret, or another one."""
        caller = sender(self.sender)
        headers = self.headers
        signed = caller.sign(
            self.body,
            secret or SECRETS[self.sender],
            kind=kind_of(caller, headers),
            delivery=headers.get(id_header(caller), "d-1"),
            at=at,
        )
        return made(self.body, {**headers, **signed.headers}, signed, at=at)


def made(body: bytes, headers: Mapping[str, str], signed: Signed, *, at: float = NOW) -> Received:
    """A delivery of a body, with headers and what else proves it."""
    return Received(
        headers={name: [value] for name, value in headers.items()},
        body=body,
        query={name: [value] for name, value in signed.query.items()},
        path=signed.path,
        at=at,
    )


def kind_of(caller: Sender, headers: Mapping[str, str]) -> str:
    return headers.get(getattr(caller, "kind_header", ""), "")


def id_header(caller: Sender) -> str:
    return str(getattr(caller, "id_header", ""))


RECORDED = sorted(
    (Recorded(path.parent.name, path.stem) for path in PAYLOADS.glob("*/*.json")),
    key=lambda one: (one.sender, one.name),
)


def as_json(value: object) -> object:
    """An event as its type and the fields that are not left at their defaults."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {field.name: as_json(getattr(value, field.name)) for field in fields(value) if _said(value, field)}
        return {"type": type(value).__name__, **said}
    if isinstance(value, tuple | list):
        return [as_json(one) for one in value]
    return value.value if isinstance(value, enum.Enum) else value


def _said(value: object, field: Field[Any]) -> bool:
    return field.default is MISSING or getattr(value, field.name) != field.default
