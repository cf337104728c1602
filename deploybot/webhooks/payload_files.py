"""Read payloads from files: find the sender and the kind of event, and rebuild the sender's request.

The folder or the start of the file's name may name the sender (`github/push.json`, `gitlab-push.json`). A file
`push.headers` next to `push.json` may hold its headers (`Name: value`, one a line). Otherwise the payload decides.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploybot.part_tables import SENDERS
from deploybot.webhooks.sender_port import Received, Sender, Signed
from deploybot.webhooks.senders import sender

_PLAIN = re.compile(r"[a-z_]{1,60}")
_HEADER = re.compile(r"\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(?P<value>.*?)\s*", re.ASCII)
_SUFFIXES = frozenset({".json", ".payload", ".body", ""})
_OWN = frozenset({"content-length", "host", "connection", "transfer-encoding", "content-encoding", "expect"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A file with its sender (None if unknown), its kind of event, and its known headers."""

    name: str
    body: bytes
    sender: Sender | None
    kind: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def signed(self, secret: str, at: float) -> Signed:
        """Return a proof for the payload as a new delivery. Its own headers are used unless newer ones replace them."""
        if self.sender is None:
            raise ValueError(f"nothing signs {self.name}")
        signed = self.sender.sign(self.body, secret, kind=self.kind, delivery=str(uuid.uuid4()), at=at)
        return Signed(headers={**self.headers, **signed.headers}, query=signed.query, path=signed.path)


def payloads(folder: Path, whose: str = "") -> Iterator[Payload]:
    """Yield all files below a folder that may be payloads, by name. If `whose` is given, it is the sender of all."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in _SUFFIXES and not path.name.startswith("."):
            yield _payload(path, folder, whose)


def _payload(path: Path, folder: Path, whose: str) -> Payload:
    body, name = path.read_bytes(), path.relative_to(folder)
    headers = _headers(path.with_suffix(".headers"))
    tree = _object(body)
    owner = whose or _named(folder.absolute().name, name) or _by_headers(headers) or _by_looks(tree)
    if not owner:
        return Payload(name=str(name), body=body, sender=None)
    found = sender(owner)
    return Payload(name=str(name), body=body, sender=found, kind=_kind(found, name, headers, tree), headers=headers)


def _headers(path: Path) -> dict[str, str]:
    """Return the headers in a file, with names in lower case, or none if there is no file.

    Lines that cannot be sent as a header are left out.
    """
    if not path.is_file():
        return {}
    found = map(_HEADER.fullmatch, path.read_text(errors="replace").splitlines())
    pairs = ((match["name"].lower(), match["value"]) for match in found if match)
    return {name: value for name, value in pairs if name not in _OWN and value.isprintable()}


def _object(body: bytes) -> dict[str, object]:
    """Return the JSON object in a body, or an empty one for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _named(folder: str, name: Path) -> str:
    """Return the sender that a folder or the start of a file's name gives."""
    words = [*reversed((folder, *name.parts[:-1])), re.split(r"[-. ]", name.name, maxsplit=1)[0]]
    return next((word.lower() for word in words if word.lower() in SENDERS), "")


def _by_headers(headers: Mapping[str, str]) -> str:
    """Return the sender that a header names. GitHub comes last, because other senders use its headers, too."""
    found = [name for name in SENDERS if any(header.startswith(f"x-{name}-") for header in headers)]
    return next((name for name in found if name != "github"), found[0] if found else "")


def _by_looks(tree: Mapping[str, object]) -> str:
    return next((name for name in SENDERS if tree and sender(name).guess(tree) is not None), "")


def _kind(found: Sender, name: Path, headers: Mapping[str, str], tree: Mapping[str, object]) -> str:
    """Return the kind of event: by the headers, the payload, or the name of the file or its folder."""
    if headers:
        kept = {header: (value,) for header, value in headers.items()}
        return found.kind(Received(headers=kept, body=b"{}", query={}))
    if guessed := found.guess(tree):
        return guessed
    words = (*re.split(r"[-. ]", name.stem.lower()), name.parent.name.lower())
    return next((word for word in words if _PLAIN.fullmatch(word) and word not in {*SENDERS, "payload"}), "unknown")
