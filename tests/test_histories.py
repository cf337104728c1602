"""Short histories, broken releases and hosts that are taken over; and that their judge finds what is wrong."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Card, Line, Table, Tone
from deploybot.domain import Deployment, Kind, Plan, Release, State
from tests.histories.asking import Ended
from tests.histories.broken.play import broken, draw
from tests.histories.hosts.play import hosts
from tests.histories.reality import RealContainer, Reality
from tests.histories.turns import EngineTurns
from tests.histories.world.claims import Evidence, diff_findings, end_findings, history_findings, status_findings
from tests.histories.world.dice import draw_acts
from tests.histories.world.ledger import Ledger, Memory, PastOrder
from tests.histories.world.play import world
from tests.kit.seeds import new_seed
from tests.lab import Lab

SEED = str(new_seed())
OLD, NEW = "1" * 40, "2" * 40
V1, V2 = Release.of_commit(OLD, "v1"), Release.of_commit(NEW, "v2")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """What a run says goes where a failed test shows it; the seed with it."""
    del capsys
    sys.stdout.write(f"SEED={SEED}\n")

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    return say


@pytest.mark.timeout(900)
async def test_a_short_world(
    lab: Lab, tmp_path: Path, figure: Callable[[str], None], said: Callable[[str], None]
) -> None:
    figures = await world(lab, tmp_path, runs=1, seed=SEED, lanes=1, say=said)
    figure(str(figures))
    assert figures.good
    assert figures.histories == 1


@pytest.mark.timeout(900)
async def test_some_releases_break_off(
    lab: Lab, tmp_path: Path, figure: Callable[[str], None], said: Callable[[str], None]
) -> None:
    figures = await broken(lab, tmp_path, runs=2, seed=SEED, lanes=2, say=said)
    figure(str(figures))
    assert figures.good
    assert figures.cases == 2


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("seed", "runs", "case"), [("902037", 2, 2), ("2f161ae4", 200, 186)], ids=["a tag", "a start"])
async def test_a_full_disk_in_the_middle_of_up_is_no_reason_not_to_restore(
    lab: Lab,
    tmp_path: Path,
    figure: Callable[[str], None],
    said: Callable[[str], None],
    *,
    seed: str,
    runs: int,
    case: int,
) -> None:
    """Without a free byte Docker cannot write a tag again, though it is right, and can start no container."""
    figures = await broken(lab, tmp_path, runs=runs, seed=seed, lanes=1, only=case, say=said)
    figure(str(figures))
    assert figures.good
    assert figures.cases == 1


@pytest.mark.timeout(900)
async def test_two_hosts_are_taken_over(
    lab: Lab, tmp_path: Path, figure: Callable[[str], None], said: Callable[[str], None]
) -> None:
    figures = await hosts(lab, tmp_path, runs=2, seed=SEED, lanes=2, say=said)
    figure(str(figures))
    assert figures.good
    assert (figures.taken_over, figures.restarted, figures.moved) == (2, 0, 0)


def test_the_same_seed_draws_the_same() -> None:
    assert draw_acts(random.Random("7/app1")) == draw_acts(random.Random("7/app1"))
    assert draw("7", 40) == draw("7", 40)
    assert draw("7", 40) != draw("8", 40)
    assert len({case.breakage.name for case in draw("7", 33)}) == 33


async def test_who_wants_to_be_alone_waits_for_the_others_and_counts() -> None:
    turns, seen = EngineTurns(), []
    async with turns.turn(alone=False), turns.turn(alone=False):
        seen.append(turns.epoch)
    async with turns.turn(alone=True):
        seen.append(turns.epoch)
    assert (*seen, turns.epoch) == (0, 0, 1)


def container(service: str, image: str, **more: object) -> RealContainer:
    made = RealContainer(id=f"{service}{image}", name=service, service=service, image=image, state="running", ours=True)
    return replace(made, **more)  # type: ignore[arg-type]


def reality(answer: str, image: str, **more: object) -> Reality:
    services = ("cache", "web", "worker")
    there = tuple(container(name, image, **more) for name in services)
    return Reality(answer=answer, containers=there, current=NEW, folders=frozenset({OLD, NEW}))


GOOD = reality("app-v2", "new")
BEFORE = reality("app-v1", "old")


@pytest.fixture
def ledger() -> Ledger:
    memories = {
        OLD: Memory(answer="app-v1", images=BEFORE.images, digests={}),
        NEW: Memory(answer="app-v2", images=GOOD.images, digests={}),
    }
    orders = {2: PastOrder(state=State.SUCCEEDED, release=V2, before="app-v1", names=frozenset({"v1"}))}
    return Ledger(memories=memories, texts={OLD: "app-v1", NEW: "app-v2"}, running=NEW, orders=orders)


def status(text: str, tone: Tone = Tone.GOOD) -> Card:
    return Card(title="app in live", lines=(Line("web1", text, tone),))


CALM = status("v2 (2222222222) · 3 s ago · healthy")


def test_a_true_status_is_found_true(ledger: Ledger) -> None:
    assert [*status_findings(CALM, Evidence(GOOD, ledger))] == []
    stopped = reality("", "new", state="exited", code=137)
    said = status("v2 (2222222222) · web exited with 137", Tone.BAD)
    assert [*status_findings(said, Evidence(stopped, ledger))] == []


@pytest.mark.parametrize(
    ("card", "there"),
    [
        (CALM, BEFORE),
        (CALM, reality("app-v2", "other")),
        (CALM, reality("", "new", state="exited")),
        (CALM, Reality()),
        (status("nothing deployed yet"), GOOD),
        (status("v2 (2222222222) · web is missing", Tone.BAD), GOOD),
        (status("v2 (2222222222) · no containers", Tone.BAD), GOOD),
        (status("#2 deployed v2 (2222222222), but nothing of it runs", Tone.BAD), GOOD),
        (status("v1 (1111111111) · web unhealthy", Tone.BAD), reality("app-v2", "new", health="healthy")),
        (Card(title="There is nothing here"), GOOD),
    ],
)
def test_an_untrue_status_is_found(ledger: Ledger, card: Card, there: Reality) -> None:
    assert [*status_findings(card, Evidence(there, ledger))]


def test_an_untrue_diff_is_found(ledger: Ledger) -> None:
    right, wrong = (Card(title=f"app/live: v{n} ({str(n) * 10}) → v3 (3333333333)") for n in (2, 1))
    already = Card(title="app/live already has v1 (1111111111): no commit or image would change.")
    none = Card(title="app/live has no release to compare v3 (3333333333) with.")
    evidence = Evidence(GOOD, ledger)
    assert [*diff_findings(right, evidence)] == []
    assert [bool([*diff_findings(card, evidence)]) for card in (wrong, already, none)] == [True, True, True]


def past(result: str, change: str) -> Card:
    row = ("2", "now", "ana", "deploy", "live", change, result, "3 s")
    return Card(title="The only one", table=Table(("#",) * 8, (row,)))


def test_an_untrue_history_is_found(ledger: Ledger) -> None:
    assert [*history_findings(past("succeeded", "v1 → v2"), ledger)] == []
    for card in (past("failed", "v1 → v2"), past("succeeded", "v9 → v2"), past("succeeded", "nothing → v2")):
        assert [*history_findings(card, ledger)]
    assert [*history_findings(Card(title="Nothing"), ledger)] == ["history has no #2"]


def end(state: State, outcome: str, kind: Kind = Kind.DEPLOY) -> Ended:
    plan = Plan(kind=kind, app="app", environment="live", release=V2, servers=())
    made = Deployment(number=2, plan=plan, state=state, requester=1, requester_name="ana", outcome=outcome)
    return Ended(Card(title="#2"), made)


@pytest.mark.parametrize(
    ("ended", "before", "after", "true"),
    [
        (end(State.SUCCEEDED, "Everything is healthy."), BEFORE, GOOD, True),
        (end(State.SUCCEEDED, "Everything is healthy."), BEFORE, BEFORE, False),
        (end(State.SUCCEEDED, "Well.", Kind.ROLLBACK), BEFORE, reality("app-v2", "rebuilt"), False),
        (end(State.SUCCEEDED, "Well."), BEFORE, reality("app-v2", "new", health="unhealthy"), False),
        (end(State.RESTORED, "web1: v1 was restored."), BEFORE, BEFORE, True),
        (end(State.RESTORED, "web1: v1 was restored."), BEFORE, reality("app-v1", "rebuilt"), False),
        (end(State.FAILED, "The running release was not touched."), BEFORE, BEFORE, True),
        (end(State.FAILED, "The running release was not touched."), BEFORE, reality("app-v1", "other"), False),
        (end(State.FAILED, "Nothing serves app/live on web1."), BEFORE, BEFORE, False),
        (end(State.FAILED, "No.\nNow running: web1 nothing."), Reality(), BEFORE, False),
        (end(State.FAILED, "No.\nNow running: web1 1111111111."), BEFORE, BEFORE, True),
        (end(State.FAILED, "No.\nNow running: web1 1111111111."), BEFORE, GOOD, False),
        (Ended(Card(title="No.")), BEFORE, BEFORE, True),
        (Ended(Card(title="No.")), BEFORE, GOOD, False),
        (Ended(Card(title="No.")), BEFORE, reality("app-v1", "old", started="2", restarts=1), True),
        (Ended(Card(title="No.")), BEFORE, reality("app-v1", "old", started="2"), False),
        (Ended(Card(title="No.")), replace(BEFORE, answer=""), BEFORE, True),
        (Ended(Card(title="No.")), BEFORE, replace(BEFORE, answer=""), False),
    ],
)
def test_an_untrue_end_is_found(ledger: Ledger, ended: Ended, before: Reality, after: Reality, true: bool) -> None:
    wanted = "app-v2" if ended.deployment else ""
    found = [*end_findings(ended, before, after, ledger, wanted=wanted, disturbed=False)]
    assert (not found) is true, found
