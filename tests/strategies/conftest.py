"""Strategies: made apps and facts, and a server that runs their steps for real."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploybot import strategies
from deploybot.domain import Release, ServerFacts, ServerPlan, Step
from deploybot.masking import Redactor
from deploybot.ports import Site
from deploybot.settings import App, Environment
from deploybot.sources.git_source import GitSource
from tests.kit.settings import bot_settings
from tests.lab.busybox import applets, program_file

SCRIPTS = Path(strategies.__file__).parent / "scripts"


def make_app(strategy: str, **more: object) -> App:
    """An app on web1; strategies that need a script have one."""
    script = {"script": "deploy.sh"} if strategy == "script" else {}
    return bot_settings(apps={"shop": {"repo": "/srv/git/shop.git", "strategy": strategy, **script, **more}}).apps[
        "shop"
    ]


def only(app: App) -> Environment:
    (environment,) = app.environments.values()
    return environment


def site_of(app: App, facts: ServerFacts, *good: Release) -> Site:
    """A target where the link says what runs, and where these releases were healthy once."""
    ids = frozenset(one.id for one in good)
    return Site(app=app, environment=only(app), facts=facts, good=ids, running=facts.current)


def env_of(step: Step) -> dict[str, str]:
    return dict(step.env)


class StepEnded(Exception):
    """A step ended badly; holds all it said."""

    def __init__(self, step: Step, code: int, said: str) -> None:
        super().__init__(f"{step.name} ended with {code}:\n{said}")
        self.step = step
        self.said = said


@dataclass
class LocalServer:
    """Runs steps as a server would: uploads put in place, the packaged script with the step's environment.

    `good` are the ids of releases that were healthy there, as the database would know.
    """

    directory: Path
    source: GitSource
    app: App
    shell: tuple[str, ...]
    path: str
    git: bool = True
    more: Mapping[str, str] = field(default_factory=dict)
    facts_more: ServerFacts = field(default_factory=lambda: ServerFacts(home="/"))
    log: list[str] = field(default_factory=list)
    good: set[str] = field(default_factory=set)

    def facts(self) -> ServerFacts:
        """What a probe would find."""
        root = self.directory
        ours, link = root / ".deploybot", root / "current"
        switching = ours / "switching"
        marks = sorted(path.parent.name for path in ours.glob("releases/*/complete") if not path.is_symlink())
        return replace(
            self.facts_more,
            home=str(root.parent),
            server="web1",
            git=self.git,
            directory=str(root),
            current=link.readlink().name if link.is_symlink() else "",
            current_is_folder=link.is_dir() and not link.is_symlink(),
            switching=switching.read_text().strip() if switching.exists() else "",
            releases=tuple(name for name in marks if (root / "releases" / name).is_dir()),
            legacy=tuple(sorted(path.parent.name for path in root.glob("releases/*/.deploybot-complete"))),
            have=tuple(sorted(path.name for path in root.glob("repo.git/refs/deploybot/*"))),
        )

    def site(self) -> Site:
        """What is known of the target before a plan."""
        facts = self.facts()
        return Site(
            app=self.app,
            environment=only(self.app),
            facts=facts,
            good=frozenset(self.good),
            running=facts.current,
        )

    def plan(self, ref: str) -> ServerPlan:
        """Plan a ref as the planner would."""
        site = self.site()
        previous = Release.of_commit(site.running, ref="before") if site.running else None
        return strategies.STRATEGIES[self.app.strategy].deploy(site, self.release(ref), previous)

    def deploy(self, ref: str) -> ServerPlan:
        """Deploy a ref, and keep that it was healthy, as the engine would."""
        plan = self.plan(ref)
        self.run(plan.steps)
        self.good.add(self.facts().current)
        return plan

    def run(self, steps: Iterable[Step], secrets: Mapping[str, str] | None = None) -> str:
        """Run steps one after the other; what they said. StepEnded at the first that fails."""
        return "".join(self._run(step, secrets or {}) for step in steps)

    def send(self, step: Step) -> None:
        """Put a step's uploads in place."""
        for upload in step.uploads:
            make = (
                self.source.bundle(self.app, upload.commit, upload.have)
                if upload.kind == "bundle"
                else self.source.archive(self.app, upload.commit)
            )
            target = Path(upload.target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(asyncio.run(make), target)

    def _run(self, step: Step, secrets: Mapping[str, str]) -> str:
        self.send(step)
        env = {"PATH": self.path, "HOME": str(self.directory.parent), **self.more, **dict(step.env)}
        env |= {name: secrets[name] for name in step.secrets if name in secrets}
        done = subprocess.run(
            [*self.shell, SCRIPTS / f"{step.script}.sh"],
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o077,
            timeout=300,
            check=False,
        )
        self.log.append(f"== {step.name}\n{done.stdout}")
        if done.returncode:
            raise StepEnded(step, done.returncode, done.stdout)
        return done.stdout

    def release(self, ref: str) -> Release:
        """A ref of the app's repository as a release."""
        return asyncio.run(self.source.resolve(self.app, ref))

    def current(self) -> Path:
        """The directory that `current` means."""
        return (self.directory / "current").resolve(strict=True)


def busybox_path(folder: Path) -> str:
    """A PATH with busybox's programs and nothing else."""
    folder.mkdir(parents=True)
    for name in applets():
        (folder / name).symlink_to(program_file())
    return str(folder)


MakeServer = Callable[..., LocalServer]


@pytest.fixture(params=["dash", pytest.param("busybox", marks=pytest.mark.needs("busybox"))])
def make_server(request: pytest.FixtureRequest, tmp_path: Path) -> MakeServer:
    """Make servers with dash, git and GNU tools, or with busybox alone."""

    def make(app: App) -> LocalServer:
        directory = tmp_path / "srv" / "a shop"
        directory.mkdir(parents=True)
        place = only(app).model_copy(update={"directory": str(directory)})
        app = app.model_copy(update={"directory": str(directory), "environments": {place.name: place}})
        source = GitSource(tmp_path / "data", Redactor())
        if request.param == "dash":
            return LocalServer(directory, source, app, ("dash",), os.environ["PATH"])
        path = busybox_path(tmp_path / "busybox")
        return LocalServer(directory, source, app, (f"{path}/sh",), path, git=False)

    return make
