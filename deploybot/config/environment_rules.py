"""Rules about the images of an environment, which may differ from those of its app."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from deploybot.config.config_errors import Path, Problem
from deploybot.settings import App, Environment
from deploybot.wording import listed, meant


def check_images(path: Path, app: App, environment: Environment) -> Iterator[Problem]:
    """Yield images without a name, and images that no release can have in both environments of `after`.

    `path` is the environment's.
    """
    for service, one in environment.images.items():
        if not (one.image or service in app.images):
            near = meant(service, app.images)
            yield Problem(
                (*path, "images", service, "image"), f"is missing: apps.{path[1]}.images has no {service}{near}"
            )
    if environment.after in app.environments:
        here, before = (app.at(one).images.keys() for one in (environment, environment.after))
        if here != before:
            yield Problem(
                (*path, "after"),
                f"can never be reached: {path[-1]} pins the images of {_named(here)}, but {environment.after} "
                f"those of {_named(before)}; give both the same services in `images`",
            )


def _named(services: Collection[str]) -> str:
    return listed(sorted(services)) if services else "no service"
