"""The real bot with `[audit]`: its rows leave by file, syslog and HTTPS, and convict a rewritten database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from deploybot.chat.console.child_bot import READY_FD
from tests.lab import free_port
from tests.reporting.audit_scene import assert_in_order, numbers, rows_in, unguarded, unix_listener
from tests.reporting.doubles import SECRET, Receiver
from tests.reporting.test_audit_syslog import received
from tests.ssh.tls import make_tls
from tests.store.examples import eventually

TOKEN = "metrics-token-0123456789"
CONFIG = """
[bot]
data = "{folder}/data"
[http]
listen = "127.0.0.1:{port}"
token = {{ env = "HTTP_TOKEN" }}
[audit]
file = "{folder}/out/audit.jsonl"
syslog = "unix://{folder}/log"
call = {{ url = "{url}/hook", secret = {{ env = "AUDIT_SECRET" }} }}
"""


@dataclass
class AuditingBot:
    """A folder with bot.toml, and the programs that run there."""

    folder: Path
    url: str
    port: int = field(default_factory=free_port)
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "out").mkdir()
        (self.folder / "bot.toml").write_text(CONFIG.format(folder=self.folder, port=self.port, url=self.url))
        self.env |= {**os.environ, "HTTP_TOKEN": TOKEN, "AUDIT_SECRET": SECRET}

    @property
    def file(self) -> Path:
        return self.folder / "out" / "audit.jsonl"

    async def run(self, *arguments: str) -> tuple[int, str]:
        """A command to its end: exit code and output."""
        process = await self._start(*arguments, env=self.env)
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def _start(
        self, *arguments: str, env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploybot", "--config", str(self.folder / "bot.toml"), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
            pass_fds=pass_fds,
        )

    @asynccontextmanager
    async def bot(self, end: signal.Signals) -> AsyncIterator[asyncio.subprocess.Process]:
        """The bot, ready; ended by a signal."""
        ready, child = os.pipe()
        process = await self._start("run", env={**self.env, READY_FD: str(child)}, pass_fds=(child,))
        os.close(child)
        try:
            with os.fdopen(ready, "rb", buffering=0) as pipe:
                assert await asyncio.wait_for(asyncio.to_thread(pipe.readline), 30) == b"ready\n"
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(end)
            await asyncio.wait_for(process.communicate(), 30)

    async def get(self, path: str) -> str:
        opened = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}", headers=opened) as got,
        ):
            return await got.text()


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    """It has a certificate of its own authority."""
    tls, made = make_tls(tmp_path / "tls", identified=True), Receiver()
    made.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.tls.load_cert_chain(tls.cert, tls.key)
    await made.start()
    yield made
    await made.stop()
    assert made.breaches == []


def _rows(receiver: Receiver) -> list[dict[str, Any]]:
    return [body["data"] for _, body in receiver.taken]  # type: ignore[misc]


def _has(found: Callable[[], list[dict[str, Any]]], count: int) -> Callable[[], bool]:
    return lambda: bool(found()) and max(numbers(found())) >= count


async def _all_fail(auditing: AuditingBot) -> dict[str, Any]:
    """The health, once no sink works."""
    async with asyncio.timeout(20):
        while True:
            health: dict[str, Any] = json.loads(await auditing.get("/healthz"))
            if not any(sink["ok"] for sink in health["audit"].values()):
                return health
            await asyncio.sleep(0.1)


def _forge(path: Path) -> None:
    with unguarded(path) as database:
        database.execute("UPDATE audit SET subject = 'nobody' WHERE number = 1")


async def test_rows_leave_a_real_bot_by_every_way_over_a_kill_and_convict_a_rewritten_database(
    tmp_path: Path, receiver: Receiver
) -> None:
    assert receiver.url.startswith("https://")
    auditing = AuditingBot(tmp_path, receiver.url, env={"SSL_CERT_FILE": str(tmp_path / "tls" / "ca.pem")})
    auditing.env["SSL_CERT_FILE"] = str(tmp_path / "tls" / "ca.pem")
    listener, syslog = unix_listener(tmp_path / "log"), list[dict[str, Any]]()
    async with auditing.bot(signal.SIGKILL):
        for number, name in enumerate(("ana", "ben"), 1):
            assert (await auditing.run("allow", name, "admin", "--identity", f"console:{number}"))[0] == 0
        await eventually(_has(lambda: _rows(receiver), 2))
        await eventually(_has(lambda: rows_in(auditing.file) if auditing.file.exists() else [], 2))
        # Nobody tells the bot of a row that another program adds: this one is there when it is killed.
        assert (await auditing.run("allow", "cleo", "admin", "--identity", "console:3"))[0] == 0
    async with auditing.bot(signal.SIGTERM):
        await eventually(_has(lambda: _rows(receiver), 3))
        await eventually(_has(lambda: rows_in(auditing.file), 3))
        health, metrics = json.loads(await auditing.get("/healthz")), await auditing.get("/metrics")
    syslog += received(listener)
    listener.close()
    assert health["status"] == "ok"
    assert health["audit"] == {kind: {"ok": True, "waiting": 0} for kind in ("file", "syslog", "call")}
    assert 'deploybot_audit_sink_up{sink="call"} 1' in metrics
    code, exported = await auditing.run("audit", "export")
    rows = [json.loads(line) for line in exported.splitlines()]
    assert (code, len(rows)) == (0, 3)
    for found in (rows_in(auditing.file), _rows(receiver), syslog):
        assert_in_order(numbers(found), 3)
        assert all(row == rows[row["number"] - 1] for row in found)
    code, said = await auditing.run("audit", "verify", "--against", str(auditing.file))
    assert (code, "3 of 3 rows of the database are unchanged in" in said) == (0, True)
    await asyncio.to_thread(_forge, tmp_path / "data" / "deploybot.db")
    code, said = await auditing.run("audit", "verify", "--against", str(auditing.file))
    assert code == 1
    assert "was changed: subject was “ana”, is “nobody”" in said


async def test_a_sink_that_cannot_be_written_degrades_the_bot_and_stops_no_command(
    tmp_path: Path, receiver: Receiver
) -> None:
    """No folder for the file, no syslog, and a certificate that nobody vouches for."""
    auditing = AuditingBot(tmp_path, receiver.url)
    await asyncio.to_thread(shutil.rmtree, auditing.folder / "out")
    async with auditing.bot(signal.SIGTERM) as process:
        assert (await auditing.run("allow", "ana", "admin", "--identity", f"console:{os.getuid()}"))[0] == 0
        assert (await auditing.run("chat", "-c", "whoami"))[0] == 0
        health = await _all_fail(auditing)
        assert process.returncode is None
    assert health["status"] == "degraded"
    assert "no such file or directory" in health["audit"]["file"]["problem"]
    assert "Create its folder" in health["audit"]["file"]["fix"]
    assert "its certificate is not trusted" in health["audit"]["call"]["problem"]
    assert health["audit"]["syslog"]["waiting"] >= 1
