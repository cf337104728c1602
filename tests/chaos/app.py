"""What is deployed: a repository whose releases print, leave evidence, and serve their own commit over HTTP."""

from __future__ import annotations

import asyncio
import enum
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tests.lab import Repo, Sshd

_HTTP_WITHIN = 5.0


class Kind(enum.StrEnum):
    """How a release behaves.

    Well; not to be built; never healthy; never healthy on servers without git; healthy only for some seconds.
    """

    GOOD = "good"
    BROKEN = "broken"
    SICK = "sick"
    HALF = "half"
    FADING = "fading"


class Source:
    """The repository. Every release is a commit of its own, so that each has to be fetched and built."""

    def __init__(self, path: Path) -> None:
        """Make it, with the scripts and no release."""
        self._repo = Repo(path)
        self._count = 0
        scripts = {file.name: file.read_text() for file in (files(__package__) / "scripts").iterdir()}
        self._repo.commit({**scripts, "kind": Kind.GOOD.value}, "Scripts")

    @property
    def url(self) -> str:
        """What to clone it by."""
        return self._repo.url

    def release(self, kind: Kind) -> str:
        """Commit a release; the full commit."""
        self._count += 1
        return self._repo.commit({"kind": kind.value, "number": str(self._count)}, f"Release {self._count}, {kind}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One environment of an app: where it is deployed, and by which strategy.

    `directory` is its directory as its servers know it, `port` that of its web server. If it is `rolled`, its servers
    are switched in batches, with a canary, pauses, watches and tasks around the switch.
    """

    app: str
    environment: str
    strategy: str
    servers: tuple[str, ...]
    directory: Path
    port: int
    rolled: bool = False

    @property
    def words(self) -> str:
        """`APP to ENVIRONMENT`, but for the release."""
        return f"{self.app} to {self.environment}"

    def folder(self, sshd: Sshd) -> Path:
        """Its directory on a server, as a path of the tests."""
        root = sshd.access.chroot
        return root / self.directory.relative_to("/") if root else self.directory


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that a script left: its job, its name, and whether it began or ended."""

    job: str
    script: str
    word: str


@dataclass(frozen=True, slots=True)
class There:
    """What is really on a server: the link, what it was being switched to, and the commit served ("" for none)."""

    current: str
    switching: str
    served: str
    healthy: bool


async def look(site: Site, sshd: Sshd) -> There:
    """Ask a server's files and its web server, past the bot and its SSH."""
    directory = site.folder(sshd)
    current = directory / "current"
    switching = directory / ".deploybot/switching"
    version = await _get(sshd.address, site.port, "/version")
    return There(
        current=current.readlink().name if current.is_symlink() else "",
        switching=switching.read_text().strip() if switching.exists() else "",
        served=version or "",
        healthy=await _get(sshd.address, site.port, "/healthz") is not None,
    )


def marks(site: Site, sshd: Sshd) -> list[Mark]:
    """All marks that scripts left on a server."""
    path = site.folder(sshd) / "evidence" / "marks"
    return [Mark(*line.split()) for line in path.read_text().splitlines()] if path.exists() else []


def log_of(site: Site, sshd: Sshd, job: str) -> bytes | None:
    """The log of a job as the server wrote it; None where no script of ours ran while it was there."""
    path = site.folder(sshd) / "evidence" / f"{job}.log"
    return path.read_bytes() if path.exists() else None


def jobs_of(sshd: Sshd) -> set[str]:
    """Every job that was ever begun on a server, forgotten ones, too."""
    folders = (sshd.home / ".deploybot" / name for name in ("jobs", "gone"))
    return {path.name for folder in folders if folder.exists() for path in folder.iterdir()}


def still_running(sshd: Sshd) -> list[str]:
    """The jobs of which processes run, other than the web servers, which are meant to."""
    found = set()
    for pid in sshd.processes():
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() != "busybox":
                found |= _job_in(Path(f"/proc/{pid}/environ").read_bytes())
    return sorted(found)


def runners(sshd: Sshd) -> list[int]:
    """The processes on a server that look after its jobs."""
    found = []
    for pid in sshd.processes():
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[0] == b"sh" and b".deploybot/" in words[1] and words[2] == b"run":
                found.append(pid)
    return found


def _job_in(environ: bytes) -> set[str]:
    name = b"DEPLOYBOT_JOB="
    return {entry.removeprefix(name).decode() for entry in environ.split(b"\0") if entry.startswith(name)}


async def _get(address: str, port: int, path: str) -> str | None:
    """The body of a page; None where there is none."""
    try:
        async with asyncio.timeout(_HTTP_WITHIN):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = (await reader.read()).decode()
            writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition("\r\n\r\n")
    return body if " 200 " in head.partition("\r\n")[0] else None
