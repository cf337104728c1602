"""The whole port `Host` on real servers, with dash and busybox alone: also streams, and shells that talk or hang."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from deploybot.domain import JobState
from deploybot.errors import StepFailed, Unreachable
from deploybot.ports import Host, Servers
from deploybot.server_pool import SshServers
from deploybot.ssh.ssh_host import SshHost
from deploybot.ssh.ssh_pool import Pool
from deploybot.testing import FakeEngine
from tests.conftest import MakeSshd
from tests.hosts_contract import PRINTED, HostContract, Task, Work
from tests.lab import Access, Lab, Proxy, Sshd
from tests.ssh.conftest import RUN, Reach, command, finished, nothing_runs, server_of, through, until, words


@pytest.fixture(scope="module")
def bash_server(lab: Lab) -> Sshd:
    """A server whose `sh` is bash, as Red Hat has it."""
    folder = lab.directory / "bash-as-sh"
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/bash")
    return lab.sshd("redhat", access=Access(path=f"{folder}:/usr/bin:/bin"))


class TestSshHost(HostContract):
    """The same assertions as for the server in memory."""

    @pytest.fixture(params=["sshd", "busybox_server", "bash_server"])
    def server(self, request: pytest.FixtureRequest) -> Sshd:
        found = request.getfixturevalue(request.param)
        assert isinstance(found, Sshd)
        return found

    @pytest.fixture
    def work(self) -> Work:
        return Work(
            Task(RUN, command(f"printf %s '{PRINTED.decode()}'")),
            Task(RUN, command("exit 3")),
            Task(RUN, command("sleep 1000")),
        )


async def test_servers_are_made_once_and_only_those_of_bot_toml(sshd: Sshd) -> None:
    engine = FakeEngine()
    settings = {"web1": server_of(sshd), "web2": server_of(sshd, "web2", docker="/var/run/docker.sock")}
    real = SshServers(settings, Pool(settings), lambda server: engine if server.docker else None)
    servers: Servers = real
    host: Host = servers.host("web1")
    assert servers.host("web1") is host
    assert servers.engine("web1") is None
    assert servers.engine("web2") is engine
    for ask in (servers.host, servers.engine):
        with pytest.raises(KeyError):
            ask("web3")
    assert (await host.facts()).server == "web1"
    await real.drop("web1")
    assert (await host.facts()).server == "web1"
    await real.close()
    with pytest.raises(Unreachable, match="shutting down"):
        await host.facts()


async def test_output_comes_as_it_is_made(server: Sshd, host: SshHost) -> None:
    """Each line is only written once the one before has come."""
    pieces = []
    text = "for n in 1 2 3; do echo $n >&2; while ! rm $HOME/go 2>/dev/null; do sleep 0.05; done; done"
    async with aclosing(host.stream(RUN, command(text), timeout=30)) as out:
        async for piece in out:
            pieces.append(piece)
            (server.home / "go").touch()
    assert pieces == [b"1\n", b"2\n", b"3\n"]


async def test_a_great_deal_of_output_is_held_back_and_not_kept(host: SshHost) -> None:
    size = 0
    async with aclosing(host.stream(RUN, command("head -c 30000000 /dev/zero"), timeout=60)) as out:
        async for piece in out:
            assert len(piece) <= 4_000_000
            size += len(piece)
            if size < 3_000_000:
                await asyncio.sleep(0.01)
    assert size == 30_000_000


async def test_a_stream_that_fails_says_how(host: SshHost) -> None:
    with pytest.raises(StepFailed) as caught:
        async for _ in host.stream(RUN, command("echo no such unit >&2; exit 5"), timeout=30):
            pass
    assert (caught.value.step, caught.value.code, caught.value.tail) == (RUN, 5, ("no such unit",))


async def connected(host: SshHost) -> SshHost:
    """The host, with its connection open and its runner installed."""
    assert [piece async for piece in host.stream(RUN, command("true"), timeout=30)] == []
    return host


async def test_a_stream_ends_at_its_deadline(server: Sshd, host: SshHost) -> None:
    await connected(host)
    began = time.monotonic()
    # The server counts whole seconds, and must not be the first to stop it: that would look like a failure.
    out = [piece async for piece in host.stream(RUN, command("echo one; sleep 1000"), timeout=3.4)]
    assert out == [b"one\n"]
    assert 3.4 <= time.monotonic() - began < 20
    await nothing_runs(server, within=20)


async def test_a_stream_that_is_left_stops_what_feeds_it(server: Sshd, host: SshHost) -> None:
    text = 'trap "" TERM; echo one; sleep 1000 & while :; do sleep 1; done'
    async with aclosing(host.stream(RUN, command(text), timeout=60)) as out:
        assert await anext(out) == b"one\n"
        assert server.processes()
    await nothing_runs(server)


async def test_a_stream_is_stopped_on_the_server_when_the_bot_is_gone(sshd: Sshd, reach: Reach) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = await connected(reach(through(proxy, sshd)))
        out = host.stream(RUN, command("echo one; sleep 1000"), timeout=4)
        assert await anext(out) == b"one\n"
        proxy.stall()
        await until(lambda: not [pid for pid in sshd.processes() if sleeps(pid)], within=20)
        await out.aclose()


def sleeps(pid: int) -> bool:
    return "sleep\x001000" in words(pid)


async def test_a_server_that_forbids_forwarding_says_so(make_sshd: MakeSshd, reach: Reach) -> None:
    host = reach(server_of(make_sshd(access=Access(lines=("AllowTcpForwarding no",)))))
    with pytest.raises(Unreachable, match="the SSH server forbids forwarding") as caught:
        await host.tcp_open("127.0.0.1", 22, timeout=5)
    assert "AllowTcpForwarding" in caught.value.hint


async def test_a_login_shell_that_talks_is_listened_past(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = make_sshd(shell="/bin/bash")  # noqa: S604  a login shell
    (server.home / ".bashrc").write_text("echo Welcome to deploybot/1 done 0 0 0; echo; echo warning >&2\n")
    host = reach(server_of(server))
    assert (await host.facts()).server == "web1"
    assert (await finished(host, job, "echo hi")).state is JobState.DONE
    assert (await host.poll(job, 0)).data == b"hi\n"
    await host.upload(Path(__file__), f"{server.home}/file")
    await host.forget([job])


async def test_a_login_shell_that_hangs_is_reported(make_sshd: MakeSshd, reach: Reach) -> None:
    server = make_sshd(shell="/bin/bash")  # noqa: S604  a login shell
    (server.home / ".bashrc").write_text("sleep 1000\n")
    host = reach(server_of(server))
    await host._pool.connection("web1")
    with pytest.raises(Unreachable, match=r"logged in, but its shell gave no answer within 1 s") as caught:
        await host.facts(timeout=1)
    assert ".bashrc" in caught.value.hint
