"""Forgejo: code, builds and packages; https://forgejo.org/docs/latest/user/webhooks/."""

from __future__ import annotations

from typing import ClassVar

from deploybot.webhooks.delivery_signatures import BodyMac, Proof
from deploybot.webhooks.gitea_events import GiteaLike

_SETUP = """\
At Forgejo, in the repository (or the organisation): Settings, Webhooks, Add webhook, Forgejo.
Target URL: {url}
HTTP method: POST. POST content type: application/json
Secret: the same as in bot.toml
Trigger on: Custom events. Tick Push, Modification and Synchronized of pull requests, Releases, and of Actions: Success,
Failure, Recover. For images in Forgejo's registry: Packages.
Leave Branch filter at *. Active: ticked. Add webhook, then Test delivery at the end of its page."""


class Forgejo(GiteaLike):
    """Forgejo 7 or later, and Codeberg."""

    name = "forgejo"
    proof: ClassVar[Proof] = BodyMac("x-forgejo-signature")
    kind_header = "x-forgejo-event"
    id_header = "x-forgejo-delivery"

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = Forgejo()
