"""The CNCF's registry: images; https://distribution.github.io/distribution/about/notifications/."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import ClassVar

from deploybot.domain import Author, Event, ImagePushed
from deploybot.webhooks.body_reading import Tree, plain, read
from deploybot.webhooks.delivery_signatures import Bearer, Proof
from deploybot.webhooks.pushed_images import digest, image
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import MalformedError, Received

_MANIFESTS = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    }
)
_MOST = 500

_SETUP = """\
Add this to the registry's config.yml, with the secret in bot.toml as SECRET, and restart it:
notifications:
  endpoints:
    - name: deploybot
      url: {url}
      headers:
        Authorization: [Bearer SECRET]
      timeout: 5s
      threshold: 5
      backoff: 10s
      ignore:
        actions: [pull]
The registry reports the name it was called by, so everyone must push to the name in bot.toml."""


class RegistrySender(BaseSender):
    """Distribution, Docker's registry, 2.1 or later."""

    name = "registry"
    proof: ClassVar[Proof] = Bearer()
    pings = ""
    looks = (("", frozenset({"events"})),)

    def delivery(self, received: Received) -> str:
        """See Sender. An envelope has no id, but its events do. A repeated envelope has the same ones."""
        try:
            idents = [event.text("id") for event in read(received).each("events", most=_MOST)]
        except MalformedError:
            return ""
        return plain(hashlib.sha256("\n".join(idents).encode()).hexdigest()) if all(idents) and idents else ""

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender. Blobs, pulls, mounts and manifests pushed by digest alone are ignored."""
        if not tree.lists("events"):
            raise MalformedError("The body has no list of events, which the registry documents.")
        return tuple(self._pushed(tree))

    def _pushed(self, tree: Tree) -> Iterator[ImagePushed]:
        for event in tree.each("events", most=_MOST):
            target, tag = event.at("target"), event.text("target", "tag")
            if event.text("action") != "push" or target.text("mediaType") not in _MANIFESTS or not tag:
                continue
            found = image(f"{event.text('request', 'host')}/{target.text('repository')}")
            if found:
                yield ImagePushed(
                    sender=self.name,
                    by=Author(name=event.text("actor", "name")),
                    at=event.time("timestamp"),
                    image=found,
                    tag=tag,
                    digest=digest(target.text("digest")),
                    size=_size(target),
                )

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _size(target: Tree) -> int:
    """Return the size of the layers and the configuration, or -1 if unknown. The manifest's own size is not used."""
    sizes = [layer.number("size", default=-1) for layer in target.each("references")]
    return sum(sizes) if sizes and min(sizes) >= 0 else -1


SENDER = RegistrySender()
