"""Gitea: code, builds and packages; https://docs.gitea.com/usage/repository/webhooks."""

from __future__ import annotations

from typing import ClassVar

from deploybot.webhooks.delivery_signatures import BodyMac, Proof
from deploybot.webhooks.gitea_events import GiteaLike

_SETUP = """\
At Gitea, in the repository (or the organisation): Settings, Webhooks, Add Webhook, Gitea.
Target URL: {url}
HTTP method: POST. POST content type: application/json
Secret: the same as in bot.toml
Trigger on: Custom events. Tick Push, Pull request, Pull request synchronized, Release, Workflow Runs.
If a CI other than Gitea Actions reports: also Status. For images in Gitea's registry: Package.
Leave Branch filter at *. Active: ticked. Add Webhook, then Test Delivery at the end of its page."""


class GiteaSender(GiteaLike):
    """Gitea 1.17 or later."""

    name = "gitea"
    proof: ClassVar[Proof] = BodyMac("x-gitea-signature")
    kind_header = "x-gitea-event"
    id_header = "x-gitea-delivery"

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = GiteaSender()
