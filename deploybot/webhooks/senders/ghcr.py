"""Images in ghcr.io, for those who want GitHub to call for nothing else. Proof and events are GitHub's."""

from __future__ import annotations

from typing import ClassVar

from deploybot.domain import Event, Ping
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.delivery_signatures import BodyMac, Proof
from deploybot.webhooks.github_packages import package
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received

_SETUP = """\
At GitHub, in the repository or organisation that owns the package: Settings, Webhooks, Add webhook.
Payload URL: {url}
Content type: application/json
Secret: the same as in bot.toml
Which events: Let me select individual events. Tick Packages and Registry packages, and no other.
Connect the package to the repository, on the package's page or with the label org.opencontainers.image.source."""


class Ghcr(BaseSender):
    """GitHub's container registry."""

    name = "ghcr"
    proof: ClassVar[Proof] = BodyMac("x-hub-signature-256", "sha256=")
    kind_header = "x-github-event"
    id_header = "x-github-delivery"
    home = ("repository", "html_url")
    looks = (
        ("package", frozenset({"action", "package"})),
        ("registry_package", frozenset({"action", "registry_package"})),
        ("ping", frozenset({"zen", "hook_id"})),
    )

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """See BaseSender."""
        match self.kind(received):
            case "package" | "registry_package":
                return package(self.name, tree)
            case "ping":
                return (Ping(sender=self.name, text=tree.text("zen")),)
            case _:
                return ()

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = Ghcr()
