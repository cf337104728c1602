"""Calls to others: what is never called, what is never followed, and what an answer is taken for."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import TypeAdapter, ValidationError

from deploybot.errors import Unreachable, UserError
from deploybot.reporting.report_http import Api, Caller, ReportAnswer, accepted
from deploybot.settings.address_values import CallUrl
from tests.lab import free_port
from tests.reporting.doubles import HANG, Gitea, Receiver

METADATA = "169.254.169.254"
FORBIDDEN = [
    METADATA,
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
]
NUMBERS = ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.254.169.254"]
NAMES = [
    "metadata",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "instance-data",
    "metadata.azure.internal",
]


class Dns(AbstractResolver):
    """Gives the addresses that a test has for a name, one list after the other, and the last for good."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in given
        ]

    async def close(self) -> None:
        return


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    made = Caller(within=5)
    yield made
    await made.close()


async def post(caller: Caller, url: str) -> ReportAnswer:
    return await caller.call("POST", url, headers={}, what="other", body=b"{}")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", [*FORBIDDEN, *NUMBERS, *NAMES])
def test_an_address_of_a_metadata_service_is_refused_in_bot_toml(scheme: str, host: str) -> None:
    for url in (f"{scheme}://{host}", f"{scheme}://{host}:8080/latest"):
        with pytest.raises(ValidationError):
            TypeAdapter(CallUrl).validate_python(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:3000", "https://git.example.com/api/v4", "http://[fd00::7]:80/x"])
def test_other_addresses_are_taken(url: str) -> None:
    assert TypeAdapter(CallUrl).validate_python(url) == url


@pytest.mark.parametrize("url", ["ftp://x.example", "https://u:p@x.example", "https://x.example/?a=b", "https://", "x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(CallUrl).validate_python(url)


@pytest.mark.parametrize("host", [*FORBIDDEN, "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]"])  # noqa: S104  an address that is refused
async def test_such_an_address_is_not_called_however_it_got_there(caller: Caller, host: str) -> None:
    with pytest.raises(Unreachable, match="the bot never calls"):
        await post(caller, f"http://{host}:9/")


@pytest.mark.parametrize("host", NUMBERS)
async def test_a_number_that_resolves_to_one_is_not_called(caller: Caller, host: str) -> None:
    with pytest.raises(Unreachable, match=r"the bot never calls|not known|not a canonical"):
        await post(caller, f"http://{host}:9/")


@pytest.mark.parametrize("address", [one.strip("[]") for one in FORBIDDEN])
@pytest.mark.parametrize("others", [[], ["127.0.0.1"]])
async def test_a_name_that_leads_to_one_is_not_called_not_even_at_its_other_addresses(
    receiver: Receiver, address: str, others: list[str]
) -> None:
    caller = Caller(resolver=Dns([*others, address]))
    port = receiver.url.rpartition(":")[2]
    with pytest.raises(Unreachable, match="the bot never calls"):
        await post(caller, f"http://forge.example:{port}/hook")
    await caller.close()
    assert receiver.calls == []


async def test_what_was_looked_at_is_what_is_connected_to(gitea: Gitea) -> None:
    dns = Dns(["127.0.0.1"], [METADATA])
    caller = Caller(resolver=dns)
    port = gitea.url.rpartition(":")[2]
    assert (await post(caller, f"http://forge.example:{port}/repos/a/b/statuses/c")).status == 401
    await caller.close()
    assert (dns.asked, len(gitea.calls)) == (["forge.example"], 1)


async def test_a_proxy_of_the_environment_is_for_others(
    caller: Caller, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await post(caller, f"{receiver.url}/nowhere")).status == 404


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(caller: Caller, gitea: Gitea, receiver: Receiver, status: int) -> None:
    gitea.fault = lambda _method, _path: web.Response(status=status, headers={"Location": f"{receiver.url}/hook"})
    answer = await post(caller, f"{gitea.url}/x")
    with pytest.raises(Unreachable, match=str(status)) as caught:
        accepted(answer, "Gitea")
    assert "Redirects are not followed" in caught.value.hint
    assert receiver.calls == []


async def test_one_that_hangs_costs_its_time_and_no_more(gitea: Gitea) -> None:
    gitea.fault = lambda _method, _path: HANG
    caller = Caller(within=0.2)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        await post(caller, f"{gitea.url}/x")
    await caller.close()
    assert time.monotonic() - begun < 2


async def test_nobody_there(caller: Caller) -> None:
    with pytest.raises(Unreachable, match="other cannot be reached: connection refused") as caught:
        await post(caller, f"http://127.0.0.1:{free_port()}/")
    assert caught.value.hint == "Check its address in bot.toml and that this machine can reach it."


async def test_an_endless_answer_is_cut(caller: Caller, gitea: Gitea) -> None:
    gitea.fault = lambda _method, _path: web.Response(body=bytes(3 << 20))
    assert len((await post(caller, f"{gitea.url}/x")).body) == 1 << 20


async def test_something_that_speaks_no_json_is_not_the_api(caller: Caller, gitea: Gitea) -> None:
    gitea.fault = lambda _method, _path: web.Response(text="<html>Welcome</html>")
    with pytest.raises(Unreachable, match="not JSON"):
        await Api(caller, gitea.url, {}, "Gitea").get("/x")


@pytest.mark.parametrize("status", [400, 410, 413, 422])
def test_what_is_refused_for_good(status: int) -> None:
    with pytest.raises(UserError, match=f"{status}: no such ref"):
        accepted(ReportAnswer(status, {}, b'{"message": "no such\\nref"}'), "GitHub")


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 502, 503, 504])
def test_what_may_be_tried_again(status: int) -> None:
    with pytest.raises(Unreachable, match=str(status)):
        accepted(ReportAnswer(status, {}, b"busy"), "GitHub")


def test_what_is_nested_deeper_than_can_be_read_may_be_tried_again() -> None:
    with pytest.raises(Unreachable, match="it answers 503"):
        accepted(ReportAnswer(503, {}, b"[" * 500_000), "GitHub")
