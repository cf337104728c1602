"""The server in memory keeps the contract of real ones, and does what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import JobState, JobStatus
from deploybot.errors import Unreachable
from deploybot.ports import Host, Servers
from deploybot.testing import FakeEngine, FakeHost, FakeServers, Outcome
from tests.hosts_contract import PRINTED, HostContract, Task, Work


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost("web1")
    host.script("prints", Outcome(log=PRINTED))
    host.script("fails", Outcome(code=3))
    host.script("slow", Outcome(hold=True))
    return host


class TestFakeHost(HostContract):
    """The same assertions as for a real server."""

    @pytest.fixture
    def work(self) -> Work:
        return Work(Task("prints", {}), Task("fails", {}), Task("slow", {}))


def test_it_is_a_host(host: FakeHost) -> None:
    one: Host = host
    servers: Servers = FakeServers([host], {"web1": FakeEngine()})
    assert servers.host("web1") is one
    assert servers.engine("web1")
    assert servers.engine("web2") is None
    with pytest.raises(KeyError):
        servers.host("web2")


async def test_outcomes_come_one_after_the_other_and_the_last_stays(host: FakeHost) -> None:
    host.script("switch", Outcome(code=1), Outcome(code=2))
    codes = [(await host.start(f"job-{number}", "switch", {}, deadline=1)).code for number in range(3)]
    assert codes == [1, 2, 2]


async def test_what_was_started_and_how_often_it_was_asked_is_kept(host: FakeHost) -> None:
    for _ in range(3):
        await host.start("job", "switch", {"DEPLOYBOT_APP": "shop"}, deadline=60)
    assert [(one.job, one.script, one.env, one.deadline) for one in host.started] == [
        ("job", "switch", {"DEPLOYBOT_APP": "shop"}, 60)
    ]
    assert host.asked == {"job": 3}


async def test_a_job_can_change_the_server(host: FakeHost) -> None:
    def switch(server: FakeHost, env: Mapping[str, str]) -> None:
        server.server_facts = replace(server.server_facts, current=env["DEPLOYBOT_RELEASE"])

    host.script("switch", Outcome(effect=switch))
    await host.start("job", "switch", {"DEPLOYBOT_RELEASE": "a" * 40}, deadline=60)
    facts = await host.facts("/srv/shop")
    assert (facts.directory, facts.current) == ("/srv/shop", "a" * 40)


@pytest.mark.parametrize("state", [JobState.ORPHAN, JobState.LOST])
async def test_a_job_can_get_lost(host: FakeHost, state: JobState) -> None:
    host.script("switch", Outcome(state=state, code=5))
    assert await host.start("job", "switch", {}, deadline=60) == JobStatus(state)


async def test_a_job_that_is_held_prints_and_ends_on_request(host: FakeHost) -> None:
    await host.start("job", "slow", {}, deadline=60)
    waiting = asyncio.create_task(host.wait("job", timeout=20))
    await asyncio.sleep(0)
    host.write("job", b"half ")
    assert (await host.poll("job", 0)).data == b"half "
    host.finish("job", code=7)
    assert await waiting == JobStatus(JobState.DONE, 7, 5)
    host.finish("job", code=0)
    assert (await host.wait("job", timeout=0)).code == 7


async def test_a_server_that_is_down_answers_nothing(host: FakeHost, tmp_path: Path) -> None:
    host.down = "no route to host"
    for call in (
        host.facts(),
        host.upload(tmp_path, "/x"),
        host.start("job", "prints", {}, deadline=1),
        host.wait("job", timeout=1),
        host.poll("job", 0),
        host.cancel("job"),
        host.forget(["job"]),
        host.http_status("http://127.0.0.1/", timeout=1),
        host.tcp_open("127.0.0.1", 80, timeout=1),
    ):
        with pytest.raises(Unreachable, match="web1 cannot be reached: no route to host"):
            await call
    assert not host.started


async def test_a_cut_ends_what_waits(host: FakeHost) -> None:
    await host.start("job", "slow", {}, deadline=60)
    waiting = asyncio.create_task(host.wait("job", timeout=20))
    await asyncio.sleep(0)
    host.cut()
    with pytest.raises(Unreachable):
        await waiting
    host.down = ""
    assert (await host.poll("job", 0)).status.state is JobState.RUNNING


async def test_a_lost_answer_is_not_a_lost_job(host: FakeHost) -> None:
    host.lose(1)
    with pytest.raises(Unreachable, match="before the answer came"):
        await host.start("job", "prints", {}, deadline=60)
    assert (await host.start("job", "prints", {}, deadline=60)).state is JobState.DONE
    assert len(host.started) == 1


async def test_uploads_are_kept(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_bytes(b"content")
    await host.upload(tmp_path / "bundle", "/srv/shop/incoming/bundle")
    assert host.uploads == {"/srv/shop/incoming/bundle": b"content"}


async def test_health_is_what_a_test_says(host: FakeHost) -> None:
    host.http["http://127.0.0.1:8000/bad"] = (500, "broken")
    host.http["http://127.0.0.1:8000/none"] = (0, "nothing listens")
    host.closed.add(("127.0.0.1", 5432))
    assert await host.http_status("http://127.0.0.1:8000/", timeout=1) == (200, "ok")
    assert await host.http_status("http://127.0.0.1:8000/bad", timeout=1) == (500, "broken")
    with pytest.raises(Unreachable, match="nothing listens"):
        await host.http_status("http://127.0.0.1:8000/none", timeout=1)
    await host.tcp_open("127.0.0.1", 80, timeout=1)
    with pytest.raises(Unreachable, match="refused"):
        await host.tcp_open("127.0.0.1", 5432, timeout=1)


async def test_a_stream_gives_its_chunks(host: FakeHost) -> None:
    host.streams["tail"] = (b"a\n", b"b\n")
    assert [chunk async for chunk in host.stream("tail", {}, timeout=1)] == [b"a\n", b"b\n"]
