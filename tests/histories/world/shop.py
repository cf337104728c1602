"""An application of the histories: its repository, its images, and versions that are good or fail in some way."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from tests.histories.reality import TEXT
from tests.histories.server import HandServer
from tests.lab import Registry, Repo, web

SERVE = 'trap "exit 0" TERM; httpd -f -p 8000 -h /www & wait'
WORK = 'trap "exit 0" TERM; while :; do sleep 5 & wait $!; done'
SERVICES = ("cache", "web", "worker")
_DOCKERFILE = "FROM lab/busybox\nLABEL {label}='{text}'\n{more}"
_YAML = """\
services:
  web:
    {web}
    {restart}
    command: ["sh", "-c", '{serve}']
    ports: ["{port}:8000"]
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8000/healthz"]
      interval: 1s
      timeout: 5s
      retries: 3
{more}
  worker:
    {worker}
    {restart}
    command: ["sh", "-c", '{work}']
    environment: {{VERSION: "{text}"}}
  cache:
    image: {base}
    {restart}
    command: ["sh", "-c", '{idle}']
volumes:
  data: {{}}
"""
_APP = """
[apps.{name}]
repo = "{repo}"
strategy = "compose"
directory = "{directory}"
need_disk = "1B"
keep = {keep}
stable = "{stable}"
restore_within = "60s"
compose = {{ wait = "20s", source = "{source}" }}
health = {{ docker = true, within = "20s" }}
{images}
[apps.{name}.environments.live]
servers = ["web1"]
on_failure = "{on_failure}"
"""


class ShopStyle(enum.StrEnum):
    """Where images come from: built on the server, pulled by a tag that moves, or pinned by bot.toml."""

    BUILD = "build"
    LATEST = "latest"
    PINNED = "pinned"


class Nature(enum.StrEnum):
    """What a version does when it is deployed."""

    GOOD = "good"
    SICK = "sick"
    CRASHING = "crashing"
    UNBUILDABLE = "unbuildable"
    LACKING = "lacking"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopVersion:
    """A version: the commit, what `/` answers, and what is typed to deploy it."""

    name: str
    commit: str
    text: str
    nature: Nature
    ref: str


@dataclass(slots=True, kw_only=True)
class ShopApp:
    """An application, as its repository, its registry and bot.toml have it."""

    name: str
    server: HandServer
    registry: Registry
    repo: Repo
    style: ShopStyle
    port: int
    on_failure: str = "restore"
    stable: str = "0s"
    restart: str = "unless-stopped"
    keep: int = 20
    versions: int = 0

    @property
    def project(self) -> str:
        """The Compose project."""
        return f"{self.name}-live"

    @property
    def directory(self) -> str:
        """Where the bot keeps it on the server."""
        return f"{self.server.home}/{self.name}"

    @property
    def image(self) -> str:
        """The image of `web` in the registry, without a tag."""
        return f"{self.registry.address}/acme/{self.name}"

    @property
    def base(self) -> str:
        """An image that never changes: the Engine's own where it builds, else one of the registry."""
        return "lab/busybox" if self.style is ShopStyle.BUILD else f"{self.registry.address}/lab/busybox:latest"

    def toml(self) -> str:
        """The app's tables of bot.toml."""
        pinned = f'[apps.{self.name}.images.web]\nimage = "{self.image}"\ntag = "^1.4"'
        return _APP.format(
            name=self.name,
            repo=self.repo.url,
            directory=self.directory,
            keep=self.keep,
            stable=self.stable,
            source="build" if self.style is ShopStyle.BUILD else "images",
            images=pinned if self.style is ShopStyle.PINNED else "",
            on_failure=self.on_failure,
        )

    def publish(self, nature: Nature) -> ShopVersion:
        """Commit a new version, and push its image where it has one."""
        self.versions += 1
        name = f"v{self.versions}"
        text = f"{self.name}-{name}"
        if self.style is not ShopStyle.BUILD and nature is Nature.UNBUILDABLE:
            nature = Nature.LACKING
        commit = self.repo.commit(self._files(text, nature), f"Version {name}")
        self.repo.tag(name)
        if self.style is not ShopStyle.BUILD:
            tags = {ShopStyle.LATEST: ("latest", name), ShopStyle.PINNED: (f"1.4.{self.versions}",)}[self.style]
            self.push(text, tags, healthy=nature is not Nature.SICK)
        ref = "" if self.style is ShopStyle.PINNED else f"@{name}"
        return ShopVersion(name=name, commit=commit, text=text, nature=nature, ref=f"{self.name}{ref}")

    def push(self, text: str, tags: tuple[str, ...], *, healthy: bool = True) -> None:
        """Push an image under some tags; the Engine forgets these names afterwards."""
        engine = self.server.engine
        names = [f"{self.image}:{tag}" for tag in tags]
        passing = f"passing/{self.name}:latest"
        engine.load(replace(web(passing, text, healthy=healthy), labels={TEXT: text}))
        for name in names:
            engine.docker("tag", passing, name)
            engine.docker("push", name)
        engine.docker("image", "rm", *names, passing)

    def _files(self, text: str, nature: Nature) -> dict[str, str | None]:
        built = self.style is ShopStyle.BUILD
        broken = "RUN exit 7\n" if nature is Nature.UNBUILDABLE else ""
        lacks = "    environment: {NEEDED: '${NEEDED:?it is needed}'}" if nature is Nature.LACKING else ""
        yaml = _YAML.format(
            web="build: ." if built else f"image: {self.image}:latest",
            worker="build: ./job" if built else f"image: {self.base}",
            base=self.base,
            serve=SERVE,
            work="echo no such table; exit 3" if nature is Nature.CRASHING else WORK.replace("$", "$$"),
            idle=WORK.replace("$", "$$"),
            port=self.port,
            text=text,
            more=lacks,
            restart=f"restart: {self.restart}",
        )
        dockerfile = _DOCKERFILE.format(label=TEXT, text=text, more=f"{broken}COPY www /www\n")
        return {
            "compose.yaml": yaml,
            "Dockerfile": dockerfile,
            "www/index.html": f"{text}\n",
            "www/healthz": None if nature is Nature.SICK else "ok\n",
            "job/Dockerfile": _DOCKERFILE.format(label=TEXT, text=text, more="COPY job /job\n"),
            "job/job": f"{text}\n",
        }
