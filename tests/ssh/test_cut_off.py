"""Containers that run without the network that they were created with, from the Engine's JSON."""

from __future__ import annotations

import pytest

from deploybot.engine.docker_json import container

BOUND = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
FRONT = {"front": {"IPAddress": "172.18.0.2"}}


def is_cut_off(
    networks: object = FRONT,
    *,
    mode: str = "front",
    state: str = "running",
    ports: object = BOUND,
    disabled: bool = False,
) -> bool:
    return container(
        {
            "Id": "c" * 64,
            "Name": "/shop-web-1",
            "Image": "sha256:1",
            "Config": {"Image": "shop", "Labels": {}, "NetworkDisabled": disabled},
            "State": {"Status": state, "ExitCode": 0},
            "HostConfig": {"NetworkMode": mode, "PortBindings": BOUND},
            "NetworkSettings": {"Networks": networks, "Ports": ports},
        }
    ).cut_off


@pytest.mark.parametrize("ports", [BOUND, {}, {"80/tcp": None}, None])
@pytest.mark.parametrize("state", ["running", "exited"])
def test_a_container_in_its_network_is_not_cut_off(state: str, ports: object) -> None:
    """An Engine publishes no ports in an internal network, or in macvlan."""
    assert not is_cut_off(state=state, ports=ports)
    assert not is_cut_off(None, state=state, ports=ports)


@pytest.mark.parametrize("mode", ["front", "bridge", "default"])
@pytest.mark.parametrize("state", ["running", "exited"])
def test_a_container_without_its_network_is_cut_off(state: str, mode: str) -> None:
    assert is_cut_off({}, state=state, mode=mode, ports={})


@pytest.mark.parametrize("mode", ["", "none", "host", "container:0123", "ns:/proc/7/ns/net", "slirp4netns", "pasta:-t"])
def test_a_mode_without_a_network_of_the_engine_needs_none(mode: str) -> None:
    assert not is_cut_off({}, mode=mode, ports={})


def test_a_container_whose_network_is_switched_off_needs_none() -> None:
    assert not is_cut_off({}, ports={}, disabled=True)
