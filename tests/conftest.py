"""Fixtures: the laboratory, started piece by piece as tests ask for it.

`sshd`, `engine`, `engine2`, `registry` and `busybox_server` live for the whole run and are
put right after every test that used them. A test that breaks a server for good,
or counts what is on it, makes its own with `make_sshd` or `make_engine`.
"""

from __future__ import annotations

import gc
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests.lab import Access, Engine, FullDisk, Lab, Registry, Repo, Sshd
from tests.lab.parts import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HERMETIC_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}

# How long an example takes says more of the machine than of the code; pytest's own time-out remains.
# In CI the examples are always the same: a commit is judged by what it changed.
settings.register_profile(
    "patient",
    settings(),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("patient")

_TESTS = Path(__file__).parent
_LONG = (
    *("strategies/test_compose_lab.py", "e2e/test_watch.py", "test_histories.py", "strategies/test_image_apps_lab.py"),
    *("test_demo.py", "strategies/test_settings_back_lab.py", "strategies/test_compose_back_lab.py", "test_image.py"),
    *("strategies/compose/test_takeover_lab.py", "e2e/test_reality.py", "strategies/test_compose_order_lab.py"),
    *("test_unseen.py", "strategies/test_images_lab.py", "e2e/test_image_apps.py", "bare/test_machine.py"),
    *("strategies/test_image_apps_by_hand_lab.py", "strategies/test_compose_volumes_lab.py", "e2e/test_images.py"),
    *("strategies/test_switch_tasks_lab.py",),
)
"""Files that take a minute or more. They begin, so that at the end no worker is alone with one of them."""

Kept = dict[str, Sshd | Engine | Registry]


class MakeSshd(Protocol):
    """Makes a server with sshd; see `Lab.sshd`."""

    def __call__(self, name: str = "", *, shell: str = "/bin/sh", access: Access | None = None) -> Sshd:
        """Make and start one."""


class MakeEngine(Protocol):
    """Makes a server with a Docker Engine; see `Lab.engine`."""

    def __call__(self, name: str = "docker", *, access: Access | None = None, disk: int | None = None) -> Engine:
        """Make and start one."""


class MakeRepo(Protocol):
    """Makes an empty bare git repository; see `Repo`."""

    def __call__(self, name: str = "shop") -> Repo:
        """Make one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first. The order of all others stays."""
    first = {_TESTS / name: turn for turn, name in enumerate(_LONG)}
    assert all(path.is_file() for path in first), "one of _LONG has another name by now"
    items.sort(key=lambda item: first.get(item.path, len(first)))


def pytest_collection_finish() -> None:
    """Look no more for garbage among the tests themselves: they stay, and there are ten thousand of them."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a part that this machine lacks; under CI that is a failure."""
    for mark in item.iter_markers("needs"):
        _stop_without(missing(*mark.args))
    if isinstance(item, pytest.Function) and "lab" in item.fixturenames:
        _stop_without(missing())


def _stop_without(lack: str) -> None:
    # In one place, because pytest tells skips from one place in one line.
    if lack and os.environ.get("CI"):
        pytest.fail(lack, pytrace=False)
    if lack:
        pytest.skip(lack)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted, whichever process they ran in."""
    figures = [
        f"{report.nodeid}: {text}"
        for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed"))
        for name, text in report.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("counted")
        terminalreporter.write_line("\n".join(figures))


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that takes what a test counted, to be told at the end of the run."""
    return partial(record_property, "figure")


@pytest.fixture(autouse=True)
def _hermetic_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep git from the configuration of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in _HERMETIC_GIT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Return the laboratory."""
    # Asked again for tests that get their server by `request.getfixturevalue`.
    _stop_without(missing())
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def _kept() -> Kept:
    """Return the servers that live for the whole run, by the names of their fixtures."""
    return {}


@pytest.fixture(scope="session")
def sshd(lab: Lab, _kept: Kept) -> Sshd:
    """Return a server with sshd, dash and no Docker."""
    _kept["sshd"] = made = lab.sshd()
    return made


@pytest.fixture(scope="session")
def sshds(lab: Lab) -> Callable[[int], list[Sshd]]:
    """Return a function that gives so many servers with sshd, always the same first ones."""
    made: list[Sshd] = []

    def give(count: int) -> list[Sshd]:
        made.extend(lab.sshd() for _ in range(count - len(made)))
        for server in made:
            server.mend()
        return made[:count]

    return give


@pytest.fixture(scope="session")
def busybox_server(lab: Lab, _kept: Kept) -> Sshd:
    """Return a server whose sessions see busybox alone."""
    _kept["busybox_server"] = made = lab.busybox_sshd()
    return made


@pytest.fixture(scope="session")
def engine(lab: Lab, _kept: Kept) -> Engine:
    """Return a server with a Docker Engine; `engine.sshd` opens it."""
    _kept["engine"] = made = lab.engine()
    return made


@pytest.fixture(scope="session")
def engine2(lab: Lab, _kept: Kept) -> Engine:
    """Return another one."""
    _kept["engine2"] = made = lab.engine()
    return made


@pytest.fixture(scope="session")
def registry(lab: Lab, _kept: Kept) -> Registry:
    """Return an image registry; engines reach it after `engine.trust(registry)`."""
    _kept["registry"] = made = lab.registry()
    return made


@pytest.fixture
def make_sshd(lab: Lab) -> Iterator[MakeSshd]:
    """Return a function that makes servers for this test alone."""
    with ExitStack() as stack:

        def make(name: str = "", *, shell: str = "/bin/sh", access: Access | None = None) -> Sshd:
            server = lab.sshd(name, shell=shell, access=access)
            stack.callback(lab.discard, server.box)
            return server

        yield make


@pytest.fixture
def make_engine(lab: Lab) -> Iterator[MakeEngine]:
    """Return a function that makes servers with a Docker Engine for this test alone."""
    with ExitStack() as stack:

        def make(name: str = "docker", *, access: Access | None = None, disk: int | None = None) -> Engine:
            server = lab.engine(name, access=access, disk=disk)
            stack.callback(lab.discard, server.box)
            return server

        yield make


@pytest.fixture
def full_disk(lab: Lab) -> Iterator[FullDisk]:
    """Return a disk of 2 MiB for the tests' own process, already full."""
    disk = lab.full_disk(size=2 << 20)
    disk.fill()
    yield disk
    disk.unmount()


@pytest.fixture
def make_repo(tmp_path: Path) -> MakeRepo:
    """Return a function that makes an empty bare git repository of a name. Needs no laboratory."""

    def make(name: str = "shop") -> Repo:
        return Repo(tmp_path / f"{name}.git")

    return make


@pytest.fixture(autouse=True)
def _mended(request: pytest.FixtureRequest, _kept: Kept) -> Iterator[None]:
    """Put the servers that are kept right again after a test that used them."""
    yield
    for name in _kept.keys() & {*request.fixturenames}:
        _kept[name].mend()
