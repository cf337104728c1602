"""Images that are pushed to a real registry, and the Compose file that they run by."""

from __future__ import annotations

from tests.lab import Engine, Registry, web

YAML = """
services:
  web:
    image: nothing/of/that:name
    ports: ["8000:8000"]
"""


def push(engine: Engine, registry: Registry, tag: str, text: str = "", *, well: bool = True) -> str:
    """An image that serves `text`, in the registry and no longer on the engine; its digest."""
    name = registry.name("acme/shop", tag)
    engine.load(web(name, text or tag, healthy=well))
    engine.docker("push", name)
    found = engine.docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", name).strip()
    engine.docker("image", "rm", name)
    return found.partition("@")[2]
