"""The policy's answer with each rule's verdict, for `why`."""

from __future__ import annotations

from deploybot.card import Card, Line, Tone
from deploybot.policy import PolicyQuestion, Voice, decide, explain, who_may

_TONES = {Voice.ALLOWS: Tone.GOOD, Voice.PASSES: Tone.PLAIN, Voice.REFUSES: Tone.BAD}


def reasons_card(question: PolicyQuestion) -> Card:
    """Return a card with yes or no, the sentence of each rule that applies, and who may."""
    decision = decide(question)
    may = "Yes, you may" if decision.allowed else "No, you may not"
    names = ", ".join(who_may(question)) or "no one on the allowlist"
    return Card(
        title=f"{may} use `{question.command}` on {question.place}.",
        lines=tuple(Line(name, one.reason, _TONES[one.voice]) for name, one in explain(question).items()),
        hint=f"Who may: {names}.",
        tone=Tone.GOOD if decision.allowed else Tone.WARN,
        private=True,
    )
