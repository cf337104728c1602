"""A short chaos, and that its judge would find what is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.chat.console.console_protocol import Show
from deploybot.deployments.deployment_card import deployment_card
from deploybot.domain import (
    Deployment,
    Kind,
    Phase,
    Plan,
    Release,
    Running,
    ServerPlan,
    State,
    Step,
    StepRow,
    StepState,
)
from deploybot.store.audit_chain import ChainVerdict, Head
from tests.chaos.app import Mark, There
from tests.chaos.check import Server, Told, check, started_in_freeze
from tests.chaos.dice import by_chance
from tests.chaos.figures import chaos
from tests.chaos.findings import Findings
from tests.lab import Lab

RUNS = 8
SEED = "test"
OLD, NEW = Release.of_commit("1" * 40, "v1"), Release.of_commit("2" * 40, "v2")
JOB = "7-f-web1-0-0123456789"
LOG = b"line 1\nline 2\nline 3\n"


@pytest.mark.timeout(300)
async def test_whatever_dies_nothing_is_lost_doubled_or_untrue(lab: Lab, tmp_path: Path) -> None:
    lines: list[str] = []
    figures = await chaos(lab, tmp_path, by_chance(SEED), runs=RUNS, seed=SEED, lanes=2, say=lines.append)
    assert not figures.findings, "\n".join(lines)
    assert figures.runs == RUNS
    assert figures.kills > 0
    assert lines[-1].startswith(f"chaos: runs={RUNS} kills={figures.kills} lost=0 doubled=0 untrue=0 reattach_p99=")


@dataclasses.dataclass(slots=True)
class Case:
    """A deployment of one step that went well, as everybody tells it; tests change one thing."""

    folder: Path
    deployment: Deployment
    row: StepRow
    server: Server
    running: Running
    unsent: int = 0
    audit: ChainVerdict = dataclasses.field(default_factory=lambda: ChainVerdict(Head()))
    kept: bytes = LOG

    def card(self) -> Card:
        return deployment_card(self.deployment, [self.row])

    def told(self) -> Told:
        return Told(
            deployment=self.deployment,
            steps=(self.row,),
            running={"web1": self.running},
            card=self.card(),
            unsent=self.unsent,
            audit=self.audit,
        )

    def find(self, *shows: Show) -> Findings:
        folder = self.folder / "7"
        folder.mkdir(exist_ok=True)
        (folder / "1-web1-00-switch.log").write_bytes(self.kept)
        (folder / "deployment-7.txt").write_bytes(self.kept)
        seen = shows or (Show("deployment:7", self.card()),)
        return check({State.SUCCEEDED}, self.told(), {"web1": self.server}, seen, self.folder)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    step = Step(name="switch", script="switch", switches=True)
    part = ServerPlan(server="web1", steps=(step,), replaces=OLD)
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="one", release=NEW, servers=(part,))
    deployment = Deployment(
        number=7,
        plan=plan,
        state=State.SUCCEEDED,
        requester=1,
        requester_name="ana",
        outcome="All steps succeeded.",
    )
    row = StepRow(
        deployment=7,
        phase=Phase.FORWARD,
        server="web1",
        position=0,
        name="switch",
        job=JOB,
        state=StepState.DONE,
        code=0,
    )
    server = Server(
        before=There(OLD.id, "", OLD.id, healthy=True),
        after=There(NEW.id, "", NEW.id, healthy=True),
        marks=[Mark(JOB, "deploy", "begin"), Mark(JOB, "deploy", "end")],
        jobs=frozenset({JOB}),
        logs={JOB: LOG},
    )
    return Case(tmp_path, deployment, row, server, Running("shop", "one", "web1", NEW, 7, 1.0, healthy=True))


def test_the_judge_finds_nothing_where_all_is_well(case: Case) -> None:
    assert [*case.find()] == []


def test_the_judge_finds_what_is_lost(case: Case) -> None:
    case.kept = b"line 1\nline 3\n"
    case.unsent = 1
    case.row = dataclasses.replace(case.row, state=StepState.STARTED)
    found = case.find(Show("deployment:7", dataclasses.replace(case.card(), final=False)))
    assert found.lost == [
        "step switch on web1 has no end, it is started",
        f"log of switch on web1 ({JOB}): 14 bytes kept of 21, 1 lines are missing",
        "nobody was shown the end of #7",
        "1 messages were never delivered",
    ]


def test_the_judge_finds_a_deployment_without_an_end(case: Case) -> None:
    case.deployment = dataclasses.replace(case.deployment, state=State.RUNNING)
    assert case.find().lost == ["#7 has no end, it is running"]


def test_the_judge_finds_what_is_doubled(case: Case) -> None:
    twice = [Mark(JOB, "deploy", "begin"), *case.server.marks]
    other = "7-f-web1-0-9876543210"
    case.server = dataclasses.replace(case.server, marks=twice, jobs=frozenset({JOB, other}))
    case.kept = LOG + b"line 3\n"
    found = case.find(Show("deployment:7", case.card()), Show("other", case.card()))
    assert found.doubled == [
        "deploy of 7-f-web1-0 ran 2 times on web1",
        "step 7-f-web1-0 had 2 jobs on web1",
        f"log of switch on web1 ({JOB}): 28 bytes kept of 21, 1 lines too many",
        "#7 has more than one card",
    ]


def test_the_judge_finds_what_is_untrue(case: Case) -> None:
    case.server = dataclasses.replace(
        case.server,
        after=There(OLD.id, "", OLD.id, healthy=False),
        marks=case.server.marks[:1],
        still=[JOB],
    )
    case.audit = ChainVerdict(Head(), 3, "row 3 was changed")
    untrue = "\n".join(case.find().untrue)
    for words in (
        "succeeded, but web1 has There(current='1111",
        "the bot takes web1 to run",
        "succeeded, but web1 serves 1111",
        "succeeded, but web1 is not healthy",
        "step switch on web1 is called done, but did not come to its end",
        f"job {JOB} still runs on web1",
        "the audit is broken: row 3 was changed",
    ):
        assert words in untrue


@pytest.mark.parametrize(
    ("kind", "started", "frozen", "is_found"),
    [
        (Kind.DEPLOY, 15.0, (10.0, 20.0), True),
        (Kind.TASK, 15.0, (10.0, 20.0), True),
        (Kind.RESTART, 15.0, (10.0, 20.0), False),
        (Kind.ROLLBACK, 15.0, (10.0, 20.0), False),
        (Kind.DEPLOY, 5.0, (10.0, 20.0), False),
        (Kind.DEPLOY, 25.0, (10.0, 20.0), False),
        (Kind.DEPLOY, 15.0, None, False),
    ],
)
def test_the_judge_finds_what_was_started_in_a_freeze(
    case: Case, kind: Kind, started: float, frozen: tuple[float, float] | None, *, is_found: bool
) -> None:
    plan = dataclasses.replace(case.deployment.plan, kind=kind)
    deployment = dataclasses.replace(case.deployment, plan=plan, started=started)
    assert started_in_freeze(deployment, frozen) is is_found


def test_the_judge_finds_an_end_that_cannot_be(case: Case) -> None:
    case.deployment = dataclasses.replace(case.deployment, state=State.RESTORED)
    assert case.find().untrue[0].startswith("it is restored: 'All steps succeeded.'")


def test_the_judge_reads_what_the_card_says_is_there(case: Case) -> None:
    case.deployment = dataclasses.replace(case.deployment, outcome="Now running: web1 3333333333.")
    assert any(one.startswith("the card says that web1 has 3333333333") for one in case.find().untrue)


def test_the_judge_finds_a_card_that_says_something_else(case: Case) -> None:
    other = dataclasses.replace(case.card(), title="#7 shop/one: v1 · failed")
    untrue = case.find(Show("deployment:7", case.card()), Show("deployment:7", other)).untrue
    assert any("#7 was said to end in 2 ways" in one for one in untrue)
    assert any("the last card of #7 says" in one for one in untrue)


def test_the_judge_finds_a_cancelling_that_nobody_asked_for(case: Case) -> None:
    case.deployment = dataclasses.replace(case.deployment, state=State.CANCELLED, outcome="Cancelled by step x.")
    assert any(one.startswith("nobody cancelled it") for one in case.find().untrue)
