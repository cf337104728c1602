"""A real Podman with its Docker-compatible socket: see `Podman`."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Self

from tests.lab.images import BUSYBOX
from tests.lab.run import LabError, run, until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
"""Podman's own default limits are more than a machine in a container may give."""


class Podman:
    """`podman system service` with storage of its own. It holds `lab/busybox:latest`. A context manager."""

    def __init__(self, directory: Path) -> None:
        """Keep everything in `directory`, whose path must be short: it holds the socket."""
        self.socket = directory / "podman.sock"
        self._directory = directory
        self._options = (
            *("--root", directory / "root", "--runroot", directory / "run", "--tmpdir", directory / "tmp"),
            *("--storage-driver", "vfs"),
            *("--cgroup-manager", "cgroupfs", "--events-backend", "file"),
        )
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, and return when it listens."""
        command = ["podman", *map(str, self._options), "system", "service", "-t", "0", f"unix://{self.socket}"]
        with (self._directory / "log").open("wb") as log:
            self._service = service = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            self._await(service)
            self.podman("load", stdin=BUSYBOX.archive())
        except LabError:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the containers, and stop it."""
        self.podman("rm", "--all", "--force", "--time", "0")
        self._stop()

    def _await(self, service: subprocess.Popen[bytes]) -> None:
        until(lambda: self.socket.exists() or service.poll() is not None, within=60, what="start of podman")
        if service.poll() is not None:
            raise LabError(f"podman did not start: {(self._directory / 'log').read_text()}")

    def _stop(self) -> None:
        if self._service:
            self._service.send_signal(signal.SIGTERM)
            self._service.wait(20)

    def run(self, name: str, *command: str, labels: dict[str, str] | None = None) -> str:
        """Start a container without network in the background; return its id."""
        words = [word for key, value in (labels or {}).items() for word in ("--label", f"{key}={value}")]
        image = f"localhost/{BUSYBOX.tag}"
        return self.podman("run", "-d", "--network=none", "--name", name, *_LIMITS, *words, image, *command).strip()

    def podman(self, *args: str, stdin: bytes = b"") -> str:
        """Run the `podman` command on its storage; return its stdout. Raises LabError."""
        return run("podman", *self._options, *args, stdin=stdin)
