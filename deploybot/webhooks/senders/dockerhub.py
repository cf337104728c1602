"""Docker Hub: images; https://docs.docker.com/docker-hub/repos/manage/webhooks/. Its calls carry no proof."""

from __future__ import annotations

from typing import ClassVar

from deploybot.domain import DOCKER_HUB, Author, Event, ImagePushed
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.delivery_signatures import PathPart, Proof
from deploybot.webhooks.pushed_images import image
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import MalformedError, Received

_SETUP = """\
At Docker Hub, in the repository: Webhooks.
Webhook name: deploybot. Webhook URL: {url}/SECRET
SECRET is the secret in bot.toml. Anyone who knows the address can call it, so use a long random one (letters and
digits: openssl rand -hex 32). Create.
Docker Hub does not send the pushed digest; the bot looks it up."""


class DockerHub(BaseSender):
    """Docker Hub."""

    name = "dockerhub"
    proof: ClassVar[Proof] = PathPart()
    pings = ""
    looks = (("", frozenset({"push_data", "repository", "callback_url"})),)

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender. `callback_url` is never called."""
        name, tag = tree.needs("repository", "repo_name"), tree.text("push_data", "tag")
        found = image(f"{DOCKER_HUB}/{name}")
        if not found:
            raise MalformedError("repository.repo_name is not an image name.")
        if not tag:
            return ()
        return (
            ImagePushed(
                sender=self.name,
                url=tree.page("repository", "repo_url"),
                by=Author(name=tree.text("push_data", "pusher")),
                at=tree.time("push_data", "pushed_at"),
                image=found,
                tag=tag,
            ),
        )

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


SENDER = DockerHub()
