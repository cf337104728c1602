"""Images in GitHub's container registry, read from its events `package` and `registry_package`."""

from __future__ import annotations

from deploybot.domain import Event, ImagePushed, canonical_image
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.forge_events import person, repository
from deploybot.webhooks.pushed_images import digest, split

_HOST = "ghcr.io"
_DONE = frozenset({"published", "updated"})


def package(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return an image that was pushed with a tag. Other packages, and pushes by digest alone, are ignored."""
    thing = tree.at("registry_package") if tree.has("registry_package") else tree.at("package")
    version = thing.at("package_version")
    tag = version.text("container_metadata", "tag", "name")
    if tree.text("action") not in _DONE or thing.text("package_type").lower() != "container" or not tag:
        return ()
    return (
        ImagePushed(
            sender=sender,
            repository=repository(tree),
            url=version.page("html_url") or thing.page("html_url"),
            by=person("github", tree.at("sender")),
            at=version.time("updated_at") or thing.time("updated_at"),
            image=_image(thing),
            tag=tag,
            digest=digest(version.text("container_metadata", "tag", "digest") or version.text("version")),
        ),
    )


def _image(thing: Tree) -> str:
    """Return the image by its pull address, which has an Enterprise Server's host, or else by its name."""
    address = thing.text("package_version", "package_url")
    if "/" in address:
        return split(address)[0]
    owner = thing.text("namespace") or thing.needs("owner", "login")
    return canonical_image(f"{_HOST}/{owner}/{thing.needs('name')}".lower())
