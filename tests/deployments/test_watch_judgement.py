"""What counts as worse, rule by rule; and nothing that the old release does, too."""

from __future__ import annotations

import time
from dataclasses import replace
from math import comb

import pytest

from deploybot.deployments.vetoed_signals import is_unsettled
from deploybot.deployments.watch_judgement import by_chance, findings_of
from deploybot.domain import (
    MOST_KINDS,
    AnswersSeen,
    ContainersSeen,
    DownService,
    LogCounts,
    LogSeen,
    OldSeen,
    ServerSeen,
    UrlLook,
    WatchEvidence,
    WatchSignal,
)
from deploybot.store.codec import decode, encode

QUIET = (0,) * 720


def seen(
    server: str = "web1",
    *,
    log: LogSeen | None = None,
    answers: AnswersSeen | None = None,
    containers: ContainersSeen | None = None,
) -> ServerSeen:
    return ServerSeen(server=server, log=log, answers=answers, containers=containers)


def log(*windows: int, kinds: tuple[tuple[str, int], ...] = (), fine: int = 50, full: bool = False) -> LogSeen:
    """Windows with so many error lines, and `fine` other lines each."""
    recent = tuple((kind, tuple(range(count))) for kind, count in kinds)
    counts = LogCounts(windows=windows, fine=(fine,) * len(windows), kinds=kinds, recent_kinds=recent, full=full)
    return LogSeen().add(counts)


def answers(*looks: tuple[int, float]) -> AnswersSeen:
    """Looks of ten answers each: how many failed, and the median time."""
    found = AnswersSeen()
    for failed, median in looks:
        found = found.add(UrlLook(asked=10, failed=failed, median=median, why="answers 500" if failed else ""))
    return found


def signals(new: ServerSeen, before: ServerSeen | None = None, *olds: OldSeen, seconds: float = 60.0) -> set[str]:
    evidence = WatchEvidence(new=new, before=before, olds=olds)
    return {one.signal.value for one in findings_of(evidence, seconds=seconds)}


@pytest.mark.parametrize(
    ("new", "before", "now", "worse"),
    [
        (1, 0, 0, True),
        (0, 0, 0, False),
        (1, 1, 0, False),
        (1, 0, 1, False),
        (2, 1, 0, False),
        (3, 1, 0, True),
        (3, 100, 0, False),
        (3, 0, 3, False),
    ],
)
def test_restarts(new: int, before: int, now: int, worse: bool) -> None:
    old = OldSeen(now=seen("web2", containers=ContainersSeen(restarts=now)))
    found = signals(
        seen(containers=ContainersSeen(restarts=new)), seen(containers=ContainersSeen(restarts=before)), old
    )
    assert found == ({"restarts"} if worse else set())


def test_restarts_are_worse_only_if_chance_does_not_explain_them() -> None:
    before = seen(containers=ContainersSeen(restarts=2))
    three, nine = (seen(containers=ContainersSeen(restarts=many)) for many in (3, 9))
    assert signals(three, before, seconds=30) == {"restarts"}
    assert signals(three, before, seconds=300) == set(), "as often as that, once in some hours"
    assert signals(nine, before, seconds=300) == {"restarts"}


def test_restarts_of_one_old_server_of_many_hide_nothing() -> None:
    olds = [OldSeen(now=seen("web2", containers=ContainersSeen(restarts=many))) for many in (900, 0, 0)]
    new = seen(containers=ContainersSeen(restarts=1))
    assert signals(new, None, *olds) == {"restarts"}
    assert signals(new, None, olds[0], olds[0], olds[1]) == set()


def test_restarts_without_an_old_release() -> None:
    assert signals(seen(containers=ContainersSeen(restarts=1))) == {"restarts"}


@pytest.mark.parametrize(("looks", "worse"), [(2, False), (3, True)])
def test_a_container_that_is_not_up(looks: int, worse: bool) -> None:
    new = seen(containers=ContainersSeen(unwell=looks, words="web is unhealthy"))
    assert signals(new) == ({"containers"} if worse else set())
    assert signals(new, seen(containers=ContainersSeen())) == ({"containers"} if worse else set())
    assert signals(new, seen(containers=ContainersSeen(unwell=1))) == set()
    olds = [OldSeen(now=seen("web2", containers=ContainersSeen(unwell=bad))) for bad in (2, 2, 1, 0)]
    assert signals(new, None, olds[0]) == set()
    assert signals(new, None, *olds[:3]) == set()
    assert signals(new, None, *olds) == ({"containers"} if worse else set()), "half of them is not most"
    assert signals(new, None, olds[2]) == ({"containers"} if worse else set()), "one look is no outage"


def test_a_service_that_was_down_before_hides_only_itself() -> None:
    sidecar, web = DownService("sidecar", 30, "sidecar is unhealthy"), DownService("web", 3, "web is unhealthy")
    before = seen(containers=ContainersSeen(unwell=1, services=(DownService("sidecar", 1),)))
    beside = OldSeen(now=seen("web2", containers=ContainersSeen(unwell=9, services=(DownService("sidecar", 9),))))
    both, one = (seen(containers=ContainersSeen(unwell=30, services=some)) for some in ((sidecar, web), (sidecar,)))
    assert signals(one, before) == signals(one, None, beside) == set()
    assert signals(both, None, beside) == {"containers"}
    (found,) = findings_of(WatchEvidence(new=both, before=before), seconds=60.0)
    assert found.text == "web is unhealthy, it was up in the old release"
    short = seen(containers=ContainersSeen(unwell=30, services=(sidecar, replace(web, looks=2))))
    assert signals(short, before) == set()
    assert is_unsettled(WatchEvidence(new=short, before=before))
    assert not is_unsettled(WatchEvidence(new=one, before=before))
    again = seen(containers=ContainersSeen(unwell=1, services=(replace(sidecar, looks=1),)))
    assert not is_unsettled(WatchEvidence(new=again, before=before)), "it was down before, too"
    assert is_unsettled(WatchEvidence(new=again))


@pytest.mark.parametrize(
    ("looks", "worse"),
    [
        ([(10, 0.1)], False),
        ([(10, 0.1), (10, 0.1)], True),
        ([(6, 0.1), (6, 0.1)], True),
        ([(5, 0.1), (5, 0.1)], False),
        ([(10, 0.1), (0, 0.1), (10, 0.1)], False),
    ],
)
def test_a_health_check_that_fails(looks: list[tuple[int, float]], worse: bool) -> None:
    new = seen(answers=answers(*looks))
    assert signals(new) == ({"answers"} if worse else set())
    old = OldSeen(now=seen("web2", answers=answers((10, 0.1))))
    assert signals(new, None, old) == set()


def failing(why: str, rounds: int, *, good: int = 0) -> AnswersSeen:
    found = answers(*[(0, 0.1)] * good)
    for _ in range(rounds):
        found = found.add(UrlLook(asked=10, failed=10, median=0.1, why=why))
    return found


def test_a_url_that_the_old_release_does_not_know_says_nothing() -> None:
    new, other = seen(answers=failing("answers 500", 3)), failing("answers 404", 3)
    assert signals(new, seen(answers=other)) == {"answers"}
    assert signals(new, seen(answers=failing("answers 500", 3))) == set()
    assert signals(new, seen(answers=failing("no answer within 5 s", 3))) == set(), "as down as before"
    assert signals(seen(answers=failing("answers 404", 3)), seen(answers=failing("answers 500", 3))) == {"answers"}
    for unknown in ("answers 302", "answers 204", "web1: answers 404: none"):
        assert signals(new, seen(answers=failing(unknown, 3))) == {"answers"}, unknown
    assert signals(new, seen(answers=failing("answers 500", 1, good=2))) == {"answers"}, "a bad moment"
    beside = OldSeen(now=seen("web2", answers=other), before=seen("web2", answers=other))
    assert signals(new, None, beside) == {"answers"}
    assert signals(new, None, replace(beside, before=None)) == {"answers"}
    knows = replace(beside, before=seen("web2", answers=answers((0, 0.1))))
    assert signals(new, None, knows) == set(), "it fails now, too"
    some = seen(answers=answers(*[(1, 0.1)] * 12))
    good = OldSeen(now=seen("web3", answers=answers(*[(0, 0.1)] * 48)))
    assert signals(some, seen(answers=other), good) == {"answers"}


def test_one_bad_old_server_of_two_hides_no_failed_answers() -> None:
    new = seen(answers=answers(*[(3, 0.1)] * 12))
    bad, good = (OldSeen(now=seen("web2", answers=answers(*[(failed, 0.1)] * 12))) for failed in (5, 0))
    assert signals(new, None, bad, good) == signals(new, None, bad, bad, good, good) == {"answers"}
    assert signals(new, None, bad, bad, good) == set()


def test_health_checks_that_fail_on_a_few_old_servers_hide_nothing() -> None:
    bad, good = (OldSeen(now=seen("web2", answers=answers(*[(failed, 0.1)] * 12))) for failed in (10, 0))
    new = seen(answers=answers(*[(10, 0.1)] * 12))
    assert signals(new, None, bad, bad, good, good) == {"answers"}
    assert signals(new, None, bad, bad, bad, good) == set()
    some = seen(answers=answers(*[(1, 0.1)] * 12))
    assert signals(some, None, bad, good, good, good) == {"answers"}


def test_a_share_of_failed_checks_is_compared() -> None:
    new = seen(answers=answers(*[(1, 0.1)] * 12))
    good, bad = answers(*[(0, 0.1)] * 48), answers(*[(0, 0.1), (1, 0.1)] * 24)
    assert signals(new, None, OldSeen(now=seen("web2", answers=good))) == {"answers"}
    assert signals(new, None, OldSeen(now=seen("web2", answers=bad))) == set()
    assert signals(new, seen(answers=answers((0, 0.1), (0, 0.1), (0, 0.1)))) == set(), "too few to tell"
    burst = seen(answers=answers((10, 0.1), (2, 0.1), *[(0, 0.1)] * 8))
    assert signals(burst, None, OldSeen(now=seen("web2", answers=good))) == set(), "only two looks"
    double, half = answers(*[(1, 0.1), (2, 0.1), (1, 0.1)] * 40), answers(*[(1, 0.1), (0, 0.1)] * 60)
    assert signals(seen(answers=double), None, OldSeen(now=seen("web2", answers=half))) == set(), "not three times"
    few = seen(answers=answers(*[(1, 0.1)] * 4, *[(0, 0.1)] * 8))
    assert signals(few, None, OldSeen(now=seen("web2", answers=answers(*[(0, 0.1)] * 500)))) == set()


@pytest.mark.parametrize(
    ("medians", "worse"),
    [
        ([0.3] * 5, True),
        ([0.3] * 4, False),
        ([0.3] * 4 + [0.15], False),
        ([0.21] * 5, False),
        ([0.3] * 4 + [0.17], True),
        ([0.1] * 5 + [0.3] * 5, True),
        ([0.3] * 5 + [0.1], False),
    ],
)
def test_slow_answers(medians: list[float], worse: bool) -> None:
    new = replace(seen(answers=answers(*((0, one) for one in medians))), log=log(*[0] * 12))
    before = seen(answers=answers((0, 0.1)), log=log(*QUIET))
    assert signals(new, before) == ({"latency"} if worse else set())
    assert signals(new) == set()


def test_a_little_slower_is_not_worse_however_many_times() -> None:
    assert signals(seen(answers=answers(*[(0, 0.05)] * 5)), seen(answers=answers((0, 0.002)))) == set()


def test_slow_answers_everywhere_are_the_load() -> None:
    new, before = seen(answers=answers(*[(0, 0.3)] * 5)), seen(answers=answers((0, 0.1)))
    slow = OldSeen(now=seen("web2", answers=answers(*[(0, 0.06)] * 5)), before=seen(answers=answers((0, 0.02))))
    same = OldSeen(now=seen("web2", answers=answers(*[(0, 0.02)] * 5)), before=seen(answers=answers((0, 0.02))))
    assert signals(new, before, slow) == set()
    assert signals(new, before, same) == {"latency"}
    assert signals(new, before, slow, same) == {"latency"}, "one old server does not decide"


def test_slow_answers_under_more_load_are_the_load() -> None:
    new, before = seen(answers=answers(*[(0, 0.3)] * 5)), seen(answers=answers((0, 0.1)))
    usual, five, unknown = log(*QUIET, fine=10), log(*[0] * 12, fine=50), log(*QUIET, fine=0)
    assert signals(replace(new, log=log(*[0] * 12, fine=10)), replace(before, log=usual)) == {"latency"}
    assert signals(replace(new, log=five), replace(before, log=usual)) == set()
    assert signals(replace(new, log=five), replace(before, log=unknown)) == set()
    slower = seen(answers=answers(*[(0, 0.5)] * 5))
    assert signals(slower, before) == {"latency"}, "no load makes it so slow"


def test_error_lines_are_compared_with_the_hour_before() -> None:
    assert signals(seen(log=log(*[3] * 7)), seen(log=log(*QUIET))) == {"errors"}
    assert signals(seen(log=log(*[9] * 6)), seen(log=log(*QUIET))) == set(), "six windows may be bursts"
    assert signals(seen(log=log(30, 30, 30, 0, 0, 0)), seen(log=log(*QUIET))) == set(), "one burst"
    assert signals(seen(log=log(*[1] * 11)), seen(log=log(*QUIET))) == set(), "too few"
    assert signals(seen(log=log(*[1] * 12)), seen(log=log(*QUIET))) == {"errors"}
    assert signals(seen(log=log(*[3] * 7)), seen(log=log(*[3] * 720))) == set(), "the old release does it, too"
    assert signals(seen(log=log(*[12] * 12)), seen(log=log(*[3] * 720))) == {"errors"}
    assert signals(seen(log=log(*[8] * 12)), seen(log=log(*[3] * 720))) == set(), "less than three times as many"


def test_as_many_error_lines_for_each_other_line_are_the_load() -> None:
    before = seen(log=log(*[1] * 720, fine=10))
    assert signals(seen(log=log(*[5] * 12, fine=50)), before) == set()
    assert signals(seen(log=log(*[5] * 12, fine=10)), before) == {"errors"}
    assert signals(seen(log=log(*[25] * 12, fine=50)), before) == {"errors"}, "five times the load, 25 times the errors"
    assert signals(seen(log=log(*[2] * 12, fine=1)), before) == set(), "fewer lines, but not more errors"
    assert signals(seen(log=log(*[40] * 12, fine=9_000)), before) == {"errors"}, "no load grows so much"


def test_a_log_without_other_lines_may_have_five_times_the_load() -> None:
    before = seen(log=log(*[1] * 720, fine=0))
    assert signals(seen(log=log(*[8] * 12, fine=0)), before) == set()
    assert signals(seen(log=log(*[25] * 12, fine=0)), before) == {"errors"}
    assert signals(seen(log=log(*[1] * 12, fine=0)), seen(log=log(*QUIET, fine=0))) == {"errors"}
    beside = OldSeen(now=seen("web2", log=log(*[1] * 12, fine=0)))
    assert signals(seen(log=log(*[8] * 12, fine=0)), before, beside) == {"errors"}, "it has the same load"


def test_a_job_of_each_hour_on_this_server_is_not_worse_beside_quiet_servers() -> None:
    before = seen(log=log(*QUIET[:700], *[4] * 12, 0, 0, 0, 0, 0, 0, 0, 0))
    quiet, new = OldSeen(now=seen("web2", log=log(*[0] * 12))), seen(log=log(*[4] * 12))
    assert signals(new, before, quiet, quiet) == set()
    assert signals(new, seen(log=log(*QUIET)), quiet, quiet) == {"errors"}


def test_error_lines_of_one_old_server_of_many_hide_nothing() -> None:
    loud, quiet = (OldSeen(now=seen("web2", log=log(*[many] * 12))) for many in (900, 0))
    new, before = seen(log=log(*[3] * 12)), seen(log=log(*QUIET))
    assert signals(new, before, loud, quiet) == {"errors"}
    assert signals(new, before, loud, loud, quiet) == set()


def test_a_noisy_old_server_hides_no_error_lines_without_a_baseline() -> None:
    loud, quiet = (OldSeen(now=seen("web2", log=log(*[many] * 60))) for many in (50, 0))
    assert signals(seen(log=log(*[5] * 60)), None, loud, quiet, quiet, quiet) == {"errors"}
    assert signals(seen(log=log(*[5] * 60)), None, loud, loud, loud, quiet) == set()


def test_error_lines_that_the_old_release_had_in_some_minute_are_not_worse() -> None:
    stormy = log(*QUIET[:700], *[3] * 12, 0, 0, 0, 0, 0, 0, 0, 0)
    assert signals(seen(log=log(*[3] * 12)), seen(log=stormy)) == set()
    assert signals(seen(log=log(*[7] * 12)), seen(log=stormy)) == {"errors"}


def test_error_lines_everywhere_at_the_same_time_are_no_fault_of_the_new_release() -> None:
    new, before = seen(log=log(*[3] * 12)), seen(log=log(*QUIET))
    assert signals(new, before, OldSeen(now=seen("web2", log=log(*[3] * 12)))) == set()
    assert signals(new, before, OldSeen(now=seen("web2", log=log(*[0] * 12)))) == {"errors"}


def test_only_the_last_minute_of_a_log_counts() -> None:
    late = log(*[0] * 48, *[3] * 7)
    assert signals(seen(log=late), seen(log=log(*QUIET))) == {"errors"}
    assert signals(seen(log=late.add(LogCounts(windows=(0,) * 12))), seen(log=log(*QUIET))) == set()


def test_without_enough_of_the_old_log_error_lines_say_nothing() -> None:
    new = seen(log=log(*[30] * 12, kinds=(("panic: #", 9),)))
    assert signals(new) == set()
    assert signals(new, seen(log=log(*[0] * 11))) == set()
    assert signals(new, seen(log=log(*[0] * 12))) == {"errors", "panics"}


@pytest.mark.parametrize(("count", "old", "worse"), [(2, "other", False), (3, "other", True), (3, "panic: #", False)])
def test_panics_that_are_new(count: int, old: str, worse: bool) -> None:
    before = seen(log=log(*QUIET, kinds=((old, 1),)))
    assert signals(seen(log=log(1, 1, kinds=(("panic: #", count),))), before) == ({"panics"} if worse else set())


def test_panics_are_new_if_most_old_servers_do_not_have_them() -> None:
    new, quiet = seen(log=log(1, 1, kinds=(("panic: #", 3),))), seen(log=log(*QUIET))
    has, has_not = (OldSeen(now=seen("web2", log=log(*[0] * 12, kinds=kinds))) for kinds in ((("panic: #", 1),), ()))
    assert signals(new, quiet, has, has_not, has_not, has_not) == {"panics"}
    assert signals(new, quiet, has, has_not) == {"panics"}
    assert signals(new, quiet, has, has, has_not) == set()
    assert signals(new, quiet, has) == set()


def test_panics_count_in_the_last_minute_only() -> None:
    rare = LogSeen()
    for _ in range(4):
        rare = rare.add(LogCounts(windows=(0,) * 9, kinds=(("panic: #", 1),), recent_kinds=(("panic: #", (0,)),)))
    assert rare.recent_kinds == (("panic: #", (0, 9)),)
    assert signals(seen(log=rare), seen(log=log(*QUIET))) == set()
    often = rare.add(LogCounts(windows=(0,), kinds=(("panic: #", 1),), recent_kinds=(("panic: #", (0,)),)))
    assert signals(seen(log=often), seen(log=log(*QUIET))) == {"panics"}
    later = often.add(LogCounts(windows=(0,) * 12))
    assert later.recent_kinds == ()
    assert signals(seen(log=later), seen(log=log(*QUIET))) == set()


def test_kinds_of_panics_that_the_version_before_stored_are_not_compared() -> None:
    new, text = seen(log=log(1, 1, kinds=(("panic: #", 9),))), encode(log(*QUIET))
    stored = decode(LogSeen, text.replace(',"recent_kinds":[]', "").replace(',"rules":1', ""))
    assert (stored.rules, stored.add(LogCounts(windows=(0,))).rules, decode(LogSeen, text).rules) == (0, 0, 1)
    assert signals(new, seen(log=stored)) == set()
    assert signals(new, None, OldSeen(now=seen("web2", log=stored))) == set()
    assert signals(new, seen(log=decode(LogSeen, text))) == {"panics"}


def test_with_too_many_old_kinds_of_panics_none_is_known_to_be_new() -> None:
    new, full = seen(log=log(1, 1, kinds=(("panic: #", 9),))), log(*QUIET, full=True)
    assert signals(new, seen(log=full)) == set()
    one, other = OldSeen(now=seen("web2", log=full)), OldSeen(now=seen("web3", log=log(*QUIET)))
    assert signals(new, None, one) == set()
    assert signals(new, None, one, other) == {"panics"}, "one server does not decide"


def test_the_most_frequent_kinds_are_kept() -> None:
    many = tuple((f"panic: {letter}", 1) for letter in range(MOST_KINDS))
    found = LogSeen().add(LogCounts(kinds=many)).add(LogCounts(kinds=(("fatal: upstream", 9),)))
    assert (len(found.kinds), found.kinds[0], found.full) == (MOST_KINDS, ("fatal: upstream", 9), True)
    assert LogSeen().add(LogCounts(full=True)).add(LogCounts()).full


def test_a_vetoed_signal_is_not_found_again() -> None:
    new = seen(containers=ContainersSeen(restarts=1), answers=answers((10, 0.1), (10, 0.1)))
    evidence = WatchEvidence(new=new, accepted=(WatchSignal.RESTARTS,))
    assert [one.signal for one in findings_of(evidence, seconds=60.0)] == [WatchSignal.ANSWERS]
    assert len(findings_of(replace(evidence, accepted=()), seconds=60.0)) == 2


def test_the_line_shows_the_old_beside_the_new() -> None:
    evidence = WatchEvidence(new=seen(log=log(*[4] * 12)), before=seen(log=log(*[0, 0, 0, 0, 0, 1] * 120)))
    assert [one.text for one in findings_of(evidence, seconds=60.0)] == ["error lines: 48 a minute, before 2"]


def test_the_chance_is_fishers() -> None:
    assert by_chance(3, 3, 0, 3) == pytest.approx(1 / 20)
    assert by_chance(0, 5, 3, 5) == 1.0
    assert by_chance(4, 4, 0, 720) == pytest.approx(24 / (724 * 723 * 722 * 721))
    for new, of_new, old, of_old in [(5, 12, 40, 720), (12, 12, 719, 720), (9, 120, 2, 480), (40, 60, 3, 700)]:
        such, total = new + old, of_new + of_old
        ways = sum(comb(such, some) * comb(total - such, of_new - some) for some in range(new, min(such, of_new) + 1))
        assert by_chance(new, of_new, old, of_old) == pytest.approx(ways / comb(total, of_new), rel=1e-6)


def test_the_chance_takes_no_time_after_hours() -> None:
    began = time.process_time()
    assert by_chance(400, 7_200, 1_300, 28_800) == pytest.approx(1.4e-4, rel=0.9)
    assert by_chance(7_200, 7_200, 0, 28_800) < 1e-300
    assert time.process_time() - began < 0.02
