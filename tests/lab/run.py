"""Running programs, waiting for conditions, looking at processes."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_FIRST_PORT, _PORTS, _SLICES = 20_000, 2_000, 6
"""Where free ports are: below those that the kernel gives away, and so many for each worker of the tests."""


class LabError(Exception):
    """A part of the laboratory did not do what it should; holds what it said."""


def environment() -> dict[str, str]:
    """Return the environment of the tests, with the system's programs on the PATH, which `su` leaves out."""
    return {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}


def run(
    *argv: str | Path,
    stdin: str | bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    within: float = 120,
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    `env` is added to the environment of the tests; `within` is in seconds.
    Raises LabError, with everything the program wrote, unless it ends with 0.
    """
    command = [str(word) for word in argv]
    done = subprocess.run(
        command,
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        env={**environment(), **(env or {})},
        cwd=cwd,
        capture_output=True,
        timeout=within,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise LabError(f"{' '.join(command)} ended with {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def until(condition: Callable[[], object], *, within: float, what: str) -> None:
    """Return once `condition()` is true; raise LabError after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {within:g} s")
        time.sleep(0.005)


def processes() -> dict[int, int]:
    """Every process of the machine: its id and its parent's."""
    return {pid: ppid for pid in _pids() if (ppid := _parent(pid)) is not None}


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [child for child, parent in processes().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, their children, and so on."""
    table = processes()
    found = [pid]
    for parent in found:
        found.extend(child for child, its_parent in table.items() if its_parent == parent)
    return found[1:]


def program(pid: int) -> str:
    """Return the short name of what a process runs, "" when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def stopped(pid: int) -> bool:
    """Return whether every thread of a process is stopped."""
    return all(state(int(task.name)) in "TX" for task in Path(f"/proc/{pid}/task").iterdir())


def state(pid: int) -> str:
    """Return a process's state by its letter in proc(5), "X" when it is gone."""
    return (_stat(pid) or ["X"])[0]


def started(pid: int) -> str:
    """Return when a process started, in ticks since boot, "" when it is gone or dead."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in "XZ" else ""


def send(pids: Iterable[int], what: signal.Signals) -> None:
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[str]:
    # proc(5): the second field, the name in brackets, may hold blanks.
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def free_port() -> int:
    """Return a TCP port that is free on every address, and that stays free until the caller listens on it.

    The kernel gives it to no other socket, no other worker of the tests gets it, and this one not soon again.
    """
    for port in itertools.islice(_ports, _PORTS):
        with suppress(OSError), socket.create_server(("", port)):
            return port
    raise LabError("no port is free")


def own_ports() -> Iterator[int]:
    """The ports of this worker of pytest-xdist, in an order that no two runs share."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + worker % _SLICES * _PORTS
    return itertools.cycle(random.SystemRandom().sample(range(first, first + _PORTS), _PORTS))


_ports = own_ports()
