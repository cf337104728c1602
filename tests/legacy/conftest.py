"""A server as the version before left it, with real folders and the real scripts, and a planner over it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import pytest

from deploybot.deployments.legacy_releases import Legacy
from deploybot.deployments.planner import Planner
from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import (
    Container,
    Identity,
    Image,
    Kind,
    Manifest,
    Phase,
    Plan,
    Release,
    ServerFacts,
    ServerPlan,
    State,
    StepRow,
    StepState,
)
from deploybot.errors import StepFailed
from deploybot.ports import Site, Strategy, Tables
from deploybot.ssh.probe_facts import parse
from deploybot.ssh.remote_shell import program, script
from deploybot.store.database import Database
from deploybot.strategies import STRATEGIES
from deploybot.strategies.files_strategy import FilesStrategy
from deploybot.testing import FakeEngine, FakeHost, FakeServers, memory_store
from tests.lab import Repo
from tests.strategies.conftest import LocalServer, MakeServer, make_app, make_server, only

__all__ = ["make_server"]  # the fixture

ONE, TWO, OTHER = (f"sha256:{digit * 64}" for digit in "123")
DIGEST = "registry.example.com/acme/db@sha256:" + "d" * 64


class ShellHost(FakeHost):
    """A server in memory whose probe and attached scripts run for real, in the shell and the folder of another one."""

    def __init__(self, server: LocalServer) -> None:
        super().__init__("web1")
        self.server = server
        self.scripts: list[str] = []

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        del docker  # it is faked
        await self._reach(timeout)
        env = {"PROBE_DIRECTORY": directory, "PROBE_DOCKER": "no", "PROBE_DOCKER_ROOT": ""}
        said = await self._sh(program("probe", env), {})
        facts = parse(said, server="web1", directory=directory)
        assert facts is not None
        return replace(facts, git=self.server.git, docker="27", compose=("docker", "compose"), compose_version="2.26.1")

    async def stream(self, script_: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        await self._reach(timeout)
        self.scripts.append(f"{script_} {env['DEPLOYBOT_ACTION']}")
        yield await self._sh(script(script_).encode(), env)

    async def _sh(self, text: bytes, env: Mapping[str, str]) -> bytes:
        def run() -> subprocess.CompletedProcess[bytes]:
            values = {"PATH": self.server.path, "HOME": "/", **env}
            shell = [*self.server.shell, "-s", "deploybot"]
            return subprocess.run(shell, input=text, env=values, capture_output=True, check=False, timeout=60)

        done = await asyncio.to_thread(run)
        if done.returncode:
            raise StepFailed("web1", "adopt", done.returncode, tuple(done.stderr.decode().splitlines()))
        return done.stdout


class LegacyServer:
    """A planner over one such server."""

    def __init__(self, store: Database, server: LocalServer, strategies: Mapping[str, Strategy] = STRATEGIES) -> None:
        self.store, self.server = store, server
        self.host, self.engine = ShellHost(server), FakeEngine("web1")
        servers, refs = FakeServers([self.host], {"web1": self.engine}), server.source
        self.inspector = Inspector(store=store, servers=servers, refs=refs, strategies=strategies)
        self.legacy = Legacy(store=store, servers=servers, refs=refs, inspector=self.inspector, strategies=strategies)
        releases = Releases(store, refs, self.inspector)
        self.planner = Planner(
            store=store, inspector=self.inspector, legacy=self.legacy, releases=releases, strategies=strategies
        )

    async def site(self) -> Site:
        """What is known before a plan, taken over."""
        app = self.server.app
        return await self.legacy.adopt(await self.inspector.site(app, only(app), "web1"))

    async def deployed(self, release: str, state: State = State.SUCCEEDED) -> None:
        """Record that the version before deployed a release."""
        app = self.server.app
        part = ServerPlan(server="web1", steps=())
        plan = Plan(
            kind=Kind.DEPLOY,
            app=app.name,
            environment="production",
            release=Release.by_id(release),
            servers=(part,),
            digest="d",
        )

        def add(tables: Tables) -> None:
            ana = tables.people.of(Identity("console", "1")) or tables.people.add("ana", Identity("console", "1"))
            made = tables.deployments.add(plan, requester=ana, reason="", channel=None, now=1.0)
            tables.deployments.move(made.number, State.RUNNING, now=2.0)
            tables.deployments.begin(
                StepRow(
                    deployment=made.number,
                    phase=Phase.FORWARD,
                    server="web1",
                    position=0,
                    name="switch",
                    job=f"{made.number}-1",
                    state=StepState.DONE,
                )
            )
            tables.deployments.move(made.number, state, now=3.0)

        await self.store.write(add)

    async def plan(self, ref: str, *, rollback: bool = False) -> ServerPlan:
        app = self.server.app
        release = await self.server.source.resolve(app, ref)
        (part,) = (await self.planner.deploy(app, only(app), release, rollback=rollback)).servers
        return part

    async def run(self, part: ServerPlan) -> str:
        """Run a plan's steps for real, in a thread: the server has a loop of its own."""
        return await asyncio.to_thread(self.server.run, part.steps)

    async def manifests(self) -> dict[str, Manifest]:
        rows = await self.store.read(lambda tables: tables.manifests.of_target("shop", "production", "web1"))
        return {row.release: row.manifest for row in rows}

    async def verified(self) -> dict[str, bool]:
        rows = await self.store.read(lambda tables: tables.manifests.of_target("shop", "production", "web1"))
        return {row.release: row.verified for row in rows}


class Contained(FilesStrategy):
    """Folders and containers, without Compose."""

    containers = True


def made_before(server: LocalServer, repo: Repo, ref: str, *, current: bool = False, pins: str = "") -> str:
    """Put a release there as the scripts of the version before did: fetch, build, switch."""
    commit, root = repo.sha(ref), server.directory
    folder = root / "releases" / commit
    folder.mkdir(parents=True)
    tar = subprocess.run(["git", f"--git-dir={repo.path}", "archive", commit], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", folder], input=tar.stdout, check=True)
    (root / "incoming").mkdir(exist_ok=True)
    if server.git:
        copy = f"--git-dir={root}/repo.git"
        subprocess.run(["git", copy, "init", "--quiet", "--bare"], check=True)
        ref = f"+{commit}:refs/deploybot/{commit}"
        subprocess.run(["git", copy, "fetch", "--quiet", repo.url, ref], check=True)
    for mark in (".deploybot-release", ".deploybot-complete"):
        (folder / mark).touch()
    if pins:
        (folder / "deploybot.images.yaml").write_text(pins)
        (folder / ".deploybot-compose").write_text("compose.yaml\nops/more.yaml\ndeploybot.images.yaml\n")
    if current:
        for other in (root / "releases").iterdir():
            if other != folder:
                (other / ".deploybot-good").touch()
        (root / "current").unlink(missing_ok=True)
        (root / "current").symlink_to(f"releases/{commit}")
    return commit


def pins_of(release: str, **images: str) -> str:
    """The pins file as the version before wrote it; `images` are ids, or a digest and an id with a blank between."""
    lines = ["# Made by deploybot: the images of this release.", "services:"]
    for service, image in images.items():
        label, _, id_ = image.rpartition(" ")
        lines += [
            f'  "{service}":',
            f'    image: "deploybot/shop/{service}:{id_.removeprefix("sha256:")[:12]}"',
            "    labels:",
            f'      deploybot.release: "{release}"',
            f'      deploybot.image: "{label or id_}"',
            "    pull_policy: never",
        ]
    return "\n".join(lines) + "\n"


def tagged(service: str, image: str, *digests: str) -> Image:
    """An image with the tag of the version before."""
    return Image(id=image, tags=(f"deploybot/shop/{service}:{image.removeprefix('sha256:')[:12]}",), digests=digests)


def runs(service: str, image: str, since: str, label: str = "", number: int = 1) -> Container:
    """A container that the version before made."""
    return Container(
        id=f"{service}{number}",
        name=f"shop-{service}-{number}",
        service=service,
        image=f"deploybot/shop/{service}:{image.removeprefix('sha256:')[:12]}",
        image_id=image,
        state="running",
        project="shop",
        labels=(("deploybot.release", since), ("deploybot.image", label or image)),
    )


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    for version in ("v1", "v2", "v3"):
        repo.commit({"page": version, "compose.yaml": "services: {}\n"})
        repo.tag(version)
    return repo


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store


@pytest.fixture
def files(make_server: MakeServer, store: Database, repo: Repo) -> LegacyServer:
    """An app of folders, two releases of it made by the version before, and one that it did not finish."""
    return LegacyServer(store, make_server(make_app("files", repo=repo.url, build="touch built")))


@pytest.fixture
def boxes(make_server: MakeServer, store: Database, repo: Repo) -> LegacyServer:
    """An app of containers."""
    app = make_app("compose", repo=repo.url, compose={"project": "shop"})
    return LegacyServer(store, make_server(app), {"compose": Contained()})
