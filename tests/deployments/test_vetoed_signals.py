"""What a veto accepts: a signal on one server, up to how strong it was."""

from __future__ import annotations

import pytest

from deploybot.deployments.vetoed_signals import judge, vetoed
from deploybot.domain import (
    AnswersSeen,
    ContainersSeen,
    LogCounts,
    LogSeen,
    ServerSeen,
    UrlLook,
    WatchEvidence,
    WatchSignal,
)


def restarts(count: int) -> ServerSeen:
    return ServerSeen(server="web1", containers=ContainersSeen(restarts=count))


def down(count: int) -> ServerSeen:
    return ServerSeen(server="web1", containers=ContainersSeen(unwell=3, down=count, words="web is gone"))


def failing(failed: int) -> ServerSeen:
    seen = AnswersSeen()
    for _ in range(6):
        seen = seen.add(UrlLook(asked=10, failed=failed, median=0.01, why="answers 500"))
    return ServerSeen(server="web1", answers=seen)


def slow(seconds: float) -> ServerSeen:
    seen = AnswersSeen()
    for _ in range(5):
        seen = seen.add(UrlLook(asked=10, median=seconds))
    return ServerSeen(server="web1", answers=seen)


def errors(a_window: int) -> ServerSeen:
    return ServerSeen(server="web1", log=LogSeen().add(LogCounts(windows=(a_window,) * 12)))


def panics(*kinds: str) -> ServerSeen:
    recent = tuple((kind, (0, 1, 2, 3, 4)) for kind in kinds)
    counts = LogCounts(windows=(0,) * 12, kinds=tuple((kind, 5) for kind in kinds), recent_kinds=recent)
    return ServerSeen(server="web1", log=LogSeen().add(counts))


BEFORE = ServerSeen(
    server="web1",
    containers=ContainersSeen(),
    log=LogSeen().add(LogCounts(windows=(0,) * 720)),
    answers=AnswersSeen().add(UrlLook(asked=900, median=0.01)),
)


@pytest.mark.parametrize(
    ("vetoed_at", "later", "again"),
    [
        (restarts(1), restarts(2), False),
        (restarts(1), restarts(3), True),
        (down(1), down(1), False),
        (down(1), down(2), True),
        (failing(2), failing(5), False),
        (failing(1), failing(4), True),
        (failing(4), failing(10), True),
        (failing(10), failing(10), False),
        (slow(0.5), slow(1.0), False),
        (slow(0.5), slow(1.5), True),
        (errors(2), errors(5), False),
        (errors(2), errors(6), True),
        (panics("panic: a"), panics("panic: a"), False),
        (panics("panic: a"), panics("panic: a", "panic: b"), True),
    ],
)
def test_a_veto_holds_up_to_how_strong_the_signal_was(vetoed_at: ServerSeen, later: ServerSeen, *, again: bool) -> None:
    worse = judge(WatchEvidence(new=vetoed_at, before=BEFORE), seconds=3000)
    assert worse.worse
    kept = vetoed(worse)
    assert kept.worse == ()
    signals = {one.signal for one in worse.findings}
    found = judge(WatchEvidence(new=later, before=BEFORE, vetoes=kept.vetoes, findings=kept.findings), seconds=3000)
    assert bool(found.worse) is again
    assert {one.signal for one in found.findings} >= signals, "what was vetoed is still shown"
    assert (signals <= {*found.accepted}) is not again


def test_another_signal_is_not_accepted() -> None:
    kept = vetoed(judge(WatchEvidence(new=restarts(1), before=BEFORE), seconds=60))
    found = judge(WatchEvidence(new=failing(10), before=BEFORE, vetoes=kept.vetoes), seconds=60)
    assert [one.signal for one in found.findings] == [WatchSignal.ANSWERS]
    assert found.worse


def test_the_stronger_of_two_vetoes_holds() -> None:
    kept = vetoed(judge(WatchEvidence(new=restarts(1), before=BEFORE), seconds=60))
    again = vetoed(judge(WatchEvidence(new=restarts(3), before=BEFORE, vetoes=kept.vetoes), seconds=60))
    assert [(one.signal, one.level) for one in again.vetoes] == [(WatchSignal.RESTARTS, 3)]
    assert not judge(WatchEvidence(new=restarts(8), before=BEFORE, vetoes=again.vetoes), seconds=60).worse
    assert judge(WatchEvidence(new=restarts(9), before=BEFORE, vetoes=again.vetoes), seconds=60).worse
