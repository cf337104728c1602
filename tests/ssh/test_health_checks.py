"""Health checks are made from the server: what they report, and which addresses they do not call."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.errors import Unreachable
from deploybot.ssh import http_over_ssh
from deploybot.ssh.http_over_ssh import TlsContext
from tests.conftest import MakeSshd
from tests.lab import Lab, Sshd
from tests.ssh.conftest import Reach, server_of, until
from tests.ssh.tls import make_tls


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
    monkeypatch.delenv("SSL_CERT_FILE")
    assert await host.http_status("https://127.0.0.1:8443/", timeout=10) == (200, "hello over TLS"), (
        "CAs are kept for an hour"
    )
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


async def test_the_cas_are_read_once_for_many_checks_and_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading them keeps the event loop waiting, and a watch asks ten times in a look."""
    made: list[ssl.SSLContext] = []
    now = [0.0]

    def make() -> ssl.SSLContext:
        made.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", make)
    tls = TlsContext(lambda: now[0])
    found = await asyncio.gather(*(tls.get() for _ in range(10)))
    assert (len(made), {id(one) for one in found}) == (1, {id(made[0])})
    now[0] = 3601.0
    assert await tls.get() is made[1]
    tls.forget()
    assert await tls.get() is made[2]


class _Writer:
    """What `get` needs of a channel of SSH, on a local socket."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.channel = writer.transport
        self.write, self.drain, self.write_eof = writer.write, writer.drain, writer.write_eof


async def test_a_ca_that_was_added_counts_at_the_next_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_tls(tmp_path / "tls", identified=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD + b"hello")
            await writer.drain()
        writer.close()

    async def open_(host: str, port: int) -> tuple[asyncio.StreamReader, _Writer]:
        reader, writer = await asyncio.open_connection(host, port)
        return reader, _Writer(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url, tls = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", TlsContext()
        await tls.get()  # another check was made before
        with pytest.raises(Unreachable, match="its certificate is not trusted: "):
            await http_over_ssh.get(url, open_, timeout=10, tls=tls)  # type: ignore[arg-type]  # it is no channel of SSH
        await tls.get()
        monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
        assert await http_over_ssh.get(url, open_, timeout=10, tls=tls) == (200, "hello")  # type: ignore[arg-type]
