"""Events late, twice and shuffled, among looks of the bot's own: an older release never replaces a newer one.

The other side goes its own way meanwhile: commits follow each other, branches are rewritten and moved back, tags are
made in any order. What is deployed is only ever later than what was, and the last thing wanted is always deployed.
Images are pushed among commits that wait for their builds; a commit is deployed with the newest images, and a single
image with the commit that runs.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploybot.autodeploy.detector import TriggerDetector
from deploybot.autodeploy.pending_deployments import Refusal, TriggerRequests
from deploybot.autodeploy.trigger_records import TriggerRecords
from deploybot.card import Card
from deploybot.command import Incoming
from deploybot.domain import (
    NO_RELEASE,
    Build,
    BuildState,
    Event,
    Kind,
    Pin,
    Plan,
    Push,
    Release,
    Running,
    State,
    Tagged,
    Trigger,
)
from deploybot.domain.versions import Version, tag_version
from deploybot.ports import Tables
from deploybot.settings import App
from deploybot.store.database import Database
from deploybot.testing import FakeClock, FakeRefs, memory_store
from tests.autodeploy.conftest import PinnedImages, auto_settings
from tests.autodeploy.test_images import IMAGES
from tests.store.examples import seeded, times


@dataclass
class Shuffle:
    """One app, the other side, and everything that was ever deployed, in order."""

    app: App
    refs: FakeRefs
    store: Database
    deployed: list[str] = field(default_factory=list)
    images: PinnedImages | None = None
    release: Release = NO_RELEASE
    automatic: TriggerDetector = field(init=False)

    def __post_init__(self) -> None:
        clock = FakeClock()
        records = TriggerRecords(clock, lambda _: ())
        requests = TriggerRequests(
            store=self.store, clock=clock, records=records, handle=self.handle, refusal=self.allow
        )
        self.automatic = TriggerDetector(
            store=self.store,
            clock=clock,
            refs=self.refs,
            images=self.images,
            requests=requests,
            records=records,
            wake=lambda _: None,
        )

    async def allow(self, _: Trigger) -> Refusal:
        return Refusal()

    async def handle(self, incoming: Incoming, _: Callable[[Card], Awaitable[None]]) -> Card | None:
        """Deploy at once: in the dispatcher's place, with the rows that it and the engine write."""
        await self.deploy(incoming.text.partition("@")[2].partition(" ")[0], incoming.trigger)
        return Card(title="done")

    async def deploy(self, ref: str, trigger: int = 0) -> None:
        pins = self.images.now if self.images else ()
        if ref.startswith("sha256:"):
            (named,) = (pin for pin in pins if pin.digest == ref)
            kept = {pin.service: pin for pin in self.release.images} | {named.service: named}
            release = self.release.with_images(tuple(kept.values()))
        else:
            release = Release.of_commit(ref, images=pins)
        plan = Plan(kind=Kind.DEPLOY, app=self.app.name, environment="staging", release=release, servers=())

        def deploy(tables: Tables) -> None:
            person = tables.people.named("ana") or tables.people.add("ana")
            made = tables.deployments.add(plan, requester=person, reason="", channel=None, now=1.0, trigger=trigger)
            if trigger:
                tables.triggers.mark_deployed(trigger, made.number)
            tables.deployments.move(made.number, State.SUCCEEDED, now=1.0)
            row = Running(self.app.name, "staging", "web1", plan.release, made.number, 1.0, healthy=True)
            tables.running.put(row)

        await self.store.write(deploy)
        self.release = release
        self.deployed.append(release.code or "")

    async def hear(self, event: Event) -> None:
        if await self.automatic.handle_event(self.app, event, "d"):
            await self.automatic.look(self.app)


def one_app(folder: Path, number: int, auto: dict[str, object]) -> App:
    more: dict[str, Any] = {"strategy": "compose", "images": IMAGES} if "image" in auto else {}
    app = auto_settings(folder, {"auto": auto}, **more).apps["shop"]
    places = {name: one.model_copy(update={"app": f"shop{number}"}) for name, one in app.environments.items()}
    return app.model_copy(update={"name": f"shop{number}", "environments": places})


async def branches(shuffle: Shuffle, dice: random.Random) -> tuple[bool, bool]:
    """A branch; whether an older commit came after a newer one, and whether the last one was lost."""
    refs, events, made = shuffle.refs, list[Event](), list[str]()
    refs.branches["develop"] = f"{0:040x}"
    await shuffle.automatic.look(shuffle.app)
    for number in range(1, dice.randint(3, 7)):
        commit = f"{number:040x}"
        on = dice.choice([refs.branches["develop"]] * 3 + made[-2:])
        refs.parents[commit] = on
        refs.branches["develop"] = commit
        made.append(commit)
        events += [Push(sender="github", branch="develop", after=commit)] * dice.randint(0, 3)
        if dice.random() < 0.2:
            refs.branches["develop"] = dice.choice(made)
        for _ in range(dice.randint(0, 2)):
            if events and dice.random() < 0.8:
                await shuffle.hear(events.pop(dice.randrange(len(events))))
            else:
                await shuffle.automatic.look(shuffle.app)
    dice.shuffle(events)
    for event in events:
        await shuffle.hear(event)
    await shuffle.automatic.look(shuffle.app)
    head, order = refs.branches["develop"], shuffle.deployed
    behind = any(head in refs._way(one)[1:] for one in order)
    return goes_back(refs, order), not behind and head not in order


def goes_back(refs: FakeRefs, order: list[str]) -> bool:
    """Whether anything was deployed twice, or after something that was made on top of it."""
    return any(later in refs._way(one) for at, one in enumerate(order) for later in order[at + 1 :])


async def tags(shuffle: Shuffle, dice: random.Random) -> tuple[bool, bool]:
    """Versions in any order; the same two answers."""
    refs, events = shuffle.refs, list[Event]()
    await shuffle.automatic.look(shuffle.app)
    names = dice.sample([f"v{major}.{minor}" for major in range(1, 4) for minor in (0, 2, 10)], 5)
    for number, name in enumerate(names, 1):
        refs.tags[name] = f"{number:040x}"
        refs.parents[refs.tags[name]] = ""
        events += [Tagged(sender="github", tag=name, commit=refs.tags[name])] * dice.randint(0, 2)
        if events and dice.random() < 0.7:
            await shuffle.hear(events.pop(dice.randrange(len(events))))
    dice.shuffle(events)
    for event in events:
        await shuffle.hear(event)
    await shuffle.automatic.look(shuffle.app)
    names_of = {commit: name for name, commit in refs.tags.items()}
    versions = [version(names_of[commit]) for commit in shuffle.deployed]
    backwards = any(later <= one for one, later in itertools.pairwise(versions))
    return backwards, refs.tags[max(names, key=version)] not in shuffle.deployed


async def images(shuffle: Shuffle, dice: random.Random) -> tuple[bool, bool]:
    """Images among commits that wait for their builds; the same two answers, of both."""
    refs, pinned, waits, digests = shuffle.refs, PinnedImages(), list[str](), itertools.count(1)
    shuffle.images = shuffle.automatic._images = pinned

    def publish(*services: str) -> None:
        fresh = {
            name: Pin(name, f"docker.io/acme/{name}", "latest", f"sha256:{next(digests):064x}") for name in services
        }
        pinned.now = tuple(({pin.service: pin for pin in pinned.now} | fresh).values())

    async def build(commit: str, state: BuildState) -> None:
        await shuffle.hear(Build(sender="github", key=commit, name="test", state=state, commit=commit))

    publish("web", "worker")
    refs.branches["develop"] = refs.known["develop"] = f"{0:040x}"
    await shuffle.deploy(refs.branches["develop"])
    await shuffle.automatic.look(shuffle.app)
    for number in range(1, dice.randint(3, 7)):
        for step in dice.sample(("push", "image", "look", "build", "look"), dice.randint(1, 5)):
            if step == "push":
                commit = f"{number:040x}"
                refs.parents[commit], refs.branches["develop"] = refs.branches["develop"], commit
                waits.append(commit)
            elif step == "image":
                publish(*dice.choice((("web",), ("worker",), ("web", "worker"))))
            elif step == "build" and waits:
                state = dice.choice((BuildState.PASSED, BuildState.FAILED, BuildState.RUNNING))
                await build(dice.choice(waits), state)
            else:
                await shuffle.automatic.look(shuffle.app)
    head = refs.branches["develop"]
    await shuffle.automatic.look(shuffle.app)
    await build(head, BuildState.PASSED)
    for _ in range(3):
        await shuffle.automatic.look(shuffle.app)
    order = shuffle.deployed
    older = any(later in refs._way(one)[1:] for one, later in itertools.pairwise(order))
    return older, (shuffle.release.code, {*shuffle.release.images}) != (head, {*pinned.now})


def version(tag: str) -> Version:
    found = tag_version(tag)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("auto", "play"),
    [
        ({"branch": "develop"}, branches),
        ({"tag": "v*"}, tags),
        ({"image": True, "branch": "develop", "after": "ci"}, images),
    ],
)
async def test_shuffled(
    tmp_path: Path,
    auto: dict[str, object],
    play: Callable[[Shuffle, random.Random], Awaitable[tuple[bool, bool]]],
    figure: Callable[[str], None],
) -> None:
    dice, count = seeded(), times(80)
    older = lost = deployed = 0
    async with memory_store() as store:
        for number in range(count):
            shuffle = Shuffle(one_app(tmp_path, number, auto), FakeRefs(tmp_path), store)
            was_older, was_lost = await play(shuffle, dice)
            older, lost, deployed = older + was_older, lost + was_lost, deployed + len(shuffle.deployed)
    word = next(iter(auto))
    figure(f"{word}: {older} of {count} shuffles let an older one replace a newer, {lost} lost ({deployed} deployed)")
    assert (older, lost) == (0, 0)
    assert deployed > count
