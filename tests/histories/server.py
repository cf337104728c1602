"""A server with a Docker Engine, one of the three Composes, and a person who works on it by hand."""

from __future__ import annotations

import enum
import itertools
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.histories.reality import EngineReader, Reality, answer_of, folders_of
from tests.lab import Access, Engine, Lab, Registry, Repo
from tests.lab.box import GROUP
from tests.lab.run import run
from tests.lab.sshd import COMPOSE_1, COMPOSE_5

DISK = 600_000_000
FIRST_PORT = 8001
_USUAL = "/usr/bin:/bin"


class ComposeVersion(enum.StrEnum):
    """The Composes of Debian 12, of Debian 13, and of PyPI."""

    ONE = "1.29"
    TWO = "2.26"
    FIVE = "5"

    @property
    def command(self) -> str:
        """How people call it."""
        return "docker compose" if self is ComposeVersion.TWO else "docker-compose"

    @property
    def path(self) -> str:
        """The PATH of a server that has it."""
        places = {ComposeVersion.ONE: f"{_USUAL}:{COMPOSE_1}", ComposeVersion.FIVE: f"{_USUAL}:{COMPOSE_5}"}
        return places.get(self, _USUAL)


class HandServer:
    """An Engine behind sshd. The person who works on it is the same user that the bot logs in as."""

    def __init__(self, lab: Lab, compose: ComposeVersion, *, disk: int | None = DISK) -> None:
        """Make it; its images and containers have a disk of their own."""
        access = Access(path=compose.path, compose_plugin=compose is ComposeVersion.TWO)
        self.compose = compose
        self.engine: Engine = lab.engine(f"host{compose.value.partition('.')[0]}", access=access, disk=disk)
        self.reader = EngineReader(self.engine.socket)
        self._ports = itertools.count(FIRST_PORT)
        # An image that a container uses is not pruned, and everything is built from this one.
        self.engine.docker("create", "--name", "keeper", "lab/busybox", "true")

    def keep_base(self) -> None:
        """Give the base image its name again: a prune takes names of an image that has several, used or not.

        Anywhere else a build would pull it.
        """
        image = self.engine.docker("container", "inspect", "--format", "{{.Image}}", "keeper").strip()
        self.engine.docker("tag", image, "lab/busybox:latest")

    def delete_build_cache(self) -> None:
        """Let BuildKit begin with an empty cache, as the card of a damaged one advises."""
        self.engine.stop()
        assert self.engine.disk
        shutil.rmtree(self.engine.disk.outside / "buildkit")
        self.engine.start()

    @property
    def home(self) -> Path:
        """The home of the person."""
        return self.engine.sshd.home

    def port(self) -> int:
        """A port of the server that no other application got."""
        return next(self._ports)

    def trust(self, registry: Registry) -> None:
        """Let the Engine pull from a registry."""
        self.engine.trust(registry)

    def publish(self, image: str, registry: Registry) -> None:
        """Push an image of the Engine under its own name."""
        name = f"{registry.address}/{image}"
        self.engine.docker("tag", image, name)
        self.engine.docker("push", name)

    def hand(self, folder: Path, command: str, *, within: float = 120) -> str:
        """Type a shell command in a folder, as the person; what it wrote. Raises LabError where it fails."""
        who = ("setpriv", f"--reuid={self.engine.box.account.uid}", f"--regid={GROUP}", "--clear-groups")
        env = ("env", "-i", f"HOME={self.home}", f"PATH={self.compose.path}", "USER=deploy")
        script = f"cd {shlex.quote(str(folder))} && {{ {command}; }} 2>&1"
        return self.engine.box.run(*who, *env, "sh", "-c", script, within=within)

    def checkout(self, repo: Repo, folder: Path, ref: str) -> Path:
        """Check a ref out into a folder, as `git clone` or `git pull` leave it."""
        if not (folder / ".git").exists():
            run("git", "clone", "--quiet", repo.url, folder)
        run("git", "-c", "safe.directory=*", "fetch", "--quiet", "--tags", "--force", "origin", cwd=folder)
        run("git", "-c", "safe.directory=*", "checkout", "--quiet", "--force", ref, cwd=folder)
        self.own(folder)
        return folder

    def own(self, folder: Path) -> None:
        """Give a folder, and all in it that is root's, to the person."""
        uid = self.engine.box.account.uid
        run(
            "find",
            folder,
            "-user",
            "root",
            "-not",
            "-path",
            "*/kept/*",
            "-exec",
            "chown",
            "-h",
            f"{uid}:{GROUP}",
            "{}",
            "+",
        )

    def reality(self, project: str, port: int, directory: Path) -> Reality:
        """What an application really runs."""
        current, folders = folders_of(directory)
        return Reality(
            answer=answer_of(self.engine.address, port),
            containers=self.reader.containers(project),
            current=current,
            folders=folders,
        )

    def forget(self, projects: Iterable[str]) -> None:
        """Remove the containers, networks and volumes of projects that are done with."""
        for project in projects:
            wanted = f"label=com.docker.compose.project={project}"
            for listing, removal in (
                (("ps", "-aq"), ("rm", "--force", "--volumes")),
                (("network", "ls", "-q"), ("network", "rm")),
                (("volume", "ls", "-q"), ("volume", "rm")),
            ):
                if found := self.engine.docker(*listing, "--filter", wanted).split():
                    self.engine.docker(*removal, *found)

    def wipe(self, folder: Path) -> None:
        """Delete a folder."""
        shutil.rmtree(folder, ignore_errors=True)
