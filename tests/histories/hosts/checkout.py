"""A host as people leave it: a checkout that `docker compose up -d --build` was typed in, and what lies beside it."""

from __future__ import annotations

import json
import os
import random
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.histories.reality import Reality
from tests.histories.server import ComposeVersion, HandServer
from tests.histories.world.shop import SERVE, WORK
from tests.lab import Repo

_IDLE = ["sh", "-c", WORK.replace("$", "$$")]
_CHECK = {
    "test": ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8000/healthz"],
    "interval": "0.5s",
    "timeout": "5s",
    "retries": 4,
}
_TRAEFIK = {"traefik.enable": "true", "traefik.http.routers.web.rule": "Host(`shop.example.com`)"}
_WATCHTOWER = {"com.centurylinklabs.watchtower.enable": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDraw:
    """What is drawn for a host."""

    number: int
    compose: ComposeVersion
    uid: int
    container_names: bool
    traefik: bool
    watchtower: bool
    profile: bool
    worker: bool
    named_in_env: bool
    neighbour: bool
    fails_first: bool
    change: str

    @property
    def project(self) -> str:
        """The Compose project."""
        return f"notes{self.number}"

    def __str__(self) -> str:
        flags = ("container_names", "traefik", "watchtower", "profile", "worker", "named_in_env", "neighbour")
        traits = [name.replace("_", " ") for name in flags if getattr(self, name)]
        traits += [f"data of uid {self.uid}", f"then another {self.change}"]
        traits += ["a failure first"] if self.fails_first else []
        return f"Compose {self.compose}, {', '.join(traits)}"


def draw_host(seed: str, number: int) -> HostDraw:
    """Draw a host from a seed."""
    dice = random.Random(f"{seed}/{number}")
    composes = [*ComposeVersion]
    return HostDraw(
        number=number,
        compose=composes[number % len(composes)],
        uid=dice.choice((0, 999, 70, 33)),
        container_names=dice.random() < 0.4,
        traefik=dice.random() < 0.4,
        watchtower=dice.random() < 0.4,
        profile=dice.random() < 0.4,
        worker=dice.random() < 0.5,
        named_in_env=dice.random() < 0.3,
        neighbour=dice.random() < 0.5,
        fails_first=dice.random() < 0.34,
        change=dice.choice(("page", "configuration", "variable")),
    )


class CheckoutHost:
    """A drawn host, made real on a server."""

    def __init__(self, server: HandServer, draw: HostDraw, folder: Path) -> None:
        """Make the repository; `start` starts the application by hand."""
        folder.mkdir(parents=True)
        self.server = server
        self.draw = draw
        self.folder = folder
        self.repo = Repo(folder / f"{draw.project}.git")
        self.port = server.port()
        name = "anything" if draw.named_in_env else draw.project
        self.checkout = server.home / "apps" / name
        self.directory = server.home / "deploybot" / draw.project
        self._commit("v1", page="v1")

    def start(self) -> None:
        """Do what people do: clone, write `.env`, `docker compose up -d --build`; data comes with the time."""
        self.checkout.parent.mkdir()
        self.server.own(self.checkout.parent)
        self.server.checkout(self.repo, self.checkout, "v1")
        self._write_env()
        kept = self.checkout / "data" / "db"
        kept.mkdir(parents=True)
        (kept / "table").write_text("rows of years\n")
        self.server.own(self.checkout)
        for path in (kept / "table", kept):
            os.chown(path, self.draw.uid, self.draw.uid)
        kept.chmod(0o700)
        compose = self.server.compose.command
        self.server.hand(self.checkout, f"{compose} up -d --build")
        (self.volume / "blob").write_text("blob of years\n")
        if self.draw.neighbour:
            other = self.checkout.parent / "other"
            other.mkdir()
            (other / "docker-compose.yml").write_text(json.dumps({"version": "3", "services": {"web": _plain()}}))
            self.server.own(other)
            self.server.hand(other, f"{compose} up -d")

    def commit_change(self) -> frozenset[str]:
        """Commit v2, which changes one thing; the services that this concerns."""
        change = self.draw.change
        self._commit(
            "v2",
            page="v2" if change == "page" else "v1",
            configuration="v2" if change == "configuration" else "v1",
            variable="v2" if change == "variable" else "v1",
        )
        by_variable = "worker" if self.draw.worker else "web"
        return frozenset({by_variable if change == "variable" else "web"})

    def commit_failure(self) -> None:
        """Commit a version that never gets healthy."""
        self._commit("failing", page="failing", healthy=False)

    @property
    def volume(self) -> Path:
        """The named volume's folder."""
        disk = self.server.engine.disk
        assert disk
        return disk.outside / "volumes" / f"{self.draw.project}_blobs" / "_data"

    def look(self) -> Reality:
        """What the application really runs."""
        return self.server.reality(self.draw.project, self.port, self.directory)

    def data(self) -> dict[str, tuple[int, int, int, int, int]]:
        """All that people would miss: every file of the data, by path, with inode, owner, mode, size and time."""
        found = {}
        for top in (self.checkout / "data", self.volume, self.checkout / ".env"):
            for path in (top, *top.rglob("*")):
                about = path.lstat()
                size = about.st_size if stat.S_ISREG(about.st_mode) else 0
                found[str(path)] = (about.st_ino, about.st_uid, about.st_mode, size, about.st_mtime_ns if size else 0)
        return found

    def neighbours(self) -> list[str]:
        """The containers that are not of the project, and when they were started; and all volumes and networks."""
        docker = self.server.engine.docker
        names = docker("ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project=other").split()
        running = [docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name).strip() for name in names]
        volumes = docker("volume", "ls", "-q").split()
        networks = docker("network", "ls", "--no-trunc", "-q").split()
        return sorted([*running, *volumes, *networks])

    def _write_env(self) -> None:
        lines = ["GREETING=hello", "PASSWORD=of-years"]
        lines += [f"COMPOSE_PROJECT_NAME={self.draw.project}"] if self.draw.named_in_env else []
        lines += ["COMPOSE_PROFILES=jobs"] if self.draw.profile else []
        (self.checkout / ".env").write_text("\n".join([*lines, ""]))

    def _commit(
        self, tag: str, *, page: str, configuration: str = "v1", variable: str = "v1", healthy: bool = True
    ) -> None:
        files: dict[str, str | None] = {
            ".gitignore": "/.env\n/data/\n",
            ".dockerignore": "data\n",
            "docker-compose.yml": json.dumps(self._yaml(variable), indent=1),
            "Dockerfile": f"FROM lab/busybox\nLABEL text='{page}'\nCOPY www /www\n",
            "www/index.html": f"{page}\n",
            "www/healthz": "ok\n" if healthy else None,
            "job/Dockerfile": "FROM lab/busybox\nCOPY job /job\n",
            "job/job": "does things\n",
            "conf/app.conf": f"{configuration}\n",
        }
        self.repo.commit(files, f"Version {tag}")
        self.repo.tag(tag)

    def _yaml(self, variable: str) -> dict[str, Any]:
        draw = self.draw
        web: dict[str, Any] = {
            "build": ".",
            "restart": "unless-stopped",
            "command": ["sh", "-c", SERVE],
            "ports": [f"{self.port}:8000"],
            "environment": {"GREETING": "${GREETING}", "PASSWORD": "${PASSWORD:?}"},
            "volumes": ["./conf:/etc/app:ro", "blobs:/blobs"],
            "healthcheck": _CHECK,
        }
        db = {**_plain(), "volumes": ["./data/db:/var/lib/db"], "env_file": [".env"]}
        services = {"web": web, "db": db}
        if draw.worker:
            services["worker"] = {**_plain(), "build": "./job", "environment": {"VERSION": variable}}
            del services["worker"]["image"]
        else:
            web["environment"]["VERSION"] = variable
        if draw.profile:
            services["jobs"] = {**_plain(), "profiles": ["jobs"]}
        for name, service in services.items():
            service["labels"] = {**(_WATCHTOWER if draw.watchtower else {}), **(_TRAEFIK if draw.traefik else {})}
            if draw.container_names:
                service["container_name"] = f"{draw.project}-{name}-of-years"
        return {"version": "3.8", "services": services, "volumes": {"blobs": {}}}


def _plain() -> dict[str, Any]:
    return {"image": "lab/busybox", "restart": "always", "command": _IDLE}
