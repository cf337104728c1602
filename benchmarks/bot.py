"""The real bot as a process: `deploybot run`, how long it takes to be ready, and the memory it has."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from benchmarks.console import Console
from deploybot.chat.console.child_bot import READY_FD
from deploybot.chat.console.console_protocol import SOCKET
from tests.lab import LabError, until
from tests.lab.run import run

_READY_WITHIN = 30.0
_STOP_WITHIN = 15.0
_KIBIBYTE = 1024
_FORGET_PEAK = "5"
"""What `clear_refs` takes to begin the peak of the resident memory anew (proc(5))."""

AS_A_SERVICE = {"PYTHONNODEBUGRANGES": "1"}
"""What docs/deploybot.service and the image set."""


class Bot:
    """A bot with its own folder: bot.toml, data, log. A context manager that starts and stops it."""

    def __init__(self, folder: Path, servers_and_apps: str, program: str = "deploybot") -> None:
        """Write bot.toml, and make the person who types an administrator; `program` is the module that runs."""
        self.folder = folder
        self._program = program
        self._config = folder / "bot.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_after = 0.0
        folder.mkdir(parents=True)
        self._config.write_text(f'[bot]\ndata = "{folder}/data"\n\n{servers_and_apps}')
        run(*self._command("allow", "ana", "admin"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when it says that it is ready; `ready_after` is how many seconds that took."""
        ready, ready_child = os.pipe()
        with (self.folder / "log").open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                self._command("run", program=self._program),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **AS_A_SERVICE, READY_FD: str(ready_child)},
                pass_fds=(ready_child,),
            )
        os.close(ready_child)
        with os.fdopen(ready, "rb") as pipe:
            readable, _, _ = select.select([pipe], [], [], _READY_WITHIN)
            if not readable or pipe.readline() != b"ready\n":
                self.stop()
                raise LabError(f"the bot did not start: {(self.folder / 'log').read_text()}")
        self.ready_after = time.perf_counter() - began

    def stop(self) -> None:
        """Stop it as a service manager does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def console(self) -> Console:
        """A new connection to its console."""
        return Console(self.folder / "data" / SOCKET)

    @property
    def resident(self) -> int:
        """Its resident memory now, in bytes."""
        return self._memory("VmRSS")

    @property
    def peak(self) -> int:
        """The most that was resident since `forget_peak`, in bytes."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        """Reset the peak."""
        (self._proc / "clear_refs").write_text(_FORGET_PEAK)

    def idle(self, within: float = _READY_WITHIN) -> None:
        """Return once it has done nothing for a moment: no processor time went by in 0.2 s."""
        until(self._quiet, within=within, what="the bot's rest")

    def _quiet(self) -> bool:
        before = self._ticks()
        time.sleep(0.2)  # rest is that no processor time goes by in an interval
        return self._ticks() == before

    @property
    def busy(self) -> float:
        """The processor time it has taken since its start, in seconds."""
        return sum(map(int, self._ticks())) / os.sysconf("SC_CLK_TCK")

    def _ticks(self) -> list[str]:
        return (self._proc / "stat").read_text().rpartition(")")[2].split()[11:13]

    @property
    def _proc(self) -> Path:
        if self._process is None:
            raise LabError("the bot does not run")
        return Path(f"/proc/{self._process.pid}")

    def _memory(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self._proc / "status").read_text())
        return int(found[1]) * _KIBIBYTE if found else 0

    def _command(self, *words: str, program: str = "deploybot") -> tuple[str, ...]:
        return (sys.executable, "-m", program, "-c", str(self._config), *words)
