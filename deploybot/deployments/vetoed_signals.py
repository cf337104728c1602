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

_AFRESH = 8
"""How many looks are needed after a countdown: the last minute of the log must be known, and a bad look twice."""


def judge(evidence: WatchEvidence, *, seconds: float) -> WatchEvidence:
    """Return the evidence with its findings, `seconds` after the watch began, without what people vetoed."""
    vetoes = {one.signal: one for one in evidence.vetoes}
    accepted = [one.signal for one in evidence.vetoes if not _counts_again(one, evidence.new)]
    panics, judged = vetoes.get(WatchSignal.PANICS), dataclasses.replace(evidence, accepted=tuple(accepted))
    findings = findings_of(_without(judged, panics.panics if panics else ()), seconds=seconds)
    if panics and all(one.signal is not WatchSignal.PANICS for one in findings):
        judged = dataclasses.replace(judged, accepted=(*accepted, WatchSignal.PANICS))
    return judged.judged(findings)


def seen_now(evidence: WatchEvidence, before: ServerSeen) -> WatchEvidence:
    """Return the evidence without findings in what the last look could not see; `before` is what was seen until then.

    A look leaves what it cannot see as it was, so that it is the same object.
    """
    new, accepted = evidence.new, evidence.accepted
    parts = {
        WatchSignal.RESTARTS: new.containers is not before.containers,
        WatchSignal.CONTAINERS: new.containers is not before.containers,
        WatchSignal.ANSWERS: new.answers is not before.answers,
        WatchSignal.LATENCY: new.answers is not before.answers,
        WatchSignal.ERRORS: new.log is not before.log,
        WatchSignal.PANICS: new.log is not before.log,
    }
    found = tuple(one for one in evidence.findings if one.signal in accepted or parts[one.signal])
    return dataclasses.replace(evidence, findings=found)


def afresh(evidence: WatchEvidence, now: float) -> WatchEvidence:
    """Return the evidence of a watch whose countdown a person could not see: what the new release did counts from now.

    What people vetoed before, and what the old release does, stays.
    """
    new = ServerSeen(server=evidence.new.server, log_from=now, counts_from=now)
    return dataclasses.replace(evidence, new=new).judged(())


def is_unsettled(evidence: WatchEvidence) -> bool:
    """Return whether the last look was bad, and more looks are needed to know whether the release does worse.

    If they find nothing, the old release does the same, or a person vetoed it. After a countdown that nobody could see,
    a minute of looks is needed.
    """
    if evidence.countdown and evidence.new.looks < _AFRESH:
        return True
    answers, containers = evidence.new.answers, evidence.new.containers
    failing = answers is not None and 0 < answers.bad <= _SETTLED
    before = evidence.before.containers if evidence.before else None
    known = {one.service for one in before.not_up} if before else ()
    down = containers is not None and any(
        0 < one.looks <= _SETTLED and one.service not in known for one in containers.not_up
    )
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
