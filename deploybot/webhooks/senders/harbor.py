"""Harbor: images; https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from deploybot.domain import Author, Event, ImagePushed
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.delivery_signatures import Bearer, Proof
from deploybot.webhooks.pushed_images import digest, split
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received

_KINDS = frozenset({"PUSH_ARTIFACT", "harbor.artifact.pushed"})
_MOST = 100

_SETUP = """\
At Harbor, in the project: Webhooks, New Webhook.
Name: deploybot. Notify type: http. Payload format: Default (CloudEvents works too).
Event type: Artifact pushed
Endpoint URL: {url}
Auth Header: Bearer SECRET, where SECRET is the secret of bot.toml
Verify Remote Certificate: ticked. Test Endpoint, then Add."""


class Harbor(BaseSender):
    """Harbor 2.0 or later."""

    name = "harbor"
    proof: ClassVar[Proof] = Bearer(bare=True)
    kind_key = ("type",)
    pings = ""
    looks = (
        ("", frozenset({"type", "event_data"})),
        ("", frozenset({"type", "specversion", "data"})),
    )

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender."""
        if tree.needs("type") not in _KINDS:
            return ()
        return tuple(self._pushed(tree, tree.at("event_data") if tree.has("event_data") else tree.at("data")))

    def _pushed(self, tree: Tree, data: Tree) -> Iterator[ImagePushed]:
        for resource in data.each("resources", most=_MOST):
            image, tag, _ = split(resource.text("resource_url", cut=512))
            # An image pushed by digest alone has the digest as its tag, or no tag.
            if image and tag and tag == resource.text("tag"):
                yield ImagePushed(
                    sender=self.name,
                    by=Author(name=tree.text("operator") or data.text("operator")),
                    at=tree.time("occur_at") or tree.time("time"),
                    image=image,
                    tag=tag,
                    digest=digest(resource.text("digest")),
                )

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = Harbor()
