"""Whether a project on the server is the app that would be deployed, or only looks a little like it."""

from __future__ import annotations

import json

import pytest

from deploybot.domain import Container
from deploybot.strategies.compose.copies import copies_of
from deploybot.strategies.compose.model import ComposeConfig, parse_config


def config(**images: str) -> ComposeConfig:
    services = {name: {"image": image} if image else {"build": {"context": "."}} for name, image in images.items()}
    return parse_config(json.dumps({"name": "shop-live", "services": services}), project="shop-live")


def running(**images: str) -> list[Container]:
    return [
        Container(id=name, name=f"other-{name}-1", service=name, image=image, state="running", project="other")
        for name, image in images.items()
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (
            {"web": "ghcr.io/ana/notes:2", "db": "postgres:16"},
            {"web": "ghcr.io/ana/notes:1", "db": "postgres:15"},
            True,
        ),
        (
            {"web": "ghcr.io/ana/notes:2", "db": "postgres:16"},
            {"web": "ghcr.io/ben/blog:1", "db": "postgres:16"},
            False,
        ),
        # Two apps that are built, with the same cache beside them.
        ({"web": "", "cache": "bitnami/redis:7"}, {"web": "other-web", "cache": "bitnami/redis:7"}, False),
        ({"web": "nginx", "db": "postgres"}, {"web": "nginx", "db": "postgres"}, False),
    ],
)
def test_one_shared_image_does_not_make_two_apps_one(ours: dict[str, str], theirs: dict[str, str], same: bool) -> None:
    assert bool(copies_of(config(**ours), running(**theirs), ["shop"])) is same
