"""One table of hosts: what the guard says of them, and that whoever asks it gets the same answer."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import TypeAdapter, ValidationError
from yarl import URL

from deploybot.errors import Unreachable
from deploybot.net.address_guard import ForbiddenAddress, check_resolved, is_loopback, refusal
from deploybot.net.guarded_resolver import GuardedResolver
from deploybot.reporting.report_http import Caller
from deploybot.settings.address_values import (
    CallUrl,
    DockerAddress,
    HealthPort,
    HealthUrl,
    ListenAddress,
    SyslogAddress,
    leads_astray,
)
from deploybot.settings.event_values import RegistryHost
from deploybot.sources.registry_http import Peer
from deploybot.testing import FakeClock

LOCAL, MULTICAST, UNSPECIFIED = (
    "a link-local or metadata address",
    "a multicast address",
    "an unspecified address",
)
NEVER = {
    "169.254.169.254": LOCAL,
    "169.254.0.1": LOCAL,
    "100.100.100.200": LOCAL,
    "168.63.129.16": LOCAL,
    "192.0.0.192": LOCAL,
    "fe80::1": LOCAL,
    "febf::1": LOCAL,
    "fd00:ec2::254": LOCAL,
    "fd20:ce::254": LOCAL,
    "::ffff:169.254.169.254": LOCAL,
    "::ffff:a9fe:a9fe": LOCAL,
    "::a9fe:a9fe": LOCAL,
    "64:ff9b::a9fe:a9fe": LOCAL,
    "64:ff9b:1::a9fe:a9fe": LOCAL,
    "::ffff:0:a9fe:a9fe": LOCAL,
    "2002:a9fe:a9fe::1": LOCAL,
    "0.0.0.0": UNSPECIFIED,  # noqa: S104
    "::": UNSPECIFIED,
    "::ffff:0.0.0.0": UNSPECIFIED,
    "64:ff9b::": UNSPECIFIED,
    "2002::": UNSPECIFIED,
    "224.0.0.1": MULTICAST,
    "239.255.255.255": MULTICAST,
    "ff02::1": MULTICAST,
    "::ffff:224.0.0.1": MULTICAST,
    "2002:e000:1::": MULTICAST,
}
NEVER_BY_NAME = ("metadata", "metadata.google.internal", "Metadata.Google.Internal.", "instance-data")
CALLED = (
    *("127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "169.253.1.1", "223.255.255.255"),
    *("2001:db8::1", "fd00::7", "::ffff:a00:1", "64:ff9b::808:808", "2002:808:808::", "::ffff:7f00:1"),
)
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
NAMES = ("localhost", "shop.example.com", "metadata.example.com", "my-metadata")


@pytest.mark.parametrize(("address", "why"), NEVER.items())
def test_addresses_that_are_never_called(address: str, why: str) -> None:
    assert refusal(address) == why
    with pytest.raises(ForbiddenAddress, match=why):
        check_resolved(address)


@pytest.mark.parametrize("host", [*CALLED, *NAMES])
def test_hosts_that_are_called(host: str) -> None:
    assert refusal(host) == ""
    check_resolved(host)


@pytest.mark.parametrize("host", NEVER_BY_NAME)
def test_names_that_are_never_called(host: str) -> None:
    assert refusal(host) == LOCAL


def test_a_zone_changes_nothing() -> None:
    assert refusal("fe80::1%eth0") == LOCAL
    assert refusal("::1%lo") == ""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", ""])  # noqa: S104
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


def taken(kind: Any, value: str) -> bool:  # noqa: ANN401  a type of pydantic
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("host", [*NEVER, *(name for name in NEVER_BY_NAME if not name.endswith(".")), *CALLED, *NAMES])
def test_every_address_of_bot_toml_asks_the_guard(host: str) -> None:
    is_called, written = not refusal(host), f"[{host}]" if ":" in host else host
    health = (
        {}
        if host in LOOPBACK
        else {
            "health url": taken(HealthUrl, f"http://{written}:8000/healthz"),
            "health tcp": taken(HealthPort, f"{written}:5432"),
        }
    )
    answers = {
        **health,
        "docker": taken(DockerAddress, f"tcp://{written}:2376"),
        "syslog": taken(SyslogAddress, f"udp://{written}:514"),
        "call": taken(CallUrl, f"https://{written}/hook"),
        "registry": taken(RegistryHost, f"{written}:5000"),
        "what a registry names": Peer("registry.example.com", FakeClock()).allows(URL(f"https://{written}/token")),
        "leads_astray": not leads_astray(host),
    }
    assert answers == dict.fromkeys(answers, is_called)


@pytest.mark.parametrize(("host", "loopback"), LOOPBACK.items())
def test_a_health_check_of_every_address_asks_the_loopback_one(host: str, loopback: str) -> None:
    written = f"[{host}]" if ":" in host else host
    url = TypeAdapter(HealthUrl).validate_python(f"http://{written}:8000/healthz?of={written}")
    assert url == f"http://{loopback}:8000/healthz?of={written}"
    assert TypeAdapter(HealthUrl).validate_python(f"http://{written}/") == f"http://{loopback}/"
    assert TypeAdapter(HealthPort).validate_python(f"{written}:5432") == f"{loopback}:5432"


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:8080", "127.0.0.1:80", "[::1]:80", "localhost:80"])
def test_the_bot_may_listen_on_every_address_of_its_machine(address: str) -> None:
    assert TypeAdapter(ListenAddress).validate_python(address) == address


@pytest.mark.parametrize("address", ["localhost", "0:8080", "[::]", "[x]:1", ":8080", "8080", "127.0.0.1:0"])
def test_where_the_bot_cannot_listen(address: str) -> None:
    assert not taken(ListenAddress, address)


class Dns(AbstractResolver):
    """Gives every name the same addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
            for one in self.addresses
        ]

    async def close(self) -> None:
        return


@pytest.mark.parametrize("address", NEVER)
async def test_a_name_that_leads_to_one_is_refused_whole(address: str) -> None:
    with pytest.raises(ForbiddenAddress):
        await GuardedResolver(Dns("127.0.0.1", address)).resolve("shop.example.com", 80)


async def test_the_addresses_of_other_names_are_returned_as_they_are() -> None:
    found = await GuardedResolver(Dns(*CALLED)).resolve("shop.example.com", 80)
    assert [one["host"] for one in found] == [*CALLED]


@pytest.mark.parametrize("address", NEVER)
async def test_a_report_is_not_sent_to_one(address: str) -> None:
    caller = Caller(within=5)
    written = f"[{address}]" if ":" in address else address
    with pytest.raises(Unreachable, match="the bot never calls"):
        async with asyncio.timeout(5):
            await caller.call("POST", f"http://{written}:9/", headers={}, what="other")
    await caller.close()
