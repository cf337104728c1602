"""The table of webhook senders. A new sender is a line here, and its file `deploybot/webhooks/senders/NAME.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True)
class SenderEntry:
    """What the bot knows of a sender without importing its file.

    `title` is its name for people; by default its own, with a capital. A `forge` hosts repositories: a bare name in
    `checks` means one of its builds. `host` is the public host of such repositories. With `releases` it reports
    published releases. `change` is the sign before the number of a change, such as `#12`.
    """

    title: str = ""
    forge: bool = False
    host: str = ""
    releases: bool = False
    change: str = "#"


SENDER_TABLE: Final[Mapping[str, SenderEntry]] = {
    "github": SenderEntry("GitHub", forge=True, host="github.com", releases=True),
    "gitlab": SenderEntry("GitLab", forge=True, host="gitlab.com", releases=True, change="!"),
    "gitea": SenderEntry(forge=True, releases=True),
    "forgejo": SenderEntry(forge=True, host="codeberg.org", releases=True),
    "bitbucket": SenderEntry(forge=True, host="bitbucket.org"),
    "gitee": SenderEntry(forge=True, host="gitee.com", releases=True),
    "dockerhub": SenderEntry("Docker Hub"),
    "ghcr": SenderEntry(),
    "harbor": SenderEntry(),
    "registry": SenderEntry(),
    "acr": SenderEntry(),
    "jenkins": SenderEntry(),
    "argocd": SenderEntry("Argo CD"),
    "prometheus": SenderEntry(),
    "event": SenderEntry(releases=True),
}
"""All senders that may call, by the last part of their URL."""
SENDERS: Final[tuple[str, ...]] = tuple(SENDER_TABLE)


def sender_entry(name: str) -> SenderEntry:
    """Return what is known of a sender. Events in the database may name one that is gone; nothing is known of it."""
    return SENDER_TABLE.get(name, SenderEntry())


def sender_title(name: str) -> str:
    """Return the name that people use for a sender."""
    return sender_entry(name).title or name.capitalize()


def _sender(name: str) -> str:
    if name not in SENDER_TABLE:
        expected = ", ".join(f"'{one}'" for one in SENDER_TABLE)
        raise PydanticCustomError("literal_error", "unknown sender", {"expected": expected})
    return name


SenderName = Annotated[str, AfterValidator(_sender)]
