"""The policy's answer with each rule's verdict, and the tags that do not count, for `why`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

from deploybot.card import Card, Line, Tone
from deploybot.domain import IgnoredTags
from deploybot.policy import PolicyQuestion, Voice, decide, explain, who_may

_TONES = {Voice.ALLOWS: Tone.GOOD, Voice.PASSES: Tone.PLAIN, Voice.REFUSES: Tone.BAD}

MOST_TAGS = 5
_LONGEST = 60


def reasons_card(question: PolicyQuestion) -> Card:
    """Return a card with yes or no, the sentence of each rule that applies, and who may."""
    decision = decide(question)
    may = "Yes, you may" if decision.allowed else "No, you may not"
    names = ", ".join(who_may(question)) or "no one on the allowlist"
    findings = explain(question)
    after = " after the freeze" if any(one.frozen for one in findings.values()) else ""
    return Card(
        title=f"{may} use `{question.command}` on {question.target}.",
        lines=tuple(Line(name, one.reason, _TONES[one.voice]) for name, one in findings.items()),
        hint=f"Allowed{after}: {names}.",
        tone=Tone.GOOD if decision.allowed else Tone.WARN,
        private=True,
    )


def ignored_lines(found: Sequence[IgnoredTags]) -> tuple[Line, ...]:
    """Return a line for each of the newest tags that do not count, at most five, and how many more there are."""
    each = [
        [Line(f"tag {tag[:_LONGEST]}", f"It does not count for {one.what}: {why}.") for tag, why in one.tags]
        for one in found
    ]
    lines = [line for line in chain.from_iterable(zip_longest(*each)) if line is not None]
    more = len(lines) - MOST_TAGS
    rest = [Line("more tags", f"… and {more} more")] if more > 0 else []
    return (*lines[:MOST_TAGS], *rest, *_unknown(found))


def _unknown(found: Sequence[IgnoredTags]) -> Iterator[Line]:
    for one in found:
        if one.problem:
            why = one.problem.removesuffix(".")
            yield Line("tags", f"The tags for {one.what} are unknown: {why}.", Tone.UNKNOWN)
