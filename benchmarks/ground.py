"""What all rows are measured on: the laboratory, bot.toml for it, and a repository."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bot import Bot
from benchmarks.peers import Peers
from tests.lab import Lab, Repo, Sshd

HEALTH = "http://127.0.0.1:8000/healthz"


class Ground:
    """The laboratory and a folder; everything made here goes when `stack` is closed."""

    def __init__(self, lab: Lab, folder: Path, stack: ExitStack) -> None:
        """Take what there is."""
        self.lab = lab
        self._folder = folder
        self._stack = stack
        self._numbers = itertools.count(1)

    def bot(
        self, servers: Mapping[str, Sshd], apps: str, *, docker: Iterable[str] = (), program: str = "deploybot"
    ) -> Bot:
        """A bot that knows these servers, not started yet; those named in `docker` have an Engine."""
        parts = [_server(name, server, docker=name in docker) for name, server in servers.items()]
        return Bot(self.folder("bot"), "\n".join([*parts, apps]), program)

    def peers(self, servers: Mapping[str, Sshd]) -> Peers:
        """The peers' clients for these servers."""
        made = Peers(self.folder("peers"), servers)
        self._stack.callback(made.close)
        return made

    def repo(self, files: Mapping[str, str], *tags: str) -> tuple[Repo, list[str]]:
        """A repository with a commit a tag, and the commits."""
        made = Repo(self.folder("repo"))
        commits = []
        for tag in tags:
            commits.append(made.commit({**files, "VERSION": f"{tag}\n"}, f"Release {tag}"))
            made.tag(tag)
        return made, commits

    def website(self, server: Sshd) -> None:
        """A tiny HTTP server on a server's loopback that answers `/healthz`."""
        root = self.folder("www")
        root.mkdir()
        (root / "healthz").write_text("ok\n")
        server.box.serve("busybox", "httpd", "-f", "-p", "127.0.0.1:8000", "-h", root, log=root / "log")

    def folder(self, name: str) -> Path:
        """A path of that name that nothing has yet."""
        return self._folder / f"{name}-{next(self._numbers)}"


def _server(name: str, server: Sshd, *, docker: bool) -> str:
    engine = 'docker = "/var/run/docker.sock"\n' if docker else ""
    return (
        f'[servers.{name}]\nssh = "{server.ssh_target}"\nkey = {{ file = "{server.client_key}" }}\n'
        f'host_key = "{server.host_key}"\n{engine}'
    )
