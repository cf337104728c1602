"""Whether a new release does worse than the old one, from what a watch has seen; pure.

It never calls worse what the old release did, too: at the same time on most servers that still run it, or before on
the same server. The thresholds are chosen by `tests/watch_trial`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import exp, lgamma
from statistics import median, median_low

from deploybot.domain import (
    BURST,
    MINUTE,
    WINDOW,
    AnswersSeen,
    ContainersSeen,
    DownService,
    LogSeen,
    OldSeen,
    WatchEvidence,
    WatchFinding,
    WatchSignal,
    without_bursts,
)

RARE = 1e-5
"""What happens more rarely than this, if both releases are the same, is no chance."""
RARE_ANSWERS = 1e-4
"""The same for failed answers: there are far fewer of them than lines in a log."""
RATIO = 3.0
"""How many times as many errors or restarts of the new release are worse."""
_HOT_WINDOWS = 7
_USUAL = (0.8, 0.95)
_FEWEST = 9
_KNOWN_WINDOWS = 12
_PEAK = 2.0
_PANIC_WINDOWS = 3
_UNWELL_LOOKS = 3
_BAD_LOOKS = 2
_LOOPS = 3
_ANSWERED = re.compile(r"\banswers (?!5)\d{3}\b")
"""A failure other than 5xx or no answer, such as 404: the old release may not know the URL of the new one."""
_RARE_RESTARTS = 1e-3
_FAILED = 5
_FAILING = 3
_SLOW_LOOKS = 5
_SLOWER = 2.2
_ALWAYS_SLOWER = 1.6
_SLOWER_BY = 0.08
_HOUR = 3600.0
_UNKNOWN_LOAD = 5.0
_MOST_LOAD = 10.0
_TINY = 1e-12


def findings_of(evidence: WatchEvidence, *, seconds: float) -> tuple[WatchFinding, ...]:
    """Return in which ways the new release is worse, `seconds` after the watch began; without what was vetoed."""
    found = (*_containers(evidence, seconds), *_answers(evidence), *_log(evidence))
    return tuple(one for one in found if one.signal not in evidence.accepted)


def _containers(evidence: WatchEvidence, seconds: float) -> Iterator[WatchFinding]:
    new, before = evidence.new.containers, evidence.before.containers if evidence.before else None
    if new is None:
        return
    now = [one.now.containers for one in evidence.olds if one.now.containers is not None]
    usual = max(before.restarts if before else 0, int(_of_most([one.restarts for one in now])))
    known = bool(now or before)
    if _restarts_more(new.restarts, usual, seconds):
        words, was = f" ({new.words})" if new.words else "", f"before {_number(usual)}" if known else "before unknown"
        yield WatchFinding(WatchSignal.RESTARTS, f"restarts and exits: {new.restarts}{words}, {was}")
    for down in new.not_up:
        hidden = bool(before and _was_down(before, down, 1)) or _most(
            [_was_down(one, down, _UNWELL_LOOKS - 1) for one in now]
        )
        if down.looks >= _UNWELL_LOOKS and not hidden:
            was = "it was up in the old release" if known else "before unknown"
            yield WatchFinding(WatchSignal.CONTAINERS, f"{down.words}, {was}")
            break


def _was_down(old: ContainersSeen, down: DownService, looks: int) -> bool:
    """Return whether the old release has the same service not up in so many looks."""
    return any(
        one.looks >= looks and (one.service == down.service or not one.service or not down.service)
        for one in old.not_up
    )


def _restarts_more(new: int, old: int, seconds: float) -> bool:
    """Return whether it restarts and the old release does not; or far more often, if that restarts, too.

    What the old release did before is its number in an hour.
    """
    if not old:
        return bool(new)
    if new < _LOOPS or new <= old or new * _HOUR / max(seconds, WINDOW) < RATIO * old:
        return False
    return by_chance(new, max(int(seconds / WINDOW), new), old, max(int(_HOUR / WINDOW), old)) < _RARE_RESTARTS


def _answers(evidence: WatchEvidence) -> Iterator[WatchFinding]:
    new, before = evidence.new.answers, evidence.before.answers if evidence.before else None
    if new is None:
        return
    if before and _is_other_url(before, new):
        before = None
    now = sorted(
        (one.now.answers for one in evidence.olds if one.now.answers is not None and not _asks_other_url(one, new)),
        key=_share,
    )
    olds = [*now[: (len(now) + 1) // 2], *([before] if before else [])]  # the worse half does not decide
    asked, failed = sum(one.asked for one in olds), sum(one.failed for one in olds)
    was = f"before {failed} of {asked}" if asked else "before unknown"
    hidden = bool(before and before.bad >= _BAD_LOOKS and _same_failure(before, new)) or _most(
        [one.bad >= _BAD_LOOKS - 1 for one in now]
    )
    if new.bad >= _BAD_LOOKS and not hidden:
        yield WatchFinding(WatchSignal.ANSWERS, f"health check: fails ({new.why}), {was} failed")
    elif _fail_more(new, asked, failed):
        text = f"failed health checks: {new.failed} of {new.asked} ({new.why}), {was}"
        yield WatchFinding(WatchSignal.ANSWERS, text)
    yield from _latency(evidence, new)


def _is_other_url(old: AnswersSeen, new: AnswersSeen) -> bool:
    """Return whether the old release never answers this URL well, and for another reason than the new one.

    The URL is that of the new release, which has passed its check: so the old one may not know it.
    """
    return old.failed == old.asked and not _same_failure(old, new)


def _same_failure(old: AnswersSeen, new: AnswersSeen) -> bool:
    """Return whether health checks fail in the same way: 5xx, no answer and a closed connection are one."""
    return old.why == new.why or not (_ANSWERED.search(old.why) or _ANSWERED.search(new.why))


def _asks_other_url(old: OldSeen, new: AnswersSeen) -> bool:
    """Return the same for a server: what answered well before the roll-out does know the URL."""
    now, before = old.now.answers, old.before and old.before.answers
    return now is None or (_is_other_url(now, new) and (not before or _is_other_url(before, new)))


def _share(answers: AnswersSeen) -> float:
    return answers.failed / answers.asked if answers.asked else 0.0


def _fail_more(new: AnswersSeen, asked: int, failed: int) -> bool:
    """Return whether more answers fail than before. One look may meet a moment in which all fail."""
    if new.failed < _FAILED or new.failing < _FAILING or not asked or new.failed * asked < RATIO * failed * new.asked:
        return False
    return by_chance(new.failed, new.asked, failed, asked) < RARE_ANSWERS


def _latency(evidence: WatchEvidence, new: AnswersSeen) -> Iterator[WatchFinding]:
    """Compare with the same server before: the way to another server takes another time."""
    before, recent = evidence.before and evidence.before.answers, new.medians[-_SLOW_LOOKS:]
    if not evidence.before or not before or not before.medians or len(recent) < _SLOW_LOOKS:
        return
    usual = median(before.medians)
    slower = [*filter(None, map(_slower, evidence.olds))]
    # Without old servers of the same time, the log shows how much more there is to do.
    expected = usual * max(1.0, _of_most(slower) if slower else _load(evidence.new.log, evidence.before.log) ** 0.5)
    slow = median(recent)
    if slow >= expected * _SLOWER and slow >= expected + _SLOWER_BY and min(recent) >= expected * _ALWAYS_SLOWER:
        text = f"health check: answers after {_milliseconds(median(recent))}, before {_milliseconds(usual)}"
        yield WatchFinding(WatchSignal.LATENCY, text)


def _slower(old: OldSeen) -> float:
    """Return how many times as long an old server takes as before; 0.0 if that is unknown."""
    now, before = old.now.answers, old.before and old.before.answers
    if not now or not now.medians or not before or not before.medians:
        return 0.0
    return median(now.medians[-_SLOW_LOOKS:]) / median(before.medians)


def _log(evidence: WatchEvidence) -> Iterator[WatchFinding]:
    new, before = evidence.new.log, evidence.before.log if evidence.before else None
    now = [one.now.log for one in evidence.olds if one.now.log is not None]
    olds = [*now, *([before] if before else [])]
    if new is None or sum(one.total for one in olds) < _KNOWN_WINDOWS:
        return
    if kind := _new_panic(new, before, now):
        yield WatchFinding(WatchSignal.PANICS, f"new in the log: {kind}")
    if _has_more_errors(new, before, now):
        rate, old = sum(new.recent) * MINUTE / len(new.recent), _usual_of(_rate, before, now)
        yield WatchFinding(WatchSignal.ERRORS, f"error lines: {_number(rate)} a minute, before {_number(old)}")


def _new_panic(new: LogSeen, before: LogSeen | None, now: Sequence[LogSeen]) -> str:
    """Return a kind of panics that the last minute has in some windows, and the old release does not have."""
    # If the old release had more kinds of panics than are kept, it is unknown whether one is new.
    if (before and not before.has_all_kinds) or _most([not one.has_all_kinds for one in now]):
        return ""
    mine = {kind for kind, _ in before.kinds} if before else set()
    servers = Counter(kind for one in now for kind, _ in one.kinds)
    recent = {kind for kind, windows in new.recent_kinds if len(windows) >= _PANIC_WINDOWS}
    fresh = (kind for kind, _ in new.kinds if kind in recent and kind not in mine and servers[kind] * 2 <= len(now))
    return next(fresh, "")


def _has_more_errors(new: LogSeen, before: LogSeen | None, now: Sequence[LogSeen]) -> bool:
    """Return whether the last minute of a log has far more error lines than the logs of the old release.

    More of its windows have many error lines than chance explains. Apart from bursts, it has three times as many error
    lines as usual, in a minute and for each other line, and twice as many as any minute had.
    """
    errors, windows = without_bursts(new.recent), len(new.recent) - BURST
    if errors < _FEWEST or errors <= _PEAK * _usual_of(lambda one: one.peak, before, now):
        return False
    if errors < RATIO * windows * _usual_of(_usual, before, now):
        return False
    shown = before is not None and _shows_load(before)
    # Old servers of the same time have the same load, so they are enough if the log does not show it.
    if before is not None and (shown or not now) and errors < RATIO * windows * _typical(before) * _load(new, before):
        return False
    # Without a baseline there are few windows, and a single noisy server would decide.
    olds = [*now, before] if before else sorted(now, key=_rate)[: len(now) // 2 + 1]
    counts = [pair for one in olds for pair in one.counts]
    return any(_is_hot(new, counts, share) for share in _USUAL)


def _usual_of(measure: Callable[[LogSeen], float], before: LogSeen | None, now: Sequence[LogSeen]) -> float:
    """Return what the old release did before on the same server, or what most old servers do now, if that is more."""
    return max(measure(before) if before else 0.0, _of_most([measure(one) for one in now]))


def _of_most(values: Sequence[float]) -> float:
    """Return what most of some values reach, 0.0 for none: a single bad server does not decide."""
    return median_low(values) if values else 0.0


def _most(values: Sequence[bool]) -> bool:
    return sum(values) * 2 > len(values)


def _load(new: LogSeen | None, old: LogSeen | None) -> float:
    """Return how many times as many other lines the last minute has: there is more to do. Not less than once."""
    if not new or not new.recent or not old or not _shows_load(old):
        return _UNKNOWN_LOAD
    return min(max(sum(new.recent_fine) / len(new.recent) / (old.fine / old.total), 1.0), _MOST_LOAD)


def _shows_load(log: LogSeen) -> bool:
    """Return whether a log has at least one other line a minute."""
    return bool(log.fine) and log.fine * MINUTE >= log.total


def _is_hot(new: LogSeen, counts: Sequence[tuple[int, int]], share: float) -> bool:
    """Return whether too many windows have more error lines than that share of the old release's windows."""
    known = sum(windows for _, windows in counts)
    usual = _quantile(counts, share * known)
    hot = sum(count > usual for count in new.recent)
    hot_before = sum(windows for count, windows in counts if count > usual)
    return hot >= _HOT_WINDOWS and by_chance(hot, len(new.recent), hot_before, known) < RARE


def _quantile(counts: Sequence[tuple[int, int]], windows: float) -> int:
    """Return the number of error lines that as many windows do not exceed."""
    seen = 0
    for count, more in sorted(counts):
        seen += more
        if seen >= windows:
            return count
    return 0


def _usual(log: LogSeen) -> float:
    """Return the error lines of a usual window: the mean without the busiest ones, or of the last minute if higher."""
    left = total = log.total * (MINUTE - BURST) // MINUTE
    errors = 0
    for count, windows in log.counts:
        errors += count * min(windows, left)
        left -= min(windows, left)
    return max(errors / total if total else 0.0, without_bursts(log.recent) / MINUTE)


def _typical(log: LogSeen) -> float:
    """Return the mean of the error lines of a window, if none had more than most windows have."""
    most = _quantile(log.counts, _USUAL[-1] * log.total)
    return sum(min(count, most) * windows for count, windows in log.counts) / log.total if log.total else 0.0


def _rate(log: LogSeen) -> float:
    """Return the error lines a minute."""
    return log.errors * MINUTE / log.total if log.total else 0.0


def by_chance(new: int, of_new: int, old: int, of_old: int) -> float:
    """Return how likely so many of the new ones are among all that are so, if both are the same (Fisher's exact test).

    `new` of `of_new` and `old` of `of_old` are so. It is 1.0 if the new ones do not have more of them.
    """
    such, total = new + old, of_new + of_old
    if new * of_old <= old * of_new:
        return 1.0
    ways = exp(_log_comb(such, new) + _log_comb(total - such, of_new - new) - _log_comb(total, of_new))
    chance = 0.0
    for some in range(new, min(such, of_new) + 1):
        chance += ways
        ways *= (such - some) * (of_new - some) / ((some + 1) * (total - such - of_new + some + 1))
        if ways <= chance * _TINY:  # above the mean, all that follow are smaller
            break
    return chance


def _log_comb(of: int, some: int) -> float:
    return lgamma(of + 1) - lgamma(some + 1) - lgamma(of - some + 1)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1 or not value else f"{value:.1f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
