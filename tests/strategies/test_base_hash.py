"""What counts as the settings of a service does not depend on the order in which Compose prints its mounts."""

from __future__ import annotations

import json

from deploybot.strategies.compose.compose_model import parse_config


def base(*volumes: str) -> str:
    services = {"web": {"image": "web", "volumes": list(volumes)}}
    top = {"version": "3.8", "services": services, "volumes": {"blobs": {}}}
    (service,) = parse_config(json.dumps(top), project="shop").services
    return service.base


def test_mounts_in_another_order_are_the_same_settings() -> None:
    assert base("blobs:/blobs:rw", "/srv/conf:/etc/app:ro") == base("/srv/conf:/etc/app:ro", "blobs:/blobs:rw")


def test_other_mounts_are_other_settings() -> None:
    assert base("blobs:/blobs:rw") != base("blobs:/other:rw")
