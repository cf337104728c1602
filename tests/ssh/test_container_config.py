"""Whether the Engine reports how an image was built, from its JSON. docker-compose 1.29 needs it."""

from __future__ import annotations

import pytest

from deploybot.engine.docker_json import inspected_image


@pytest.mark.parametrize(
    ("reported", "has"),
    [
        ({"ContainerConfig": {"Image": ""}}, True),
        ({"ContainerConfig": {}}, True),
        ({"ContainerConfig": None}, False),
        ({}, False),
    ],
    ids=["set", "empty", "null", "missing"],
)
def test_a_missing_container_config_is_noticed(reported: dict[str, object], has: bool) -> None:
    assert inspected_image({"Id": "sha256:" + "1" * 64, "Config": {}, **reported}).has_container_config == has
