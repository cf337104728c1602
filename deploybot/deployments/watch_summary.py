"""What a watch has seen, in lines for people: the old release beside the new one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from deploybot.domain import MINUTE, LogSeen, ServerSeen, WatchEvidence, WatchRow

_SHOWN = 300


def summary_of(row: WatchRow) -> tuple[str, ...]:
    """Return the findings and all numbers of a watch: what the new release did, then what the old one did."""
    evidence = row.evidence
    findings = (f"worse: {one.text}"[:_SHOWN] for one in evidence.findings)
    numbers = [_numbers("new", evidence.new)]
    if evidence.before is not None:
        numbers.append(_numbers("old, before the switch", evidence.before))
    numbers += [_numbers(f"old, on {one.now.server}", one.now) for one in evidence.olds]
    if unknown := unknown_words(evidence):
        numbers.append(unknown)
    vetoed = [f"vetoed by {row.vetoed}"] if row.vetoed else []
    return (*findings, *vetoed, *numbers)


def unknown_words(evidence: WatchEvidence) -> str:
    """Return what is not compared, because it is unknown how the old release did; empty if all is known."""
    olds = [*(one.now for one in evidence.olds), *([evidence.before] if evidence.before else [])]
    if not olds:
        return "no old release to compare with: only crashes and failing checks count"
    new, unknown = evidence.new, []
    if new.log is not None and sum(one.log.total for one in olds if one.log) < MINUTE:
        unknown.append("its log (error lines and panics do not count)")
    if new.answers is not None and not any(one.answers and one.answers.asked for one in olds):
        unknown.append("its health checks (failed ones count only if most fail)")
    elif new.answers is not None and not (evidence.before and evidence.before.answers):
        unknown.append("its answer times (slow answers do not count)")
    if new.containers is not None and not any(one.containers for one in olds):
        unknown.append("its restarts (each restart counts)")
    return f"not known about the old release: {', '.join(unknown)}" if unknown else ""


def _numbers(name: str, seen: ServerSeen) -> str:
    return f"{name}: {', '.join(_parts(seen)) or 'nothing was seen'}"


def _parts(seen: ServerSeen) -> Iterator[str]:
    if seen.containers is not None:
        yield f"{seen.containers.restarts} restarts"
    if seen.log is not None and seen.log.total:
        yield f"{_a_minute(seen.log):.1f} error lines a minute"
    if seen.answers is not None and seen.answers.asked:
        yield f"{seen.answers.failed} of {seen.answers.asked} health checks failed"
        if seen.answers.medians:
            yield f"answers after {median(seen.answers.medians) * 1000:.0f} ms"
    if seen.trouble:
        yield f"last look incomplete: {seen.trouble[:_SHOWN]}"


def _a_minute(log: LogSeen) -> float:
    return log.errors * MINUTE / log.total
