"""A strategy that does what a test says and notes what it was asked, with the parts that make plans with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploybot.deployments.legacy_releases import Legacy
from deploybot.deployments.planner import Planner
from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.target_inspection import GRACE, Inspector
from deploybot.domain import CommitSource, CommitWithImages, Manifest, Release, ReleaseSource, ServerPlan, Step
from deploybot.ports import Site, Strategy
from deploybot.settings import SwitchTask
from tests.kit.bot import BotUnderTest

SWITCH = Step(
    name="switch", script="switch", env=(("DEPLOYBOT_RELEASE", "r"),), secrets=("TOKEN",), timeout=60.0, switches=True
)
BACK = Step(name="restore", script="switch", env=(("DEPLOYBOT_RELEASE", "old"),), timeout=60.0, switches=True)


@dataclass
class PlainStrategy:
    """`ports.Strategy`. `questions` are the scripts that it asks, `part` is what `deploy` adds to a plan."""

    containers: bool = False
    takes: tuple[type[ReleaseSource], ...] = (CommitSource, CommitWithImages)
    questions: list[str] = field(default_factory=list)
    part: dict[str, Any] = field(default_factory=dict)
    fetches: list[bool] = field(default_factory=list)
    checked: list[Release] = field(default_factory=list)
    deployed: list[tuple[Site, Release, Release | None, bool]] = field(default_factory=list)
    kept: list[tuple[str, ...]] = field(default_factory=list)
    tasks: list[tuple[Site, Release]] = field(default_factory=list)

    def check(self, site: Site, release: Release) -> None:
        """Note the release."""
        del site
        self.checked.append(release)

    def fetch(self, site: Site, release: Release, *, again: bool) -> Step:
        """A step that takes at most 30 seconds."""
        del site
        self.fetches.append(again)
        return Step(name="fetch", script="fetch", env=(("DEPLOYBOT_RELEASE", release.id),), timeout=30.0)

    def look(self, site: Site) -> Step | None:
        """Releases bring all files."""
        del site
        return None

    def named_images(self, site: Site) -> Mapping[str, str]:
        """There are none."""
        del site
        return {}

    def ask(self, site: Site, release: Release) -> Step | None:
        """The next question that has no answer."""
        del release
        name = next((one for one in self.questions if one not in site.answers), None)
        return Step(name=name, script=name) if name else None

    def before(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """A step for each task."""
        del site, release
        return tuple(Step(name=one.task, script="command", task=one.task) for one in tasks)

    def after(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """A step for each task."""
        return self.before(site, release, tasks)

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """One step, and one back where something ran before."""
        self.deployed.append((site, release, previous, back))
        return ServerPlan(
            **{"server": "", "steps": (SWITCH,), "replaces": previous, "restore": (BACK,) if previous else ()}
            | self.part
        )

    def image_names(self, site: Site, release: Release) -> Mapping[str, str]:
        """It has no images."""
        del site, release
        return {}

    def manifest(self, site: Site, release: Release, images: Mapping[str, tuple[str, str]]) -> Manifest:
        """It has no images."""
        del site, release, images
        return Manifest()

    def bind(self, step: Step, site: Site, release: Release) -> Mapping[str, str]:
        """It binds nothing late."""
        del step, site, release
        return {}

    def restart(self, site: Site, release: Release) -> ServerPlan:
        """One step."""
        del site, release
        return ServerPlan(**{"server": "", "steps": (SWITCH,)} | self.part)

    def task(self, site: Site, release: Release, task: str) -> ServerPlan:
        """One step that is called as the task."""
        self.tasks.append((site, release))
        return ServerPlan(**{"server": "", "steps": (Step(name=task, script="task"),)} | self.part)

    def prune(self, site: Site, keep: tuple[str, ...]) -> tuple[Step, ...]:
        """A step with what stays."""
        del site
        self.kept.append(keep)
        return (Step(name="prune", script="prune", env=(("DEPLOYBOT_KEEP", "\n".join(keep)),)),)


def inspector_of(bot: BotUnderTest, strategy: Strategy, *, name: str = "files", grace: float = GRACE) -> Inspector:
    """What looks at servers."""
    strategies = {name: strategy}
    return Inspector(store=bot.store, servers=bot.hosts, refs=bot.refs, strategies=strategies, grace=grace)


def planner_of(bot: BotUnderTest, strategy: Strategy, *, name: str = "files") -> Planner:
    """What makes plans."""
    strategies = {name: strategy}
    inspector = inspector_of(bot, strategy, name=name)
    legacy = Legacy(store=bot.store, servers=bot.hosts, refs=bot.refs, inspector=inspector, strategies=strategies)
    releases = Releases(bot.store, bot.refs, inspector, bot.images)
    return Planner(store=bot.store, inspector=inspector, legacy=legacy, releases=releases, strategies=strategies)
