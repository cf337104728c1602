"""In whatever order events come, and however often: an older state never replaces a newer one."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from deploybot.card import Card
from deploybot.domain import (
    Alert,
    Build,
    BuildState,
    Change,
    Deployed,
    Event,
    ImagePushed,
    Note,
    Published,
    Synced,
    Tagged,
)
from deploybot.events.build_verdicts import is_newer, joined
from tests.events.channel import DIGEST, IMAGE, NOON, build, open_channel, push, sha
from tests.kit.seeds import new_seed

N = int(os.environ.get("N", "20"))
SEED = new_seed()
ENDS = [state for state in BuildState if state.ended]


def history(dice: random.Random) -> list[Event]:
    """What happens in an hour to an app, in order."""
    events: list[Event] = []
    for number in range(2, 2 + dice.randint(1, 4)):
        events.append(push(number))
        for name in ("tests", "lint"):
            events += _runs(dice, number, name)
    change = Change(sender="github", number=1, title="x", what="opened", branch="b", into="main", at=NOON)
    events += [
        replace(change, what=what, at=NOON + at, draft=dice.random() < 0.3) for at, what in enumerate(_ways(dice))
    ]
    for begun in range(dice.randint(1, 3)):
        alert = Alert(sender="p", key="k", name="Slow", firing=True, started=NOON + begun * 60, at=NOON + begun * 60)
        events += [alert, replace(alert, firing=False, at=alert.at + 30)][: dice.randint(1, 2)]
    deployed = Deployed(sender="github", key="1", environment="staging", state=BuildState.QUEUED, at=NOON)
    events += [replace(deployed, state=state, at=NOON + at) for at, state in enumerate(BuildState) if at < 3]
    events += [Tagged(sender="github", tag="v1", commit=sha(1), at=NOON), Published(sender="github", tag="v1", at=NOON)]
    events += [Published(sender="github", tag="v2", at=NOON + 1, gone=gone) for gone in (False, True)]
    events += [ImagePushed(sender="ghcr", image=IMAGE, tag=tag, digest=DIGEST, at=NOON) for tag in ("v1", "latest")]
    events += [Note(sender="event", key="k", title=f"step {at}", at=NOON + at) for at in range(3)]
    events += [Synced(sender="argocd", application="a", state=state, at=NOON + at) for at, state in enumerate("xyz")]
    return events


def _runs(dice: random.Random, number: int, name: str) -> Iterator[Build]:
    """All states of a build, some of them over again."""
    for attempt in range(1, dice.randint(1, 3) + 1):
        for state in (BuildState.QUEUED, BuildState.RUNNING, dice.choice(ENDS)):
            made = build(state, number, name=name, attempt=attempt)
            yield replace(made, at=made.at + 300 * attempt)
            if state is BuildState.RUNNING:
                job = dice.choice(("unit", "browser", "types"))
                yield replace(made, at=made.at + 300 * attempt + dice.randint(2, 90), number=0, failed=(job,))


def _ways(dice: random.Random) -> list[str]:
    return ["opened", *dice.choices(("updated", "closed", "reopened"), k=2), dice.choice(("merged", "closed"))]


async def told(events: list[Event]) -> dict[str, Card]:
    """The messages that come of events in this order, by their keys."""
    async with open_channel() as channel:
        await channel.hear(*events)
        return {card.key: card for card in await channel.messages()}


async def test_any_order_gives_the_same_messages(figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED)
    turned, received = 0, 0
    for _ in range(N):
        events = history(dice)
        wanted = await told(events)
        mixed = [*events, *dice.choices(events, k=len(events) // 3)]
        dice.shuffle(mixed)
        received += len(mixed)
        turned += await told(mixed) != wanted
    figure(f"{turned} of {N} histories told otherwise when shuffled and doubled, {received} events, seed={SEED}")
    assert turned == 0


def test_the_order_of_states_is_one_and_whole(figure: Callable[[str], None]) -> None:
    """Of any two states one is the newer; both are at a tie alone, where what came last counts."""
    dice = random.Random(SEED)
    many, wrong = N * 100, 0
    for _ in range(many):
        one, two, three = (_some_build(dice) for _ in range(3))
        tie = _told(one) == _told(two)
        wrong += (is_newer(one, two) and is_newer(two, one)) != tie or not (is_newer(one, two) or is_newer(two, one))
        wrong += is_newer(three, two) and is_newer(two, one) and not is_newer(three, one)
    figure(f"{wrong} of {many} triples of builds were in no order, seed={SEED}")
    assert wrong == 0


def test_an_older_state_never_replaces_a_newer_one(figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED)
    many, turned = N * 100, 0
    for _ in range(many):
        states = [*{_told(one): one for one in (_some_build(dice) for _ in range(dice.randint(2, 6)))}.values()]
        wanted = functools.reduce(joined, states[1:], joined(None, states[0]))
        mixed = [*states, dice.choice(states)]
        dice.shuffle(mixed)
        turned += functools.reduce(joined, mixed[1:], joined(None, mixed[0])) != wanted
        turned += wanted.attempt != max(one.attempt for one in states)
    figure(f"{turned} of {many} shuffled builds ended otherwise, seed={SEED}")
    assert turned == 0


def _told(one: Build) -> tuple[int, float, int]:
    """What the sender says of its order: two of the same are a tie."""
    step = {BuildState.QUEUED: 0, BuildState.RUNNING: 1}.get(one.state, 2)
    return one.attempt, one.at, step


def _some_build(dice: random.Random) -> Build:
    return build(
        dice.choice([*BuildState]), at=dice.choice((NOON, NOON + 5, NOON + 9)), attempt=dice.randint(1, 2),
        failed=tuple(sorted(dice.sample(("unit", "browser", "types"), dice.randint(0, 2)))),
    )  # fmt: skip


def test_without_times_an_end_is_newer_than_what_leads_to_it() -> None:
    states = [build(state, at=0.0, started=0.0, finished=0.0) for state in BuildState]
    queued, running, *ends = states
    assert not is_newer(queued, running)
    assert not any(is_newer(running, end) for end in ends)
    assert not any(is_newer(end, replace(queued, attempt=2)) for end in ends)
    assert all(is_newer(one, other) for one in ends for other in ends)


@pytest.mark.parametrize(
    ("one", "two", "ends"),
    [("Running", "Failed", "Failed"), ("Failed", "Running", "Failed"), ("Synced", "Failed", "Failed")],
)
async def test_argo_cd_at_one_moment_an_end_beats_a_middle_and_else_what_came_last(
    one: str, two: str, ends: str
) -> None:
    synced = Synced(sender="argocd", application="shop-production", state=one, commit=sha(1), at=NOON)
    async with open_channel() as channel:
        await channel.hear(synced, replace(synced, state=two))
        assert (await channel.message()).title.endswith(f"— {ends}")


async def test_two_notes_at_one_moment_the_last_one_counts() -> None:
    note = Note(sender="event", key="k", title="z", at=NOON)
    async with open_channel() as channel:
        await channel.hear(note, replace(note, title="a"))
        assert (await channel.message()).title == "shop: a"


async def test_many_at_once_give_the_same_messages_in_one_commit(figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED)
    otherwise = 0
    for _ in range(N):
        events = history(dice)
        wanted = await told(events)
        async with open_channel() as channel:
            shop, commits = channel.settings.apps["shop"], channel.store.commits
            said = await channel.telling.handle_events(shop, [(one, f"d{at}") for at, one in enumerate(events)])
            assert (len(said), channel.store.commits) == (len(events), commits + 1)
            otherwise += {card.key: card for card in await channel.messages()} != wanted
    figure(f"{otherwise} of {N} histories told otherwise when heard at once, seed={SEED}")
    assert otherwise == 0
