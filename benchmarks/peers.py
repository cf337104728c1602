"""The peers: OpenSSH's client with new and with shared connections, and `docker -H ssh://`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import LabError, Sshd

SHARED = "shared-"
_WITHIN = 120.0


class Peers:
    """Clients that know the laboratory's servers by name, from a configuration of their own.

    `NAME` is a new connection each time, `shared-NAME` one that stays (ControlMaster in ssh_config(5)).
    """

    def __init__(self, folder: Path, servers: Mapping[str, Sshd]) -> None:
        """Write the configuration into `folder`."""
        self._folder = folder
        self._names = tuple(servers)
        folder.mkdir()
        self._config = folder / "ssh_config"
        hosts = [_host(name, server) for name, server in servers.items()]
        shared = f"Host {SHARED}*\n  ControlMaster auto\n  ControlPersist yes\n  ControlPath {folder}/%C\n"
        self._config.write_text("\n".join([*hosts, shared, _ALL.format(folder=folder)]))
        keys = (f"{server.address} {server.host_key}\n" for server in servers.values())
        (folder / "known_hosts").write_text("".join(keys))
        self._put_ssh_in_front()

    def ssh(self, name: str, command: str, stdin: str = "") -> str:
        """Run a command; its output. Raises LabError unless it ends with 0."""
        return _run(("ssh", "-F", str(self._config), name, command), stdin.encode()).decode()

    def at_once(self, names: Sequence[str], command: str) -> None:
        """Run a command on servers side by side, with a new connection to each. Raises LabError if one fails."""
        ssh = ("ssh", "-F", str(self._config), "{}", command)
        _run(("xargs", f"-P{len(names)}", "-I{}", *ssh), "\n".join(names).encode())

    def docker(self, name: str, *args: str) -> None:
        """Run `docker -H ssh://NAME`; what it prints is read and dropped by the kernel."""
        environment = {
            **os.environ,
            "PATH": f"{self._folder}/bin:{os.environ['PATH']}",
            "DOCKER_CONFIG": f"{self._folder}/docker",
        }
        _run(("docker", "-H", f"ssh://{name}", *args), b"", env=environment, keep=False)

    def close(self) -> None:
        """End the shared connections."""
        for name in self._names:
            subprocess.run(
                ("ssh", "-F", str(self._config), "-O", "exit", SHARED + name),
                capture_output=True,
                timeout=_WITHIN,
                check=False,
            )

    def _put_ssh_in_front(self) -> None:
        """Docker's client calls `ssh` by name and takes no options for it."""
        (self._folder / "bin").mkdir()
        script = self._folder / "bin" / "ssh"
        script.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {self._config} "$@"\n')
        script.chmod(0o755)


_ALL = """Host *
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  LogLevel ERROR
"""


def _host(name: str, server: Sshd) -> str:
    return (
        f"Host {name} {SHARED}{name}\n  HostName {server.address}\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {server.client_key}\n"
    )


def _run(argv: tuple[str, ...], stdin: bytes, *, env: Mapping[str, str] | None = None, keep: bool = True) -> bytes:
    done = subprocess.run(
        argv,
        input=stdin,
        stdout=subprocess.PIPE if keep else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=env,
        timeout=_WITHIN,
        check=False,
    )
    if done.returncode:
        raise LabError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout or b""
