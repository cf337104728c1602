"""The pool: one connection a server, shared, bounded, and back again after it broke."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.domain import JobState
from deploybot.errors import Unreachable
from deploybot.ssh.session_limits import LOGINS, SESSIONS
from deploybot.ssh.ssh_pool import Pool
from tests.conftest import MakeSshd
from tests.lab import Access, Proxy, Sshd
from tests.ssh.conftest import RUN, Reach, command, server_of, through, until


async def test_all_who_come_first_share_one_handshake(sshd: Sshd, reach: Reach) -> None:
    before = len(sshd.log)
    host = reach(server_of(sshd))
    await asyncio.gather(*(host.facts(timeout=60) for _ in range(20)))
    assert sshd.log[before:].count("Accepted publickey") == 1


async def test_one_who_gives_up_does_not_spoil_the_handshake_for_others(sshd: Sshd, reach: Reach) -> None:
    host = reach(server_of(sshd))
    first, second = asyncio.create_task(host.facts()), asyncio.create_task(host.facts())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).server == "web1"


async def test_fifty_at_once_wait_for_each_other_instead_of_failing(sshd: Sshd, reach: Reach) -> None:
    host = reach(server_of(sshd))
    facts = await asyncio.gather(*(host.facts(str(sshd.home / str(number)), timeout=90) for number in range(50)))
    assert [one.directory for one in facts] == [str(sshd.home / str(number)) for number in range(50)]


async def test_a_server_with_fewer_sessions_than_usual_is_waited_for(make_sshd: MakeSshd, reach: Reach) -> None:
    host = reach(server_of(make_sshd(access=Access(lines=("MaxSessions 2",)))))
    assert len(await asyncio.gather(*(host.facts(timeout=60) for _ in range(SESSIONS * 2)))) == SESSIONS * 2


async def test_long_commands_leave_room_for_short_ones(sshd: Sshd, reach: Reach, job: str) -> None:
    host = reach(server_of(sshd))
    jobs = [f"{job}-{number}" for number in range(SESSIONS * 2)]
    started = [await host.start(one, RUN, command("sleep 1000"), deadline=60) for one in jobs]
    assert {status.state for status in started} == {JobState.RUNNING}
    waiting = [asyncio.create_task(host.wait(one, timeout=30)) for one in jobs]
    await asyncio.sleep(0.1)
    assert (await host.facts(timeout=20)).server == "web1"  # the others wait for 30 s
    stopped = await asyncio.gather(*(host.cancel(one, grace=5) for one in jobs))
    assert {status.state for status in stopped} == {JobState.CANCELLED}
    assert {(await one).state for one in waiting} == {JobState.CANCELLED}


async def test_many_servers_at_one_address_do_not_knock_all_at_once(sshd: Sshd, pools: list[Pool]) -> None:
    names = [f"web{number}" for number in range(5 * LOGINS)]
    pool = Pool({name: server_of(sshd, name) for name in names})
    pools.append(pool)
    links = await asyncio.gather(*(pool.connection(name) for name in names))
    assert {link.server for link in links} == set(names)


async def test_a_connection_that_was_cut_is_made_anew_at_the_next_call(sshd: Sshd, reach: Reach) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        for round_ in range(3):
            assert (await host.facts()).server == "web1"
            assert proxy.connections == round_ + 1
            proxy.cut()
            await until(lambda: host._pool._connections["web1"].closed)


async def test_a_call_in_the_middle_of_a_cut_says_that_the_connection_broke(sshd: Sshd, reach: Reach) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        stream = host.stream(RUN, command("echo one; sleep 1000"), timeout=60)
        assert await anext(stream) == b"one\n"
        proxy.cut()
        with pytest.raises(Unreachable, match="the connection broke") as caught:
            await anext(stream)
        assert caught.value.hint == "Running jobs continue there; the next call reconnects."


async def test_sessions_that_are_killed_on_the_server_break_the_connection_and_no_more(
    sshd: Sshd, reach: Reach
) -> None:
    host = reach(server_of(sshd))
    stream = host.stream(RUN, command("echo one; sleep 1000"), timeout=60)
    assert await anext(stream) == b"one\n"
    sshd.kill_sessions()
    with pytest.raises(Unreachable, match="the connection broke"):
        await anext(stream)
    assert (await host.facts()).server == "web1"


async def test_a_half_open_line_is_noticed_within_twenty_seconds(sshd: Sshd, reach: Reach, job: str) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        await host.start(job, RUN, command("sleep 1000"), deadline=120)
        stream = host.stream(RUN, command("echo one; sleep 1000"), timeout=120)
        assert await anext(stream) == b"one\n"
        proxy.stall()
        began = time.monotonic()
        with pytest.raises(Unreachable, match="the connection broke"):
            await anext(stream)
        assert time.monotonic() - began < 20
        proxy.resume()
        assert (await host.cancel(job, grace=5)).state is JobState.CANCELLED


async def test_a_call_over_a_line_that_swallows_everything_ends_in_its_time(sshd: Sshd, reach: Reach) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        await host.facts()
        proxy.swallow()
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"no answer within 0.5 s"):
            await host.facts(timeout=0.5)
        assert time.monotonic() - began < 10


async def test_dropping_a_connection_hurts_nothing_else(sshd: Sshd, pools: list[Pool], reach: Reach) -> None:
    host = reach(server_of(sshd))
    await host.facts()
    await pools[0].drop("web1")
    await pools[0].drop("nobody")
    assert (await host.facts()).server == "web1"


@pytest.mark.parametrize("given", [True, False])
async def test_a_forwarded_socket_leads_to_the_server(
    sshd: Sshd, pools: list[Pool], tmp_path: Path, *, given: bool
) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    (folder / "stale.sock").touch()
    pool = Pool({"web1": server_of(sshd)}, sockets=folder if given else None)
    pools.append(pool)
    async with echoing_socket(sshd) as remote:
        local = await pool.forward("web1", remote)
        assert local == await pool.forward("web1", remote)
        assert local.parent.stat().st_mode & 0o777 == 0o700
        assert not (folder / "stale.sock").exists() or not given
        assert await asked(local) == b"hello\n"
        await pool.drop("web1")
        assert not local.exists()
        again = await pool.forward("web1", remote)
        assert again != local
        assert await asked(again) == b"hello\n"
        await pool.close()
    assert not again.exists()
    assert not again.parent.exists()


async def test_a_forwarded_socket_that_was_deleted_is_made_again(sshd: Sshd, pools: list[Pool]) -> None:
    pool = Pool({"web1": server_of(sshd)})
    pools.append(pool)
    async with echoing_socket(sshd) as remote:
        local = await pool.forward("web1", remote)
        local.unlink()
        assert await asked(await pool.forward("web1", remote)) == b"hello\n"


async def test_a_folder_with_a_path_too_long_for_sockets_is_not_used(
    sshd: Sshd, pools: list[Pool], tmp_path: Path
) -> None:
    given = tmp_path / ("x" * 100)
    killed, pool = (Pool({"web1": server_of(sshd)}, sockets=given) for _ in range(2))
    pools.extend((killed, pool))
    left = await killed.forward("web1", "/run/nothing.sock")
    again = await pool.forward("web1", "/run/nothing.sock")
    assert len(str(again)) < 60
    assert not left.parent.exists()
    await pool.close()
    assert not again.parent.exists()
    assert not given.is_symlink()


async def test_a_forwarded_socket_with_nothing_behind_it_closes(sshd: Sshd, pools: list[Pool]) -> None:
    pool = Pool({"web1": server_of(sshd)})
    pools.append(pool)
    assert await asked(await pool.forward("web1", "/run/nothing.sock")) == b""


async def test_a_small_exchange_over_a_forwarded_socket_is_quick(sshd: Sshd, pools: list[Pool]) -> None:
    pool = Pool({"web1": server_of(sshd)})
    pools.append(pool)
    async with echoing_socket(sshd) as remote:
        local = await pool.forward("web1", remote)
        times = [time.monotonic()]
        for _ in range(20):
            await asked(local)
            times.append(time.monotonic())
    quickest = min(end - begin for begin, end in itertools.pairwise(times))
    assert quickest < 0.04, "sshd's Nagle algorithm is still on"


async def test_closing_is_quick_also_with_a_server_that_hangs(sshd: Sshd, pools: list[Pool]) -> None:
    pool = Pool({"web1": server_of(sshd), "web2": server_of(sshd, "web2", connect_timeout=60.0)})
    pools.append(pool)
    await pool.connection("web1")
    sshd.pause()
    opening = asyncio.create_task(pool.connection("web2"))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await pool.close()
    assert time.monotonic() - began < 20
    with pytest.raises((Unreachable, asyncio.CancelledError)):
        await opening
    with pytest.raises(Unreachable, match="the bot is shutting down"):
        await pool.connection("web2")


async def test_a_name_that_bot_toml_does_not_have(pools: list[Pool]) -> None:
    pool = Pool({})
    pools.append(pool)
    with pytest.raises(KeyError):
        await pool.connection("web1")


async def asked(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"hello\n")
    try:
        return await asyncio.wait_for(reader.readline(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@asynccontextmanager
async def echoing_socket(sshd: Sshd) -> AsyncIterator[str]:
    """A Unix socket that the server's user sees, and that answers with what it hears."""
    path = sshd.home / "echo.sock"
    path.unlink(missing_ok=True)

    echoes: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        echoes.append(writer)
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with await asyncio.start_unix_server(echo, str(path)):
        path.chmod(0o777)
        yield str(path)
        for writer in echoes:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in echoes), return_exceptions=True)
