"""Compares what the bot says with what really runs. Pure; each finding is a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploybot.card import Card, Line, Tone
from deploybot.domain import Kind, State
from tests.histories.asking import Ended
from tests.histories.reality import RealContainer, Reality, says_untouched
from tests.histories.world.ledger import Ledger
from tests.histories.world.shop import SERVICES

_CALM = frozenset({Tone.GOOD, Tone.PLAIN})
_ALARMED = frozenset({Tone.BAD, Tone.UNKNOWN})
_NOW = re.compile(r"Now running: web1 (.*)\.$", re.MULTILINE)
_SHORT = re.compile(r"^[0-9a-f]{10}(-[0-9a-f]+)?")
_NAMED = re.compile(r"^(?:\S+ \()?([0-9a-f]{10})\)?")
_WORDS: tuple[tuple[str, Callable[[Reality, str], bool]], ...] = (
    (r"^no containers$", lambda seen, _: not seen.containers),
    (r"nothing of it runs", lambda seen, _: not seen.containers),
    (r"^(\w+) is missing$", lambda seen, service: not seen.of(service)),
    (r"^(\w+) unhealthy$", lambda seen, service: any(one.health == "unhealthy" for one in seen.of(service))),
    (r"^(\w+) exited with \d+", lambda seen, service: _in_state(seen, service, "exited")),
    (r"^(\w+) is stopped", lambda seen, service: _in_state(seen, service, "exited")),
    (r"^(\w+) restarts again", lambda seen, service: any(one.restarts for one in seen.of(service))),
    (r"^extra container ", lambda seen, _: any(one.service not in SERVICES for one in seen.containers)),
    (r"folder is gone", lambda seen, _: seen.current not in seen.folders),
    (r"^healthy$", lambda seen, _: bool(seen.containers) and all(one.well for one in seen.containers)),
)
"""What status may say in a part of its line, and when that is true; the first group is a service."""
_ENDS = {State.RESTORED: "failed, rolled back", State.UNKNOWN: "end unknown"}
"""How `history` calls an end, where that is not the state's own word."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What really runs, and what the harness wrote down."""

    reality: Reality
    ledger: Ledger

    @property
    def exact(self) -> bool:
        """Whether exactly what the last deployment left runs, whole and well, with its folder and its link."""
        seen, memory = self.reality, self.ledger.memories.get(self.ledger.running)
        return (
            memory is not None
            and seen.answer == memory.answer
            and seen.images == memory.images
            and all(one.well and one.ours and not one.restarts for one in seen.containers)
            and seen.current == self.ledger.running
            and seen.current in seen.folders
        )


def status_findings(card: Card, evidence: Evidence) -> Iterator[str]:
    """What `status app` says that is not so."""
    line = next((one for one in card.lines if one.name == "web1"), None)
    if line is None:
        yield f"status has no line for web1: {card.title}"
        return
    seen, told = evidence.reality, f"status says {line.text!r} ({line.tone})"
    if line.tone in _CALM and not _may_be_calm(line, evidence):
        yield f"{told}, but {_describe(seen)}"
    if line.tone in _ALARMED and evidence.exact:
        yield f"{told}, but exactly the release of the last deployment runs, and all of it is well"
    yield from _word_findings(line, seen, told)
    yield from _release_findings(line, evidence, told)


def _may_be_calm(line: Line, evidence: Evidence) -> bool:
    """Whether a line without alarm is true: the release that it names runs as it should, or nothing is there."""
    seen, ledger = evidence.reality, evidence.ledger
    if not seen.containers:
        return not ledger.running and "nothing deployed yet" in line.text
    match = _NAMED.match(line.text)
    if match is None or not all(one.well for one in seen.containers):
        return False
    memory = ledger.memories.get(ledger.running)
    exact = memory is None or not ledger.running.startswith(match[1]) or seen.images == memory.images
    return exact and seen.answer in ledger.texts_of(match[1])


def _word_findings(line: Line, seen: Reality, told: str) -> Iterator[str]:
    parts = [part.strip() for text in line.text.split(" · ") for part in text.split(", ")]
    for part in parts:
        for pattern, is_true in _WORDS:
            match = re.search(pattern, part)
            if match and not is_true(seen, match[1] if match.groups() else ""):
                yield f"{told}: {part!r} is not so, {_describe(seen)}"


def _release_findings(line: Line, evidence: Evidence, told: str) -> Iterator[str]:
    """A line that begins with a release says that this is what runs: what answers has to be its version."""
    match, seen = _NAMED.match(line.text), evidence.reality
    differs = "by hand" in line.text or "runs a different image" in line.text or "partly switched" in line.text
    if match and seen.serves and not differs and seen.answer not in evidence.ledger.texts_of(match[1]):
        yield f"{told}, but {_describe(seen)}"
    if match and not seen.containers and "no containers" not in line.text and line.tone not in _ALARMED:
        yield f"{told}, but there is no container"


def diff_findings(card: Card, evidence: Evidence) -> Iterator[str]:
    """What `diff app@ref` says of what is there that is not so: `A → B`, or that it has the ref already."""
    seen, title = evidence.reality, card.title
    match = re.search(r" already has (?:\S+ \()?([0-9a-f]{10})\)?", title) or re.search(
        r": (?:\S+ \()?([0-9a-f]{10})\)?.* → ", title
    )
    if match and seen.serves and seen.answer not in evidence.ledger.texts_of(match[1]):
        yield f"diff says {title!r}, but {_describe(seen)}"
    if "has no release" in title and evidence.exact:
        yield f"diff says {title!r}, but exactly the release of the last deployment runs"


def history_findings(card: Card, ledger: Ledger) -> Iterator[str]:
    """What `history app` says of deployments that is not so, and what it leaves out."""
    rows = {int(row[0]): row for row in (card.table.rows if card.table else ())}
    for number, past in ledger.orders.items():
        row = rows.get(number)
        if row is None:
            yield f"history has no #{number}"
            continue
        ended = row[6].partition(" to ")[0] if past.state is State.RESTORED else row[6]
        if ended != _ENDS.get(past.state, past.state.value):
            yield f"history calls #{number} {row[6]}, but it ended as {past.state.value}"
        old, arrow, _ = row[5].partition(" → ")
        if arrow and old == "nothing" and past.before:
            yield f"history says {row[5]!r} of #{number}, but {past.before!r} answered before it"
        if re.match(r"v\d+$", old) and past.before and old not in past.names:
            yield f"history says {row[5]!r} of #{number}, but {past.before!r} answered before it"


def end_findings(
    ended: Ended, before: Reality, after: Reality, ledger: Ledger, *, wanted: str, disturbed: bool
) -> Iterator[str]:
    """What the last card of a deployment says that is not so.

    `wanted` is what a success has to answer, if known; `disturbed` says that the Engine died meanwhile.
    """
    deployment = ended.deployment
    # An application that had not begun to answer may do so meanwhile: its containers are the same.
    turned = before.serves and before.answer != after.answer
    touched = before.made != after.made if disturbed else turned or not after.is_as(before)
    if deployment is None:
        if touched:
            yield f"it was refused ({ended.card.title!r}), but something was touched: {_describe(after)}"
        return
    told = f"#{deployment.number} {deployment.state.value}: {deployment.outcome!r}"
    if deployment.state is State.SUCCEEDED and deployment.plan.kind is not Kind.RESTART:
        yield from _success_findings(ended, after, ledger, wanted, told)
    if deployment.state is State.RESTORED:
        yield from _restored_findings(before, after, told)
    if says_untouched(deployment.outcome) and touched:
        yield f"{told}, but before {_describe(before)} and after {_describe(after)}"
    if before.serves and not after.serves and "Now running" not in deployment.outcome:
        yield f"{told}, but {_describe(after)}"
    if "Nothing serves" in deployment.outcome and after.serves:
        yield f"{told}, but {_describe(after)}"
    yield from _now_findings(deployment.outcome, after, ledger, told)


def _success_findings(ended: Ended, after: Reality, ledger: Ledger, wanted: str, told: str) -> Iterator[str]:
    assert ended.deployment is not None
    plan = ended.deployment.plan
    memory = ledger.memories.get(plan.release.id)
    if wanted and after.answer != wanted:
        yield f"{told}, but {wanted!r} should answer and {_describe(after)}"
    if plan.kind is Kind.ROLLBACK and memory and (after.answer, after.images) != (memory.answer, memory.images):
        yield f"{told}, but the release ran {memory.images} answering {memory.answer!r}, and {_describe(after)}"
    if missing := [service for service in SERVICES if not any(one.well for one in after.of(service))]:
        yield f"{told}, but {', '.join(missing)} does not run well: {_describe(after)}"


def _restored_findings(before: Reality, after: Reality, told: str) -> Iterator[str]:
    lacking = {service: image for service, image in before.images.items() if after.images.get(service) != image}
    if before.serves and (after.answer != before.answer or lacking):
        yield f"{told}, but before {_describe(before)} and after {_describe(after)}"


def _now_findings(outcome: str, after: Reality, ledger: Ledger, told: str) -> Iterator[str]:
    match = _NOW.search(outcome)
    if match is None:
        return
    words = match[1]
    if words == "nothing" and after.containers:
        yield f"{told}, but {_describe(after)}"
    if (short := _SHORT.match(words)) and "only partly" not in words:
        texts = ledger.texts_of(short[0])
        if after.answer and after.answer not in texts:
            yield f"{told}, but {_describe(after)}"
        if not after.containers:
            yield f"{told}, but there is no container"


def _in_state(seen: Reality, service: str, state: str) -> bool:
    return any(one.state == state for one in seen.of(service))


def _describe(seen: Reality) -> str:
    containers = ", ".join(map(_words, seen.containers)) or "no container is there"
    return f"{seen.answer!r} answers and {containers}"


def _words(one: RealContainer) -> str:
    health = f" {one.health}" if one.health else ""
    return f"{one.service} {one.state}{health} {one.text or one.image[7:17]}{'' if one.ours else ' by hand'}"
