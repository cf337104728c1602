"""The whole port `Host` on real servers, with dash and with busybox alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from deploybot.domain import JobState
from deploybot.errors import StepFailed, Unreachable
from deploybot.ports import Host, Servers
from deploybot.server_pool import SshServers
from deploybot.ssh import ssh_upload
from deploybot.ssh.ssh_host import SshHost
from deploybot.ssh.ssh_pool import Pool
from deploybot.testing import FakeEngine
from tests.conftest import MakeSshd
from tests.hosts_contract import PRINTED, HostContract, Task, Work
from tests.lab import Access, Lab, Proxy, Sshd
from tests.ssh.conftest import RUN, Reach, command, finished, nothing_runs, server_of, through, until, words
from tests.ssh.shim import lie, shimmed
from tests.ssh.tls import make_tls


@pytest.fixture(scope="module")
def bash_server(lab: Lab) -> Sshd:
    """A server whose `sh` is bash, as Red Hat has it."""
    folder = lab.directory / "bash-as-sh"
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/bash")
    return lab.sshd("redhat", access=Access(path=f"{folder}:/usr/bin:/bin"))


@pytest.fixture(params=["sshd", "busybox_server"])
def server(request: pytest.FixtureRequest) -> Sshd:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Sshd)
    return found


@pytest.fixture
def host(server: Sshd, reach: Reach) -> SshHost:
    return reach(server_of(server))


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


CONTENT = os.urandom(3_000_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty"
    path.touch()
    return path


async def test_a_file_arrives_whole_and_with_the_directories_above_it(
    server: Sshd, host: SshHost, source: Path, empty: Path
) -> None:
    base = (await host.facts()).home
    await host.upload(source, f"{base}/a dir/it's/bundle")
    placed = server.home / "a dir/it's/bundle"
    assert placed.read_bytes() == CONTENT
    assert placed.parent.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in placed.parent.iterdir()] == ["bundle"]
    await host.upload(empty, f"{base}/a dir/it's/bundle")
    assert placed.read_bytes() == b""


async def test_a_file_that_is_there_is_not_sent_again(sshd: Sshd, reach: Reach, source: Path) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        await host.upload(source, f"{sshd.home}/once")
        sent = proxy.sent
        await host.upload(source, f"{sshd.home}/once")
        assert proxy.sent - sent < 20_000


async def test_a_file_that_cannot_be_placed_is_reported_in_the_servers_words(
    server: Sshd, host: SshHost, source: Path
) -> None:
    home = (await host.facts()).home
    (server.home / "file").touch()
    for target, reasons in ((f"{home}/file/below", "Not a directory|File exists"), ("/proc/x/y", "No such file")):
        with pytest.raises(StepFailed) as caught:
            await host.upload(source, target)
        assert caught.value.server == "web1"
        assert any(word in caught.value.tail[0] for word in reasons.split("|")), caught.value.tail


async def test_a_full_disk_is_reported_and_the_old_file_stays(
    lab: Lab, make_sshd: MakeSshd, reach: Reach, source: Path
) -> None:
    server = make_sshd()
    disk = lab.full_disk(sshd=server)
    target = disk.outside / "bundle"
    target.write_bytes(b"old")
    with pytest.raises(StepFailed) as caught:
        await reach(server_of(server)).upload(source, str(disk.path / "bundle"))
    assert "No space left on device" in caught.value.tail[0]
    assert "KiB are free there" in caught.value.tail[-1]
    assert [path.name for path in disk.outside.iterdir()] == ["bundle"]
    assert target.read_bytes() == b"old"


async def test_an_upload_that_is_cut_leaves_the_old_file(sshd: Sshd, reach: Reach, source: Path) -> None:
    (sshd.home / "kept").write_bytes(b"old")
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        await host.facts()
        proxy.cut_after(1_000_000)
        with pytest.raises(Unreachable, match="the connection broke"):
            await host.upload(source, f"{sshd.home}/kept")
        await until(lambda: not list(sshd.home.glob("kept.part-*")))
        assert (sshd.home / "kept").read_bytes() == b"old"
        await host.upload(source, f"{sshd.home}/kept")
    assert (sshd.home / "kept").read_bytes() == CONTENT


async def test_an_upload_whose_answer_is_lost_ends_long_before_its_deadline(
    make_sshd: MakeSshd, reach: Reach, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = shimmed(make_sshd, call="exec cat >/dev/null")
    host = reach(server_of(server))
    await host.facts()
    monkeypatch.setattr(ssh_upload, "ANSWER_WITHIN", 0.3)
    with pytest.raises(Unreachable, match=r"did not answer to an upload within 0\.3 s"):
        await asyncio.wait_for(host.upload(source, f"{server.home}/lost"), timeout=30)
    lie(server)
    monkeypatch.undo()
    await host.upload(source, f"{server.home}/lost")
    assert (server.home / "lost").read_bytes() == CONTENT


async def test_an_upload_that_the_server_no_longer_reads_ends_long_before_its_deadline(
    make_sshd: MakeSshd, reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(20_000_000))
    server = shimmed(make_sshd, call="echo send; exec tail -f /dev/null")
    host = reach(server_of(server))
    await host.facts()
    monkeypatch.setattr(ssh_upload, "STALLED_AFTER", 0.3)
    with pytest.raises(Unreachable, match=r"took nothing of an upload for 0\.3 s"):
        await asyncio.wait_for(host.upload(big, f"{server.home}/lost"), timeout=30)


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


@asynccontextmanager
async def answering(
    lab: Lab, *pieces: bytes, hold: bool = False, received: list[bytes] | None = None
) -> AsyncIterator[str]:
    """Something on the laboratory's machine that answers whatever it hears with these pieces; its address."""
    tasks = set[asyncio.Task[None]]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task() or asyncio.create_task(asyncio.sleep(0)))
        try:
            (received if received is not None else []).append(await reader.read(65_536))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
            if hold:
                await reader.read()
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()

    async with await asyncio.start_server(answer, lab.gateway, 0) as server:
        yield f"{lab.gateway}:{server.sockets[0].getsockname()[1]}"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((HEAD + b"hello",), (200, "hello")),
        ((b"HTTP/1.1 2", b"00 OK\r\nContent-Le", b"ngth: 5\r\n\r", b"\nhel", b"lo"), (200, "hello")),
        ((b"HTTP/1.0 503 Service Unavailable\r\n\r\nnot yet",), (503, "not yet")),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"hello",), (200, "hello")),
        ((b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",), (302, "")),
        ((b"HTTP/1.1 204 \r\n\r\n",), (204, "")),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"),
            (200, "hello"),
        ),
        ((b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000,), (200, "x" * 200)),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 20 + b"\r\n\r\nhello",), (200, "hello")),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello, you",), (200, "")),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\xc3\xa9",), (200, "\ufffd\ufffd\xe9")),
    ],
)
async def test_a_health_check_by_http(
    lab: Lab, sshd: Sshd, reach: Reach, pieces: tuple[bytes, ...], expected: tuple[int, str]
) -> None:
    received: list[bytes] = []
    async with answering(lab, *pieces, received=received) as at:
        assert await reach(server_of(sshd)).http_status(f"http://{at}/healthz?a=b", timeout=10) == expected
    lines = received[0].split(b"\r\n")
    assert lines[:2] == [b"GET /healthz?a=b HTTP/1.1", b"Host: " + at.encode()]
    assert len(received) == 1


async def test_a_body_that_does_not_end_is_no_reason_to_doubt_the_status(lab: Lab, sshd: Sshd, reach: Reach) -> None:
    async with answering(lab, HEAD + b"he", hold=True) as at:
        began = time.monotonic()
        assert await reach(server_of(sshd)).http_status(f"http://{at}/", timeout=10) == (200, "he")
        assert time.monotonic() - began < 9


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 100_000, b""])
async def test_what_does_not_speak_http(lab: Lab, sshd: Sshd, reach: Reach, answer: bytes) -> None:
    async with answering(lab, answer) as at:
        url = f"http://{at}/"
        with pytest.raises(Unreachable) as caught:
            await reach(server_of(sshd)).http_status(url, timeout=10)
    assert caught.value.what == url
    assert caught.value.why in {"it does not speak HTTP", "the connection was closed without an answer"}


async def test_nothing_behind_a_health_check(lab: Lab, sshd: Sshd, reach: Reach) -> None:
    host = reach(server_of(sshd))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 on web1 cannot be reached: Connection refused"):
        await host.http_status("http://127.0.0.1:9/", timeout=10)
    async with answering(lab, hold=True) as at:
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"no answer within 0\.5 s"):
            await host.http_status(f"http://{at}/", timeout=0.5)
        assert time.monotonic() - began < 20


async def test_a_health_check_by_https(
    sshd: Sshd, reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = make_tls(tmp_path / "tls")
    server = sshd.box.serve(sys.executable, "-c", _HTTPS, tls.cert, tls.key, log=tmp_path / "log")
    host = reach(server_of(sshd))
    for _ in range(200):
        with contextlib.suppress(Unreachable):
            await host.tcp_open("127.0.0.1", 8443, timeout=5)
            break
        await asyncio.sleep(0.05)
    with pytest.raises(Unreachable, match="its certificate is not trusted: "):
        await host.http_status("https://127.0.0.1:8443/", timeout=10)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.ca))
    assert await host.http_status("https://127.0.0.1:8443/", timeout=10) == (200, "hello over TLS")
    server.stop()


_HTTPS = """
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello over TLS")
server = http.server.HTTPServer(("127.0.0.1", 8443), Handler)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


async def test_what_does_not_speak_tls(lab: Lab, sshd: Sshd, reach: Reach) -> None:
    async with answering(lab, HEAD + b"hello") as at:
        with pytest.raises(Unreachable, match="TLS failed: "):
            await reach(server_of(sshd)).http_status(f"https://{at}/", timeout=10)


async def test_a_port(sshd: Sshd, reach: Reach) -> None:
    host = reach(server_of(sshd))
    await host.tcp_open(sshd.address, 22, timeout=5)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 on web1 cannot be reached: Connection refused"):
        await host.tcp_open("127.0.0.1", 9, timeout=5)


@pytest.fixture(params=["debian", "busybox"])
def named(request: pytest.FixtureRequest, make_sshd: MakeSshd, tmp_path: Path) -> Callable[[str], Sshd]:
    """Return a function that gives a server whose names are looked up in this text."""

    def make(hosts: str) -> Sshd:
        if request.param == "busybox":
            server: Sshd = request.getfixturevalue("busybox_server")
            (server.box.directory / "root/etc/hosts").write_text(hosts)
            return server
        (tmp_path / "hosts").write_text(hosts)
        server = make_sshd()
        server.box.run("mount", "--bind", tmp_path / "hosts", "/etc/hosts")
        return server

    return make


async def test_a_health_check_by_name_asks_what_the_server_finds(
    lab: Lab, named: Callable[[str], Sshd], reach: Reach
) -> None:
    received: list[bytes] = []
    # Nothing answers at the first address of the second name.
    host = reach(server_of(named(f"# shop.lan is\n{lab.gateway} shop.lan # both\n127.0.0.1 two\n{lab.gateway} two\n")))
    async with answering(lab, HEAD + b"hello", received=received) as at:
        port = at.rpartition(":")[2]
        assert await host.http_status(f"http://shop.lan:{port}/", timeout=10) == (200, "hello")
        await host.tcp_open("two", int(port), timeout=10)
        with pytest.raises(Unreachable, match="both on web1 cannot be reached: the name is unknown there"):
            await host.http_status(f"http://both:{port}/", timeout=10)
    assert received[0].split(b"\r\n")[1] == f"Host: shop.lan:{port}".encode()


async def test_localhost_needs_nobody_who_knows_it(named: Callable[[str], Sshd], reach: Reach) -> None:
    host = reach(server_of(named("")))
    with pytest.raises(Unreachable, match=r"::1\]?:9 on web1 cannot be reached: Connection refused"):
        await host.tcp_open("localhost", 9, timeout=10)


_SECRETS = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"keys of the machine")
http.server.HTTPServer(("169.254.169.254", 80), Handler).serve_forever()
"""


async def test_a_name_that_leads_to_a_metadata_service_is_not_asked(
    named: Callable[[str], Sshd], reach: Reach, tmp_path: Path
) -> None:
    server = named("127.0.0.1 sly\n169.254.169.254 sly\n::ffff:169.254.169.254 mapped\n")
    server.box.run("ip", "addr", "add", "169.254.169.254/32", "dev", "lo")
    service = server.box.serve(sys.executable, "-c", _SECRETS, log=tmp_path / "log")
    host = reach(server_of(server))
    try:
        for name in ("sly", "mapped"):
            with pytest.raises(Unreachable, match=r"it resolves to .*169\.254\.169\.254, a link-local or metadata"):
                await host.http_status(f"http://{name}/latest/meta-data/", timeout=10)
            with pytest.raises(Unreachable, match=r"it resolves to .*169\.254\.169\.254, a link-local or metadata"):
                await host.tcp_open(name, 80, timeout=10)
        for address in ("169.254.169.254", "[::ffff:a9fe:a9fe]"):
            with pytest.raises(Unreachable, match="a link-local or metadata address, which the bot never calls"):
                await host.http_status(f"http://{address}/", timeout=10)
    finally:
        service.stop()
        server.box.run("ip", "addr", "del", "169.254.169.254/32", "dev", "lo")


_DNS = """
import socket, sys
first, then, names = sys.argv[1], sys.argv[2], set()
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.bind(("127.0.0.1", 53))
while True:
    data, who = door.recvfrom(512)
    end = data.index(0, 12)
    question, name, kind = data[12:end + 5], data[12:end], data[end + 2]
    answer = b""
    if kind == 1:
        address = socket.inet_aton(then if name in names else first)
        names.add(name)
        answer = bytes((192, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)) + address
    door.sendto(data[:2] + bytes((129, 128, 0, 1, 0, len(answer) and 1, 0, 0, 0, 0)) + question + answer, who)
"""


async def test_a_name_that_changes_leads_to_the_address_that_was_looked_at(
    lab: Lab, named: Callable[[str], Sshd], reach: Reach, tmp_path: Path
) -> None:
    server = named("")
    service = server.box.serve(sys.executable, "-c", _DNS, lab.gateway, "169.254.169.254", log=tmp_path / "log")
    host = reach(server_of(server))
    try:
        await until(lambda: "127.0.0.1:53 " in server.box.run("ss", "-lunH"))
        async with answering(lab, HEAD + b"hello") as at:
            url = f"http://shop.example:{at.rpartition(':')[2]}/"
            assert await host.http_status(url, timeout=10) == (200, "hello")
            with pytest.raises(Unreachable, match=r"it resolves to 169\.254\.169\.254, a link-local or metadata"):
                await host.http_status(url, timeout=10)
    finally:
        service.stop()


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
