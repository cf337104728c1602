"""The demo's scene with an app without a repository: its images come from a registry, and run in this machine's Docker.

Without Docker, Compose, or a right to use them, the scene is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass

from deploybot.demo.demo_registry import DemoRegistry, runs_here
from deploybot.demo.demo_setup import DemoSetup
from deploybot.demo.demo_transcript import ANA, DemoTranscript
from deploybot.errors import UserError

_USUAL = "unix:///var/run/docker.sock"
_ENVIRONMENTS = ("staging", "production")
_WITHIN = 60.0
_ASKED_WITHIN = 15.0

_COMPOSE = """\
services:
  poster:
    image: {image}
    network_mode: none
"""

_BOT_TOML = """\

[registries.demo]
host = "{registry}"
plain = true

[apps.poster]
strategy = "compose"
directory = "{folder}/server/poster"
need_disk = "1MB"
stable = "0.5s"
health = {{ docker = true, within = "30s" }}

[apps.poster.environments.staging]
servers = ["local"]
directory = "{folder}/server/poster-staging"
compose = {{ project = "{project}-staging" }}

[apps.poster.environments.production]
servers = ["local"]
directory = "{folder}/server/poster-production"
compose = {{ project = "{project}-production" }}
after = "staging"
"""


@dataclass(frozen=True, slots=True)
class ImageScene:
    """What the scene needs: the registry, and the name of the Compose projects. `lack` says why it is left out."""

    registry: DemoRegistry
    project: str
    lack: str = ""

    def ran(self, environment: str) -> str:
        """Return the releases of the running containers of an environment, as their labels name them."""
        label = '{{.Label "org.opencontainers.image.version"}}'
        project = f"label=com.docker.compose.project={self.project}-{environment}"
        return _docker("ps", "--filter", project, "--format", label) or "nothing"

    def clear(self) -> None:
        """Remove all containers and images of the scene."""
        for environment in _ENVIRONMENTS:
            project = f"{self.project}-{environment}"
            found = _docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={project}").split()
            if found:
                _docker("rm", "-f", *found)
        for names in (f"{self.registry.address}/*", f"deploybot/{self.project}-*/*"):
            images = _docker("images", "-q", "--no-trunc", "--filter", f"reference={names}").split()
            if images:
                _docker("rmi", "-f", *dict.fromkeys(images))


@contextlib.asynccontextmanager
async def image_app(town: DemoSetup) -> AsyncIterator[ImageScene]:
    """Serve the images, and add the app to bot.toml, for the next start of the bot. At the end, remove everything."""
    registry = DemoRegistry()
    project = f"deploybot-demo-{registry.address.rpartition(':')[2]}"
    with registry.serving():
        lack = await asyncio.to_thread(_lack, registry)
        scene = ImageScene(registry, project, lack)
        if lack:
            yield scene
            return
        for environment in _ENVIRONMENTS:
            folder = town.folder / "server" / f"poster-{environment}"
            folder.mkdir()
            folder.joinpath("compose.yaml").write_text(_COMPOSE.format(image=registry.image))
        local = "[servers.local]\n"
        text = town.config.read_text().replace(local, f'{local}docker = "{_engine()}"\n')
        town.config.write_text(text + _BOT_TOML.format(registry=registry.address, folder=town.folder, project=project))
        try:
            yield scene
        finally:
            await asyncio.to_thread(scene.clear)


async def promoted(stage: DemoTranscript, scene: ImageScene) -> None:
    """Play the promotion of an app without a repository, or say why that is left out."""
    stage.title("An app without a repository is promoted")
    if scene.lack:
        stage.explain(f"This scene is left out: {scene.lack}")
        return
    stage.explain(
        "The app `poster` has a Compose file on the server, and images in a registry.",
        "It runs in this machine's Docker. staging gets the image that the tag `stable` points to.",
        "Then somebody pushes another image with that tag.",
    )
    await stage.ask(ANA, "deploy poster to staging", "first deployment", "· succeeded")
    stage.compare("containers in staging", await asyncio.to_thread(scene.ran, "staging"), "spring")
    stage.type(f"docker push {scene.registry.image}")
    scene.registry.push("summer")
    await stage.ask(ANA, "promote poster to production", "· succeeded")
    stage.compare("containers in production", await asyncio.to_thread(scene.ran, "production"), "spring")


def _lack(registry: DemoRegistry) -> str:
    """Return why the scene cannot be played on this machine, or an empty string if it can."""
    engine = _engine()
    if shutil.which("docker") is None or not os.access(engine.removeprefix("unix://"), os.W_OK):
        return f"it needs Docker at {engine}, and the right to use it."
    if not runs_here():
        return "its images have no program for this machine's processor."
    registry.push("spring")
    try:
        _docker("compose", "version", within=_ASKED_WITHIN)
        _docker("pull", "--quiet", registry.image, within=_ASKED_WITHIN)
        _docker("rmi", registry.image)
    except UserError as error:
        return f"it needs Docker with Compose, and Docker must reach a registry at 127.0.0.1. {error}"
    return ""


def _engine() -> str:
    """Return the address of this machine's Docker, which is a socket."""
    named = os.environ.get("DOCKER_HOST", "")
    return named if named.startswith("unix:///") else _USUAL


def _docker(*words: str, within: float = _WITHIN) -> str:
    """Run `docker`; return its output. Raises UserError if that fails."""
    command, environment = ["docker", *words], os.environ | {"DOCKER_HOST": _engine()}
    try:
        done = subprocess.run(  # noqa: S603  docker, with our own arguments
            command, env=environment, capture_output=True, text=True, check=True, timeout=within
        )
    except subprocess.CalledProcessError as error:
        raise UserError(f"`docker {words[0]}` failed: {error.stderr.strip()[-300:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"`docker {words[0]}` failed: {error}") from None
    return done.stdout.strip()
