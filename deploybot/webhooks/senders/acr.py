"""Alibaba Cloud's Container Registry: images; https://www.alibabacloud.com/help/doc-detail/60949.htm."""

from __future__ import annotations

from typing import ClassVar

from deploybot.domain import Event, ImagePushed
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.delivery_signatures import Proof, QueryToken
from deploybot.webhooks.pushed_images import digest, image
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import MalformedError, Received

_SETUP = """\
In Alibaba Cloud's console: Container Registry, the instance, Repositories, the repository, Triggers (触发器), Create.
Trigger URL: {url}?secret=SECRET&registry=HOST
SECRET is the secret in bot.toml (letters and digits). HOST is the registry in bot.toml's image, such as
registry.cn-hangzhou.aliyuncs.com, because Alibaba does not send it. It is optional if it has that form.
Trigger: All. OK. Alibaba calls only ports 80, 443 and above 1024, and rejects self-signed certificates."""


class Acr(BaseSender):
    """Alibaba Cloud's Container Registry."""

    name = "acr"
    proof: ClassVar[Proof] = QueryToken("secret")
    pings = ""
    looks = (("", frozenset({"push_data", "repository"})),)

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """See BaseSender. Its times have no zone, so they are not used."""
        region = tree.text("repository", "region")
        host = next(iter(received.query.get("registry", ())), "") or f"registry.{region}.aliyuncs.com"
        found = image(f"{host}/{tree.needs('repository', 'repo_full_name')}")
        if not found:
            raise MalformedError("repository is not an image name.")
        tag = tree.text("push_data", "tag")
        if not tag:
            return ()
        return (
            ImagePushed(
                sender=self.name,
                image=found,
                tag=tag,
                digest=digest(tree.text("push_data", "digest")),
            ),
        )

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = Acr()
