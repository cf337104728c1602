"""Git sources over real repositories, real registries, and servers that answer as a test says."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploybot.masking import Redactor
from deploybot.settings import App, FileRef, Secret
from deploybot.sources.artifacts import Artifacts
from deploybot.sources.git_source import GitSource
from deploybot.testing import FakeClock
from tests.kit.settings import bot_settings
from tests.lab import Lab, Repo
from tests.lab.run import run
from tests.sources.forges import GitHub, GitLab, forge_of
from tests.sources.shelf import Handler, Serve, Shelf, shelf

MakeApp = Callable[..., App]
MakeRepo = Callable[..., Repo]


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return GitSource(tmp_path / "data with spaces", Redactor())


@pytest.fixture
def make_app() -> MakeApp:
    def make(repo: str, *, token: str = "", key: Path | None = None, host_key: str = "", **more: object) -> App:
        secret = None
        if token:
            secret = Secret(env="SHOP_TOKEN")
            secret.fill(token)
        given: dict[str, object] = {"repo": repo, **({"repo_host_key": host_key} if host_key else {}), **more}
        app = bot_settings(apps={"shop": given}).apps["shop"]
        return app.model_copy(update={"repo_token": secret, "repo_key": FileRef(file=key) if key else None})

    return make


@pytest.fixture
def repo(make_repo: MakeRepo) -> Repo:
    return make_repo("shop")


@pytest.fixture
def app(make_app: MakeApp, repo: Repo) -> App:
    return make_app(repo.url, warn_paths=["migrations/**", "*.sql"])


def git(where: Path, *args: str) -> str:
    return run("git", f"--git-dir={where}", *args).strip()


class Watched:
    """Counts what a source asks of the network, through a `git` of our own on PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.log = folder / "log"
        real = shutil.which("git")
        program = folder / "git"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{self.log}\nexec {real} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def count(self, word: str) -> int:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return sum(word in line.split() for line in lines)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path / "watched", monkeypatch)


def unpack(bundle: Path, commit: str, server: Path) -> None:
    """Do as a server does: fetch the one ref of a bundle."""
    if not server.exists():
        run("git", "init", "-q", "--bare", server)
    assert git(server, "bundle", "list-heads", str(bundle)) == f"{commit} refs/deploybot/{commit}"
    git(server, "fetch", "-q", str(bundle), f"refs/deploybot/{commit}:refs/deploybot/{commit}")
    git(server, "fsck", "--connectivity-only", "--no-dangling")


@pytest.fixture(scope="module")
def shelves(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Shelf]]:
    """Start registries, with and without a login, for the tests of one file."""
    del lab  # asked for so that this is skipped where there is none
    with ExitStack() as stack:

        def make(auth: Callable[[Path], dict[str, object]] | None = None, header: str = "") -> Shelf:
            folder = tmp_path_factory.mktemp("registry")
            return stack.enter_context(shelf(folder, auth(folder) if auth else None, header))

        yield make


@pytest.fixture(scope="module")
def open_shelf(shelves: Callable[..., Shelf]) -> Shelf:
    """A registry that needs no login."""
    return shelves()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Run a server that answers everything by one function; its address."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler) -> str:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", handler)
            server = await stack.enter_async_context(TestServer(application))
            return f"{server.host}:{server.port}"

        yield start


@pytest.fixture
async def github() -> AsyncIterator[GitHub]:
    async with forge_of(GitHub) as made:
        yield made


@pytest.fixture
async def gitlab() -> AsyncIterator[GitLab]:
    async with forge_of(GitLab) as made:
        yield made


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    async def needed(_: App) -> set[str]:
        return set()

    return Artifacts(tmp_path, FakeClock(), needed)
