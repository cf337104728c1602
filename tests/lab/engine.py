"""Real Docker Engines: see `Engine`."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tests.lab.box import GROUP
from tests.lab.disk import FullDisk
from tests.lab.images import BUSYBOX, Image
from tests.lab.run import LabError, run, stopped, until
from tests.lab.sshd import COMPOSE_PLUGIN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.box import Service
    from tests.lab.registry import Registry
    from tests.lab.sshd import Sshd

_CLI = "/usr/bin/docker"
"""Debian's: another one, first on PATH, must not change what the tests see."""


class Engine:
    """A dockerd on a server of its own, which `sshd` opens.

    On that server it is at `/var/run/docker.sock`, for its user too, so that
    `docker` and `docker compose` work there as they do on a real one. Published
    ports are at `address`, and at 127.0.0.1 for the server itself, so any number
    of engines can publish the same port. The tests reach it at `socket`.

    `disk` is there when its images and containers have a small disk of their own.
    It holds one image, `lab/busybox:latest`, and cannot pull but from `Registry`.
    `docker compose build` works offline as it is, with and without BuildKit.
    """

    def __init__(self, sshd: Sshd, *, cgroup: str, insecure: str, disk: int | None = None) -> None:
        """Describe an engine with its containers in `cgroup`, trusting registries in `insecure`."""
        self.sshd = sshd
        self.box = sshd.box
        self._files = self.box.directory / "docker"
        self.socket = self._files / "docker.sock"
        self._cgroup = cgroup
        self._insecure = insecure
        self._service: Service | None = None
        self._registries: list[Registry] = []
        (self._files / "cli").mkdir(parents=True)
        (self._files / "daemon.json").write_text("{}")
        self.disk = FullDisk(self._files / "data", disk, self.box) if disk else None
        if self.disk:
            self.box.on_boot.append(self.disk.mount)
        if not sshd.access.compose_plugin:
            self.box.on_boot.append(self._hide_plugins)
        self.box.on_boot.append(self.start)

    @property
    def address(self) -> str:
        """The IPv4 address at which published ports are reached."""
        return self.box.address

    @property
    def url(self) -> str:
        """The address of its API, as in DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        """What dockerd wrote so far."""
        return (self._files / "log").read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether dockerd runs."""
        return self._service is not None and self._service.alive

    def start(self) -> None:
        """Start it, and return when it answers and holds its image."""
        if self.running:
            return
        self.box.run("rm", "-f", "/run/docker.pid")
        self._service = self.box.serve(*self._command(), log=self._files / "log")
        until(self._answers, within=120, what=f"dockerd of {self.box.name}")
        self._hold_base()

    def stop(self) -> None:
        """Ask it to end; its containers are stopped, and killed after a second."""
        if self._service:
            self._service.stop()
        self._service = None

    def kill(self) -> None:
        """Kill -9 it; its containers run on until it starts again."""
        if self._service:
            self._service.stop(signal.SIGKILL)
        self._service = None

    def restart(self) -> None:
        """Stop it, and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Make it hang: its socket accepts, and nothing answers."""
        if self._service:
            self._service.send(signal.SIGSTOP)
            # Its threads stop one after the other, and one of them might still answer; and nsenter stops behind it.
            processes = self._service.pid, self._service.launcher.pid
            until(lambda: all(map(stopped, processes)), within=30, what=f"pause of {self.box.name}")

    def resume(self) -> None:
        """End a pause."""
        if self._service:
            self._service.send(signal.SIGCONT)

    def docker(self, *args: str | Path, stdin: str | bytes = b"", cwd: Path | None = None) -> str:
        """Run Debian's `docker` CLI against it; return its stdout. Raises LabError.

        `docker("compose", "up", "-d", cwd=…)` is Compose 2.26.
        """
        env = {"DOCKER_HOST": self.url, "DOCKER_CONFIG": str(self._files / "cli")}
        return run(_CLI, *args, stdin=stdin, env=env, cwd=cwd)

    def load(self, *images: Image) -> None:
        """Put images onto it."""
        for image in images:
            self.docker("load", stdin=image.archive())

    def trust(self, registry: Registry) -> None:
        """Let it reach a registry by the name the tests use, now and after reboots."""
        if registry not in self._registries:
            self._registries.append(registry)
            registry.open_door(self.box)
            self.box.on_boot.append(partial(registry.open_door, self.box))

    def clear(self) -> None:
        """Remove what is not Docker's own: containers, networks, volumes, a swarm. Images stay."""
        begun = time.monotonic()
        restarted = False
        while True:
            try:
                return self._clear()
            except LabError:
                # What is about to go by itself cannot be removed: look again.
                if time.monotonic() > begun + 60:
                    raise
            if time.monotonic() > begun + 10 and not restarted:
                # dockerd 20.10 may keep an endpoint of a container that has gone; one that starts deletes it.
                restarted = True
                self.restart()
            time.sleep(0.1)

    def _clear(self) -> None:
        if self.docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() != "inactive":
            self.docker("swarm", "leave", "--force")
        if containers := self.docker("ps", "-aq").split():
            self.docker("rm", "--force", "--volumes", *containers)
        if networks := self.docker("network", "ls", "-q", "--filter", "type=custom").split():
            self.docker("network", "rm", *networks)
        if volumes := self.docker("volume", "ls", "-q").split():
            self.docker("volume", "rm", *volumes)

    def mend(self) -> None:
        """Put it right after a test: not paused, running, and holding nothing but images."""
        self.resume()
        self.sshd.mend()
        self.start()
        self.clear()
        self._hold_base()

    def _hold_base(self) -> None:
        """Load the base image unless it is there: a test may have pruned it."""
        if BUSYBOX.tag not in self.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"):
            self.load(BUSYBOX)

    def _hide_plugins(self) -> None:
        self.box.run("mount", "-t", "tmpfs", "tmpfs", COMPOSE_PLUGIN.parent)

    def _command(self) -> tuple[str | Path, ...]:
        return (
            *("dockerd", "--config-file", self._files / "daemon.json"),
            *("--data-root", self._files / "data"),
            *("-H", "unix:///run/docker.sock", "-H", self.url, "--group", str(GROUP)),
            *("--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self._cgroup}"),
            *("--insecure-registry", self._insecure, "--shutdown-timeout", "1"),
        )

    def _answers(self) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        return False
