"""The audit in syslog, on real sockets: the local one, UDP and TCP."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from deploybot.domain import AuditRow
from deploybot.errors import Unreachable
from deploybot.reporting.audit_sinks.audit_syslog import LONGEST, SyslogSink, message
from deploybot.settings.address_values import SyslogAddress, syslog_target
from deploybot.store.database import Database
from tests.lab import free_port
from tests.reporting.audit_scene import assert_in_order, exporting, fill, numbers, reached, state_of, unix_listener
from tests.store.examples import eventually

HEAD = re.compile(
    rb"<86>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) deploybot (\d+) audit - (\{.*\})", re.DOTALL
)


def parsed(data: bytes) -> dict[str, Any]:
    """The row in a message, which has to be one of RFC 5424."""
    match = HEAD.fullmatch(data)
    assert match, data
    return dict(json.loads(match[4]))


def row(number: int, detail: str = "because", subject: str = "#1") -> AuditRow:
    return AuditRow(number, 1_800_000_000.25, "ann", "deploy", subject, detail, "0" * 64, f"{number:064x}")


def received(listener: socket.socket) -> list[dict[str, Any]]:
    found = []
    try:
        while True:
            found.append(parsed(listener.recv(1 << 16)))
    except BlockingIOError:
        return found


@dataclass
class TcpService:
    """A syslog service that counts octets (RFC 6587, 3.4.1)."""

    port: int = 0
    taken: list[dict[str, Any]] = field(default_factory=list)
    reads: bool = True
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[TcpService]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            for connection in self.connections:
                connection.close()
            server.close()
            await server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while True:
                size = int(await reader.readuntil(b" "))
                self.taken.append(parsed(await reader.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def test_the_local_socket_gets_each_row_as_rfc_5424(store: Database, tmp_path: Path) -> None:
    listener, sink = unix_listener(tmp_path / "log"), SyslogSink(f"unix://{tmp_path / 'log'}")
    async with exporting(store, {"syslog": sink}):
        rows = await fill(store, 5, detail="é \n “quoted”")
        await reached(store, sink, 5)
    with listener:
        assert [AuditRow(**one) for one in received(listener)] == [*rows]


async def test_a_service_that_restarts_gets_the_rest_and_none_is_lost(store: Database, tmp_path: Path) -> None:
    path = tmp_path / "log"
    listener, sink = unix_listener(path), SyslogSink(f"unix://{path}")
    async with exporting(store, {"syslog": sink}) as worker:
        await fill(store, 3)
        await reached(store, sink, 3)
        found = received(listener)
        listener.close()
        await fill(store, 3)
        await eventually(lambda: "connection refused" in worker.sights["syslog"].problem)
        path.unlink()
        await eventually(lambda: "no such file" in worker.sights["syslog"].problem)
        with unix_listener(path) as again:
            await reached(store, sink, 6)
            found += received(again)
    assert_in_order(numbers(found), 6)


async def test_a_local_service_that_reads_nothing_is_waited_for_and_loses_nothing(
    store: Database, tmp_path: Path
) -> None:
    """The kernel queues a few messages; after that nothing can be sent, and nothing blocks."""
    listener, sink = unix_listener(tmp_path / "log"), SyslogSink(f"unix://{tmp_path / 'log'}", within=0.2)
    found: list[dict[str, Any]] = []
    async with exporting(store, {"syslog": sink}) as worker:
        await fill(store, 400, detail="x" * 5000)
        await eventually(lambda: "no answer within" in worker.sights["syslog"].problem)
        assert (await state_of(store, sink)).number < 400
        async with asyncio.timeout(30):
            while (await state_of(store, sink)).number < 400:
                found += received(listener)
                await asyncio.sleep(0.01)
        found += received(listener)
    listener.close()
    assert_in_order(numbers(found), 400)


async def test_udp_gets_each_row(store: Database) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0)
        sink = SyslogSink(f"udp://127.0.0.1:{listener.getsockname()[1]}")
        async with exporting(store, {"syslog": sink}):
            await fill(store, 3, detail="x" * 4000)
            await reached(store, sink, 3)
        found = received(listener)
    assert numbers(found) == [1, 2, 3]
    assert found[0]["left_out"] == ["detail"]


async def test_tcp_gets_each_row_over_restarts_of_the_service(
    store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service = TcpService()
    async with service.serving():
        sink = SyslogSink(f"tcp://127.0.0.1:{service.port}")
        async with exporting(store, {"syslog": sink}) as worker:
            await fill(store, 100)
            await reached(store, sink, 100)
            await eventually(lambda: len(service.taken) == 100)
            for connection in service.connections:
                connection.close()
            await fill(store, 10)
            await reached(store, sink, 110)
            await eventually(lambda: numbers(service.taken)[-1] == 110)
            assert worker.sights["syslog"].problem == ""
    assert caplog.records == []  # a connection that was closed meanwhile is no failure
    assert_in_order(numbers(service.taken), 110)


async def test_a_tcp_service_that_is_down_and_comes_back_gets_everything(store: Database) -> None:
    service = TcpService(free_port())
    sink = SyslogSink(f"tcp://127.0.0.1:{service.port}")
    async with exporting(store, {"syslog": sink}) as worker:
        await fill(store, 10)
        await eventually(lambda: "connection refused" in worker.sights["syslog"].problem)
        async with service.serving():
            await reached(store, sink, 10)
            await eventually(lambda: len(service.taken) >= 10)
    assert_in_order(numbers(service.taken), 10)


async def test_rows_that_the_other_machine_does_not_take_have_not_left(store: Database) -> None:
    """It accepts the connection, and reads nothing: what is in the kernel's buffers here is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sink = SyslogSink(f"tcp://127.0.0.1:{listener.getsockname()[1]}", within=0.3)
        async with exporting(store, {"syslog": sink}) as worker:
            await fill(store, 64, detail="x" * 7000)
            await eventually(lambda: "no answer within" in worker.sights["syslog"].problem)
        assert (await state_of(store, sink)).number == 0


@pytest.mark.parametrize("kind", ["unix", "tcp", "udp"])
@pytest.mark.parametrize("text", ["x" * 20_000, "é" * 20_000, "\x00" * 20_000])
def test_a_row_that_is_too_long_for_syslog_loses_texts_and_keeps_its_hashes(kind: str, text: str) -> None:
    longest = LONGEST[kind]
    data = message(row(7, text, text), "host", longest)
    assert len(data) <= longest
    found = parsed(data)
    assert found["left_out"] == ["detail", "subject"]
    assert (found["number"], found["hash"], found["previous"]) == (7, row(7).hash, "0" * 64)
    assert (found["actor"], found["action"]) == ("ann", "deploy")


def test_a_row_with_a_time_that_is_none_has_the_nil_value() -> None:
    odd = AuditRow(1, float("inf"), "a", "b", "c", "d", "e", "f")
    assert message(odd, "host", 2048).startswith(b"<86>1 - host deploybot ")


async def test_check_says_whether_a_receiver_is_there_and_sends_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        await anext(aiter(SyslogSink(f"unix://{tmp_path / 'log'}").check()))
    assert "rsyslog" in caught.value.hint
    with pytest.raises(Unreachable, match="connection refused"):
        await anext(aiter(SyslogSink(f"tcp://127.0.0.1:{free_port()}").check()))
    with unix_listener(tmp_path / "log") as listener:
        (found,) = [one async for one in SyslogSink(f"unix://{tmp_path / 'log'}").check()]
        assert received(listener) == []
    assert found.fix == ""
    (found,) = [one async for one in SyslogSink("udp://127.0.0.1:9").check()]
    assert "UDP does not show" in found.text


async def test_a_name_that_leads_to_a_metadata_service_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 514))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(Unreachable, match="metadata address, which the bot never calls"):
        await anext(aiter(SyslogSink("tcp://logs.example.com:514").check()))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("local", ("unix", "/dev/log", 0)),
        ("unix:///run/log", ("unix", "/run/log", 0)),
        ("udp://logs.example.com", ("udp", "logs.example.com", 514)),
        ("tcp://[2001:db8::1]:6514", ("tcp", "2001:db8::1", 6514)),
        ("tcp://[2001:db8::1]", ("tcp", "2001:db8::1", 514)),
    ],
)
def test_addresses(text: str, target: tuple[str, str, int]) -> None:
    assert TypeAdapter(SyslogAddress).validate_python(text) == text
    assert syslog_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "remote", "/dev/log", "unix://log", "tls://logs:6514", "udp://", "udp://h:0", "tcp://169.254.169.254:514"],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SyslogAddress).validate_python(text)
