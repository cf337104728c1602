"""What a veto accepts: a signal on one server, up to how strong it was; and whether a watch may end; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from statistics import median

from deploybot.deployments.watch_judgement import findings_of
from deploybot.domain import ServerSeen, VetoedSignal, WatchEvidence, WatchSignal

AGAIN = 3.0
"""A signal that is this many times as strong as when a person vetoed it counts again."""
_SLOW_LOOKS = 5
_ALL = 1.0
_SETTLED = 6
"""After so many bad looks in a row that nothing was found in, the old release does the same: no rule needs more."""


def judge(evidence: WatchEvidence, *, seconds: float) -> WatchEvidence:
    """Return the evidence with its findings, `seconds` after the watch began, without what people vetoed."""
    vetoes = {one.signal: one for one in evidence.vetoes}
    accepted = [one.signal for one in evidence.vetoes if not _counts_again(one, evidence.new)]
    panics, judged = vetoes.get(WatchSignal.PANICS), dataclasses.replace(evidence, accepted=tuple(accepted))
    findings = findings_of(_without(judged, panics.panics if panics else ()), seconds=seconds)
    if panics and all(one.signal is not WatchSignal.PANICS for one in findings):
        judged = dataclasses.replace(judged, accepted=(*accepted, WatchSignal.PANICS))
    return judged.judged(findings)


def is_unsettled(evidence: WatchEvidence) -> bool:
    """Return whether the last look was bad, and more looks are needed to know whether the release does worse.

    If they find nothing, the old release does the same, or a person vetoed it.
    """
    answers, containers = evidence.new.answers, evidence.new.containers
    failing = answers is not None and 0 < answers.bad <= _SETTLED
    down = containers is not None and 0 < containers.unwell <= _SETTLED
    return (failing and WatchSignal.ANSWERS not in evidence.accepted) or (
        down and WatchSignal.CONTAINERS not in evidence.accepted
    )


def vetoed(evidence: WatchEvidence) -> WatchEvidence:
    """Return the evidence when a person has vetoed the rollback for what was found."""
    log = evidence.new.log
    kinds = tuple(kind for kind, _ in log.kinds) if log else ()
    fresh = (
        VetoedSignal(signal=one, level=_level(one, evidence.new), panics=kinds if one is WatchSignal.PANICS else ())
        for one in dict.fromkeys(finding.signal for finding in evidence.findings)
    )
    merged = merged_vetoes((*evidence.vetoes, *fresh))
    return dataclasses.replace(evidence, vetoes=merged, accepted=tuple(one.signal for one in merged))


def merged_vetoes(vetoes: Iterable[VetoedSignal]) -> tuple[VetoedSignal, ...]:
    """Return one veto for each signal: the strongest."""
    found: dict[WatchSignal, VetoedSignal] = {}
    for one in vetoes:
        known = found.get(one.signal, one)
        panics = tuple(dict.fromkeys((*known.panics, *one.panics)))
        found[one.signal] = VetoedSignal(signal=one.signal, level=max(known.level, one.level), panics=panics)
    return tuple(found.values())


def _without(evidence: WatchEvidence, panics: tuple[str, ...]) -> WatchEvidence:
    """Return the evidence without panics that a person vetoed."""
    log = evidence.new.log
    if log is None or not panics:
        return evidence
    kinds = tuple((kind, count) for kind, count in log.kinds if kind not in panics)
    return dataclasses.replace(
        evidence, new=dataclasses.replace(evidence.new, log=dataclasses.replace(log, kinds=kinds))
    )


def _counts_again(veto: VetoedSignal, seen: ServerSeen) -> bool:
    """Return whether a signal is so much stronger than when it was vetoed that it counts again."""
    level = _level(veto.signal, seen)
    if veto.signal is WatchSignal.CONTAINERS:
        return level > veto.level
    if veto.signal is WatchSignal.ANSWERS and level >= _ALL > veto.level:
        return True
    return veto.signal is WatchSignal.PANICS or level >= AGAIN * veto.level


def _level(signal: WatchSignal, seen: ServerSeen) -> float:
    """Return how strong a signal is on a server: a number, a share or a time, each for its signal only."""
    log, answers, containers = seen.log, seen.answers, seen.containers
    if signal is WatchSignal.RESTARTS and containers:
        return containers.restarts
    if signal is WatchSignal.CONTAINERS and containers:
        return containers.down
    if signal is WatchSignal.ANSWERS and answers and answers.asked:
        return _ALL if answers.bad else answers.failed / answers.asked
    if signal is WatchSignal.LATENCY and answers and answers.medians:
        return median(answers.medians[-_SLOW_LOOKS:])
    if signal is WatchSignal.ERRORS and log and log.recent:
        return sum(log.recent) / len(log.recent)
    return 0.0
