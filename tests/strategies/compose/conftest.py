"""The three Composes, the scripts that ask them, and folders like those of a server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploybot.domain import Container
from deploybot.strategies.compose.compose_answers import ConfigAnswers, parse_answers
from deploybot.strategies.compose.compose_model import ComposeConfig, parse_config
from deploybot.strategies.compose.mounted_paths import PathFacts, parse_paths, wanted_mounted, wanted_paths
from tests.lab import COMPOSE_ALONE
from tests.lab.sshd import COMPOSE_1, COMPOSE_5
from tests.strategies.conftest import SCRIPTS, busybox_path

PROJECT = "shop"


@dataclass(frozen=True)
class Flavour:
    """A version of Compose, as a program called `docker-compose`."""

    version: tuple[int, int]
    path: Path

    @property
    def major(self) -> int:
        return self.version[0]


ONE, TWO, FIVE = Flavour((1, 29), COMPOSE_1), Flavour((2, 26), COMPOSE_ALONE), Flavour((5, 6), COMPOSE_5)
NAMES = {ONE: "1.29", TWO: "2.26", FIVE: "5"}


@pytest.fixture(params=NAMES, ids=NAMES.__getitem__)
def flavour(lab: object, request: pytest.FixtureRequest) -> Flavour:
    """Each of the three Composes; they come with the laboratory."""
    assert lab
    assert isinstance(request.param, Flavour)
    return request.param


@pytest.fixture(params=[TWO, FIVE], ids=NAMES.__getitem__)
def json_flavour(lab: object, request: pytest.FixtureRequest) -> Flavour:
    """Those that print JSON."""
    assert lab
    assert isinstance(request.param, Flavour)
    return request.param


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Files with what is in them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@dataclass
class Host:
    """A server's app directory, and the shell and programs that its scripts run with."""

    directory: Path
    shell: str = "dash"
    path: str = "/usr/bin:/bin"
    more: dict[str, str] = field(default_factory=dict)

    def release(self, name: str, files: Mapping[str, str]) -> Path:
        """A release's folder, fetched a while ago."""
        folder = write(self.directory / "releases" / name, files)
        mark = self.directory / ".deploybot/releases" / name / "fetched"
        mark.parent.mkdir(parents=True)
        mark.touch()
        for path in (*folder.rglob("*"), mark):
            if not path.is_symlink():
                os.utime(path, (1_000_000_000, 1_000_000_000))
        return folder

    def run(self, script: str, release: str, path: str = "", **values: str) -> bytes:
        """What a script prints."""
        given = {"DEPLOYBOT_DIRECTORY": str(self.directory), "DEPLOYBOT_RELEASE": release, **self.more, **values}
        done = subprocess.run(
            [self.shell, SCRIPTS / f"{script}.sh"],
            env={"PATH": f"{path}:{self.path}", "HOME": "/root", **given},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def look(self, release: str, paths: Sequence[str], mounted: Sequence[str] = ()) -> PathFacts:
        """What compose_paths.sh sees."""
        values = {"DEPLOYBOT_PATHS": "\n".join(paths), "DEPLOYBOT_MOUNTED": "\n".join(mounted)}
        return parse_paths(self.run("compose_paths", release, **values), str(self.directory))

    def facts(self, release: str, config: ComposeConfig, containers: Sequence[Container] = ()) -> PathFacts:
        """What is at all paths that matter for a configuration."""
        return self.look(release, wanted_paths(config), wanted_mounted(config, containers))

    def ask(self, release: str, flavour: Flavour, *, running: Sequence[str] = (), **more: str) -> ConfigAnswers:
        """What compose_config.sh says."""
        values = {
            "DEPLOYBOT_COMPOSE": "docker-compose",
            "DEPLOYBOT_COMPOSE_MAJOR": str(flavour.major),
            "DEPLOYBOT_COMPOSE_FILES": "",
            "DEPLOYBOT_RUNNING_FOLDERS": "\n".join(running),
            "COMPOSE_PROJECT_NAME": PROJECT,
            **more,
        }
        return parse_answers(self.run("compose_config", release, str(flavour.path), **values))

    def config(self, release: str, flavour: Flavour, **more: str) -> ComposeConfig:
        """The model of a release."""
        answer = self.ask(release, flavour, **more).release
        assert answer.code == 0, answer.errors
        folder = str(self.directory / "releases" / release)
        return parse_config(answer.text, project=PROJECT, folders=(folder, answer.folder))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A server with GNU's programs and dash."""
    directory = tmp_path / "srv"
    directory.mkdir()
    return Host(directory)


@pytest.fixture(params=["dash", "busybox"])
def any_host(request: pytest.FixtureRequest, tmp_path: Path, lab: object) -> Host:
    """The same, and one with busybox alone."""
    assert lab
    directory = tmp_path / "srv"
    directory.mkdir()
    if request.param == "dash":
        return Host(directory)
    path = busybox_path(tmp_path / "busybox")
    return Host(directory, f"{path}/sh", path)


def composed(flavour: Flavour, folder: Path, *arguments: str, more: Mapping[str, str] | None = None) -> str:
    """Run Compose in a folder; what it printed."""
    done = subprocess.run(
        [flavour.path / "docker-compose", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", "COMPOSE_PROJECT_NAME": PROJECT, **(more or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
