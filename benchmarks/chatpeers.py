"""Errbot and opsdroid in their simplest mode: each in a virtual environment of its own, with pinned releases.

Both do nothing here but answer one word: no database of theirs, no rights, no audit, no chat platform.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.lab import LabError

ROUNDS = 11
PEERS = {
    "errbot": ("errbot==6.2.1",),
    # It asks for pkg_resources, which newer releases of setuptools do not have.
    "opsdroid": ("opsdroid==0.31.0", "setuptools==80.9.0"),
}
_INSTALLED_WITHIN = 600.0
_ANSWERS_WITHIN = 30.0
_REST = 1.0
"""Seconds that a peer has to settle after its start: its first answers and its memory are not compared."""
_KIBIBYTE = 1024
_ENVIRONMENTS = Path("build/peers")

_ERRBOT = """\
import logging
BACKEND = "Text"
BOT_DATA_DIR = "{folder}"
BOT_EXTRA_PLUGIN_DIR = None
BOT_LOG_FILE = "{folder}/log"
BOT_LOG_LEVEL = logging.ERROR
BOT_ADMINS = ("@CHANGE_ME",)
CORE_PLUGINS = ("Utils",)
"""
_OPSDROID = """\
logging:
  level: error
  console: true
welcome-message: false
web:
  host: 127.0.0.1
  port: {port}
connectors:
  websocket:
    bot-name: bench
skills:
  hello:
    path: {folder}/hello.py
"""
_SKILL = """\
from opsdroid.matchers import match_regex
from opsdroid.skill import Skill


class Hello(Skill):
    @match_regex("hello")
    async def hello(self, message):
        await message.respond("hello")
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """What was measured of one: seconds to an answer, and bytes of resident memory at rest."""

    name: str
    answer: float
    resident: int


def measured(folder: Path) -> list[Peer]:
    """Both, one after the other. LabError where one cannot be installed or does not answer."""
    folder.mkdir()
    return [_errbot(folder), asyncio.run(_opsdroid(folder))]


def _environment(name: str) -> Path:
    """A peer's virtual environment, made where it is not there yet; the folder of its programs."""
    where = (_ENVIRONMENTS / name).resolve()
    mark = where / "installed"
    wanted = "\n".join(PEERS[name])
    if not mark.exists() or mark.read_text() != wanted:
        _run(sys.executable, "-m", "venv", "--clear", str(where))
        _run(str(where / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PEERS[name])
        mark.write_text(wanted)
    return where / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALLED_WITHIN, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")


def _errbot(folder: Path) -> Peer:
    """Its text backend: a line to stdin, and what it prints."""
    config = folder / "config.py"
    config.write_text(_ERRBOT.format(folder=folder))
    process = subprocess.Popen(
        (str(_environment("errbot") / "errbot"), "--text", "--config", str(config)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    )
    try:
        _read_until(process, b">>> ")
        # errbot continues to start behind its prompt, and sends no event when it is ready.
        time.sleep(_REST)
        times = [_echoed(process) for _ in range(ROUNDS)]
        return Peer("errbot, text", statistics.median(times), _resident(process.pid))
    finally:
        process.kill()
        process.communicate()


def _echoed(process: subprocess.Popen[bytes]) -> float:
    """The seconds to the answer; it takes the next line half a second later, which does not count."""
    assert process.stdin is not None  # noqa: S101  it was asked for
    began = time.perf_counter()
    process.stdin.write(b"!echo hello\n")
    _read_until(process, b"hello")
    took = time.perf_counter() - began
    _read_until(process, b">>> ")
    return took


def _read_until(process: subprocess.Popen[bytes], wanted: bytes) -> None:
    """Read what it prints until that is among it."""
    assert process.stdout is not None  # noqa: S101  it was asked for
    seen = b""
    while wanted not in seen:
        chunk = process.stdout.read(65_536)
        if not chunk:
            raise LabError(f"the peer ended: {seen.decode(errors='replace')[-2000:]}")
        seen += chunk


async def _opsdroid(folder: Path) -> Peer:
    """Its websocket connector, with one skill of one line."""
    port = free_port()
    config = folder / "configuration.yaml"
    config.write_text(_OPSDROID.format(port=port, folder=folder))
    (folder / "hello.py").write_text(_SKILL)
    process = await asyncio.create_subprocess_exec(
        *(str(_environment("opsdroid") / "opsdroid"), "start", "-f", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, asyncio.timeout(_ANSWERS_WITHIN):
            address = f"/connector/websocket/{await _opened(session)}"
            async with session.ws_connect(address) as link:
                times = []
                for _ in range(ROUNDS):
                    began = time.perf_counter()
                    await link.send_str("hello")
                    await link.receive_str()
                    times.append(time.perf_counter() - began)
            await asyncio.sleep(_REST)
            return Peer("opsdroid, websocket", statistics.median(times), _resident(process.pid))
    finally:
        process.kill()
        await process.wait()


async def _opened(session: aiohttp.ClientSession) -> str:
    """The name of a new socket, once it serves them."""
    while True:
        try:
            async with session.post("/connector/websocket") as answer:
                return str(json.loads(await answer.text())["socket"])
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * _KIBIBYTE if found else 0
