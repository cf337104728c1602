"""Ten thousand histories of CI against what their senders' documents make of them: no wrong verdict, one for all."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest

from deploybot.autodeploy.detector import TriggerDetector
from deploybot.autodeploy.event_hints import hint_of
from deploybot.autodeploy.pending_deployments import Refusal, TriggerRequests
from deploybot.autodeploy.trigger_records import TriggerRecords
from deploybot.card import Card, Tone
from deploybot.domain import Build, Event
from deploybot.events import build_verdicts as rules
from deploybot.notifications import event_subjects
from deploybot.notifications.build_cards import build_story
from deploybot.notifications.event_cards import CardContext
from deploybot.ports import EventPart
from deploybot.settings import Auto
from deploybot.settings.build_senders import forge_named
from deploybot.testing import FakeRefs
from tests.events.channel import NOON, EventChannel, open_channel, settings
from tests.events.ci_history import COMMIT, REFS, CiHistory, all_green, draw, named_green
from tests.kit.seeds import new_seed

N = int(os.environ.get("N", "300"))
SEED = new_seed()
HOOK = {"secret": {"env": "HOOK"}}
AUTO: dict[str, Any] = {
    "repo": "git@github.com:acme/shop.git",
    "hooks": dict.fromkeys(("github", "gitlab", "jenkins", "event"), HOOK),
    "environments": {
        "staging": {"servers": ["web1"], "default": True},
        "production": {
            "servers": ["web2"], "auto": {"branch": "main", "after": "ci"},
        },
    },
}  # fmt: skip
SETTINGS = settings(**AUTO)
SHOP = SETTINGS.apps["shop"]
ASKED = ("CI", "github:CI", ".github/workflows/w1.yml", "unit", "scan", "event:CI", "event:unit", "jenkins:shop",
         "gitlab:pipeline", "ci/mill", "jenkins:shop/main")  # fmt: skip


class Listeners(Protocol):
    """A channel and what deploys by itself, which hear the same."""

    async def hear(self, events: list[Event], first: int) -> None:
        """Hear events; the first of them is the so manieth."""

    async def builds(self) -> tuple[Build, ...]:
        """The builds of the commit that are kept for deployments."""

    async def cards(self) -> list[Card]:
        """The messages of the channel."""


class Real:
    """Both as they are, on the real rows."""

    def __init__(self, channel: EventChannel, folder: Path) -> None:
        async def refusal(_: object) -> Refusal:
            return Refusal("nothing is deployed here")

        async def handle(*_: object) -> Card | None:
            return None

        records = TriggerRecords(channel.clock, lambda _: ())
        ports: dict[str, Any] = {"store": channel.store, "clock": channel.clock, "records": records}
        requests = TriggerRequests(**ports, handle=handle, refusal=refusal)
        refs = FakeRefs(folder)
        self.automatic = TriggerDetector(**ports, refs=refs, images=None, requests=requests, wake=lambda _: None)
        self.channel = channel

    async def hear(self, events: list[Event], first: int) -> None:
        received = [(event, f"d{number}") for number, event in enumerate(events, first)]
        await self.channel.telling.handle_events(SHOP, received)
        await self.automatic.handle_events(SHOP, received)

    async def builds(self) -> tuple[Build, ...]:
        return await self.channel.store.read(lambda tables: tables.triggers.builds("shop", COMMIT))

    async def cards(self) -> list[Card]:
        return await self.channel.messages()


class OnPaper:
    """Both without rows: what they do between hearing and telling, as pure as it is."""

    def __init__(self) -> None:
        self.parts: dict[str, EventPart] = {}
        self.kept: dict[tuple[str, str], Build] = {}

    async def hear(self, events: list[Event], first: int) -> None:
        for number, event in enumerate(events, first):
            build = event_subjects.kept(event_subjects.dated(event, NOON))
            slot = event_subjects.position_of(build, "")
            was = self.parts.get(slot.part)
            joined = event_subjects.joined(was.event if was else None, build)
            thing, received = (was.thing, was.arrived_at) if was else (slot.thing, NOON + number)
            self.parts[slot.part] = EventPart(
                app="shop", thing=thing, part=slot.part, event=joined, arrived_at=received
            )
            hint = hint_of(SHOP, event)
            if hint is not None and (told := hint.built) is not None:
                key = told.sender, told.key
                self.kept[key] = rules.joined(self.kept.get(key), rules.dated(told, NOON))

    async def builds(self) -> tuple[Build, ...]:
        return tuple(one for one in self.kept.values() if one.commit == COMMIT)

    async def cards(self) -> list[Card]:
        every = sorted(self.parts.values(), key=lambda one: one.arrived_at)
        context = CardContext(
            app=SHOP,
            persons=lambda _: "",
            series=lambda *_: (),
            running=lambda _: (),
            zone=ZoneInfo("UTC"),
            builds=lambda _: every,
        )
        found = [[one for one in every if one.thing == thing] for thing in {one.thing for one in every}]
        cards = (build_story(context, parts).card for parts in found)
        return [replace(card, title=f"shop: {card.title}") for card in cards]


@asynccontextmanager
async def listeners(number: int, folder: Path) -> AsyncIterator[Listeners]:
    """One of twenty histories is heard by the real ones, which takes a hundred times as long."""
    if number % 20:
        yield OnPaper()
        return
    async with open_channel(SETTINGS) as channel:
        yield Real(channel, folder)


async def verdict(both: Listeners, auto: Auto, ref: str) -> str:
    return rules.judge(auto, await both.builds(), ref, forge_named(SHOP, ())).light.value


async def disagree(both: Listeners) -> list[str]:
    """Where the card of a branch says otherwise than a deployment from it would be decided."""
    wrong = []
    cards = {ref: card for card in await both.cards() for ref in REFS if card.title.startswith(f"shop: {ref} (")}
    for ref, card in cards.items():
        light = await verdict(both, Auto(branch=ref, after="ci"), ref)
        if light not in says(card) or bool(card.buttons) != (light == "green"):
            wrong.append(f"{ref} is {light}, and its card says {card.title}")
    return wrong


def says(card: Card) -> frozenset[str]:
    """The verdicts that a card leaves open: builds that were cancelled are no alarm, and keep it from being green."""
    word = card.title.rpartition(" — ")[2].partition(" ")[0].rstrip(":,")
    if card.tone is Tone.GOOD:
        return frozenset({"green"})
    if card.tone is Tone.BAD or word == "cancelled":
        return frozenset({"red"} if "may be from a fork" not in card.title else {"waits"})
    return frozenset({"waits", "red"} if "cancelled" in str(card.lines) else {"waits"})


def told(history: CiHistory) -> list[Event]:
    return [event for one in history.sent for event in one.events()]


async def test_no_history_of_builds_has_a_wrong_verdict(tmp_path: Path, figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED)
    lights: Counter[str] = Counter()
    wrong, apart, received = list[str](), list[str](), 0
    for number in range(N):
        seed = dice.randrange(10**9)
        history = draw(random.Random(seed))
        events = told(history)
        received, half = received + len(events), dice.randint(0, len(events))
        async with listeners(number, tmp_path) as both:
            await both.hear(events[:half], 0)
            apart += [f"{seed}, half: {one}" for one in await disagree(both)]
            await both.hear(events[half:], half)
            apart += [f"{seed}: {one}" for one in await disagree(both)]
            for ref in REFS:
                light = await verdict(both, Auto(branch=ref, after="ci"), ref)
                lights[light] += 1
                wrong += [] if light == all_green(history.ran, ref) else [f"{seed}: {ref} is {light}"]
                names = tuple(dice.sample(ASKED, dice.randint(1, 2)))
                light = await verdict(both, Auto(branch=ref, checks=names), ref)
                right = named_green(history.ran, ref, tuple(map(whose, names)))
                wrong += [] if light == right else [f"{seed}: {ref} {names} is {light}"]
    counts = ", ".join(f"{count} {light}" for light, count in sorted(lights.items()))
    figure(
        f"{len(wrong)} of {N} histories of builds had a wrong verdict, card and deployment disagreed in {len(apart)} "
        f"({received} events; {counts}), seed={SEED}"
    )
    assert (wrong, apart) == ([], [])
    assert {*lights} == {"green", "red", "waits"}


def whose(name: str) -> tuple[str, str]:
    """Whose check a name of `checks` is: the forge's where it names nobody."""
    who, colon, rest = name.partition(":")
    return (who, rest) if colon else ("github", name)


@pytest.mark.parametrize("seed", [848205074, 595848152])
async def test_builds_of_several_senders_in_one_go_have_one_card(tmp_path: Path, seed: int) -> None:
    """The card was begun once for each sender, and the older one was posted last."""
    events = told(draw(random.Random(seed)))
    async with listeners(0, tmp_path) as both:
        await both.hear(events[:20], 0)
        assert await disagree(both) == []
