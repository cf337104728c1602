"""Containers that run without the network or the ports that they were created with, from the Engine's JSON."""

from __future__ import annotations

import pytest

from deploybot.engine.docker_json import container

BOUND = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
FRONT = {"front": {"IPAddress": "172.18.0.2"}}


def lost(
    networks: object = FRONT,
    ports: object = BOUND,
    *,
    mode: str = "front",
    state: str = "running",
    bound: object = BOUND,
    disabled: bool = False,
) -> str:
    return container(
        {
            "Id": "c" * 64,
            "Name": "/shop-web-1",
            "Image": "sha256:1",
            "Config": {"Image": "shop", "Labels": {}, "NetworkDisabled": disabled},
            "State": {"Status": state, "ExitCode": 0},
            "HostConfig": {"NetworkMode": mode, "PortBindings": bound},
            "NetworkSettings": {"Networks": networks, "Ports": ports},
        }
    ).lost


def test_a_container_as_it_was_created_has_lost_nothing() -> None:
    assert lost() == ""
    assert lost(state="exited", ports={}) == ""
    assert lost(bound={}, ports={"80/tcp": None}) == ""
    assert lost(bound={"80/tcp": None}, ports={}) == ""
    assert lost(networks=None, bound=None, ports=None) == ""


def test_a_container_without_its_network() -> None:
    assert lost(networks={}, ports={}) == "network"
    assert lost(networks={}, ports={}, state="exited") == "network"
    assert lost(networks={}, ports={}, bound={}, mode="bridge") == "network"


def test_a_container_whose_ports_are_not_published() -> None:
    assert lost(ports={}) == "published ports"
    assert lost(ports={"80/tcp": None}) == "published ports"
    assert lost(ports=None) == "published ports"


@pytest.mark.parametrize("mode", ["", "none", "host", "container:0123", "ns:/proc/7/ns/net", "slirp4netns", "pasta:-t"])
def test_a_mode_without_a_network_of_the_engine_loses_none(mode: str) -> None:
    assert lost(networks={}, bound={}, ports={}, mode=mode) == ""


def test_a_container_whose_network_is_switched_off_loses_none() -> None:
    assert lost(networks={}, bound={}, ports={}, disabled=True) == ""
