"""A temporary bot, with a real server and real processes: what is begun ends, whatever becomes of the client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import RESTART, FilesShop, served
from tests.e2e.test_approvals import guarded, process, type_in

WITHIN = 60
_BUILD = """\
echo begun
read -r line <"$HOME/gate"
mkdir -p www; cp index.html www; cp index.html www/healthz
"""


@dataclass(slots=True)
class Gate:
    """A build that waits for the test: `begun` returns when it runs, `opened` lets it end."""

    path: Path
    _file: int = -1

    async def begun(self) -> None:
        """Return once the build reads from the pipe."""
        async with asyncio.timeout(WITHIN):
            self._file = await asyncio.to_thread(os.open, self.path, os.O_WRONLY)

    def open(self) -> None:
        """Let the build end."""
        os.write(self._file, b"go\n")
        os.close(self._file)


@dataclass(slots=True)
class GatedShop:
    """The shop with a release v6 whose build waits at the gate; ana may deploy it."""

    shop: FilesShop
    gate: Gate

    @property
    def path(self) -> Path:
        """Its bot.toml."""
        return self.shop.path

    @property
    def data(self) -> Path:
        """The bot's data folder."""
        return self.path.parent / "data"

    @property
    def log(self) -> str:
        """The log of the temporary bot."""
        return (self.data / "temporary.log").read_text()

    async def start(self, line: str) -> asyncio.subprocess.Process:
        """A console client, in a process group of its own as a terminal has it."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploybot", "--config", str(self.path), "chat", "-c", line),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def bot(self) -> int:
        """A descriptor of the temporary bot's process."""
        number, kind = (self.data / "deploybot.lock").read_text().split()
        assert kind == "temporary"
        return os.pidfd_open(int(number))


@pytest.fixture
async def gated(files_shop: FilesShop) -> GatedShop:
    home = files_shop.servers[0].home
    gate = Path(home) / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    files_shop.repo.commit({"index.html": "v6\n", "restart": RESTART, "build": _BUILD}, "Release v6")
    files_shop.repo.tag("v6")
    assert (await type_in(files_shop.path, "allow", "ana", "admin"))[0] == 0
    return GatedShop(files_shop, Gate(gate))


@contextlib.contextmanager
def ending(descriptor: int) -> Iterator[None]:
    """After the block, wait for the end of a process."""
    try:
        yield
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(WITHIN * 1000), "the temporary bot is still there"
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)


async def end(client: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(WITHIN):
        _, said = await client.communicate()
    return client.returncode, said.decode()


async def begin(gated: GatedShop) -> tuple[asyncio.subprocess.Process, int]:
    """A client that has shown its deployment, which is in mid-build; and the temporary bot."""
    client = await gated.start("deploy shop@v6 to live")
    await gated.gate.begun()
    assert client.stdout is not None
    async with asyncio.timeout(WITHIN):
        while b"#1" not in (line := await client.stdout.readline()):
            assert line, "the client ended"
    return client, gated.bot()


async def test_after_ctrl_c_the_deployment_goes_on_to_its_end(gated: GatedShop) -> None:
    client, bot = await begin(gated)
    with ending(bot):
        os.killpg(client.pid, signal.SIGINT)
        code, said = await end(client)
        assert code == 3
        assert said.splitlines()[1:] == [
            (
                "#1 continues in the background: a temporary bot follows it until it ends. "
                "See it with: deploybot chat -c 'status'"
            )
        ]
        # The second client finds the same bot, and its own end changes nothing.
        code, said = await type_in(gated.path, "chat", "-c", "history shop")
        assert (code, "No bot is running" in said) == (0, False), said
        assert "running" in said
        gated.gate.open()
    assert served(gated.shop.servers[0].address) == "v6"
    assert "#1 started: deploy v6" in gated.log
    assert "#1 ended: succeeded after" in gated.log
    assert "requested by ana" in gated.log
    code, said = await type_in(gated.path, "chat", "-c", "history shop")
    assert (code, "goes on" in said) == (0, False), said


@pytest.fixture
def terminals_hang_up() -> Iterator[None]:
    """Children die of SIGHUP as usual, also where the tests were started by nohup, which hands on to ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminals_hang_up")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
async def test_a_closed_terminal_or_a_killed_client_leaves_it_alone(gated: GatedShop, number: signal.Signals) -> None:
    client, bot = await begin(gated)
    with ending(bot):
        os.killpg(client.pid, number)
        await end(client)
        gated.gate.open()
    assert served(gated.shop.servers[0].address) == "v6"


async def test_a_reading_command_takes_up_what_a_killed_bot_has_left(gated: GatedShop) -> None:
    client, bot = await begin(gated)
    os.killpg(client.pid, signal.SIGKILL)
    with ending(bot):
        signal.pidfd_send_signal(bot, signal.SIGKILL)
    await end(client)
    code, said = await type_in(gated.path, "chat", "-c", "status")
    assert code == 0
    assert "#1 continues in the background" in said
    with ending(gated.bot()):
        gated.gate.open()
    assert served(gated.shop.servers[0].address) == "v6"
    assert "#1 resumed: deploy v6" in gated.log


async def test_without_waiting_the_client_leaves_at_once(gated: GatedShop) -> None:
    code, said = await type_in(gated.path, "chat", "--no-wait", "-c", "deploy shop@v6 to live")
    assert code == 0
    assert "#1 continues in the background" in said
    with ending(gated.bot()):
        await gated.gate.begun()
        gated.gate.open()
    assert served(gated.shop.servers[0].address) == "v6"


async def test_a_bot_that_stays_takes_over(gated: GatedShop) -> None:
    client, bot = await begin(gated)
    with ending(bot):
        os.killpg(client.pid, signal.SIGINT)
        await end(client)
        async with process(gated.path) as other:
            number = (gated.data / "deploybot.lock").read_text().split()
            assert number == [str(other.pid)]
            watching = await gated.start("deploy shop@v1 to live")
            gated.gate.open()
            assert (await end(watching))[0] == 0
            code, said = await type_in(gated.path, "chat", "-c", "history shop")
            assert (code, said.count("succeeded")) == (0, 2), said
    assert served(gated.shop.servers[0].address) == "v1"


async def test_what_waits_for_approvals_keeps_no_bot(gated: GatedShop) -> None:
    path = guarded(gated.shop)
    code, said = await type_in(path, "chat", "--no-wait", "-c", "deploy shop@v1 to live")
    assert code == 0
    assert "#1 waits in the database and continues when a bot runs again: deploybot run" in said
    async with process(path):
        code, said = await type_in(path, "chat", "-c", "history shop")
    assert (code, "waiting" in said) == (0, True), said
