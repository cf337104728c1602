"""Turn exceptions into answers. Nothing else does, and every answer is redacted.

| raised | the chat shows | log |
| --- | --- | --- |
| UserError | the sentence and a hint, in private where the platform can | debug |
| PickError | the same, with a button for each offer | debug |
| AskError | the same, with a button that asks for the reason | debug |
| Denied | which rule refused, and who may, in private likewise | info; it is audited, too |
| Locked | who holds the lock, since when, why, how to release it, in private likewise | info |
| TargetFrozen | until when and why nothing new is deployed there, in private likewise | info |
| Unreachable, StepFailed, Unhealthy | what failed, its last lines, what runs there now | error |
| any other DeploybotError | its sentence | error |
| anything else | “Something broke on my side, id 7f3a”, never the exception's text | traceback |
"""

from __future__ import annotations

import logging
import secrets
import traceback

from deploybot.card import Button, Card, Line, Moment, Tone
from deploybot.errors import (
    AskError,
    Denied,
    DeploybotError,
    Locked,
    PickError,
    StepFailed,
    TargetFrozen,
    Unhealthy,
    Unreachable,
    UserError,
)
from deploybot.ports import TextRedactor

log = logging.getLogger(__name__)

_PLAIN_WORDS = frozenset({"a", "an", "it", "no", "not", "step", "that", "the", "there", "this"})


def error_card(error: Exception, redactor: TextRedactor, *, now_runs: tuple[Line, ...] = ()) -> Card:
    """Return the answer to an exception. `now_runs` shows what runs where the command failed."""
    match error:
        case UserError():
            log.debug("refused: %s", redactor.text(str(error)))
            return _user_error(error)
        case Denied():
            log.info("denied: %s", redactor.text(str(error)))
            return _denied(error)
        case Locked() | TargetFrozen():
            log.info("refused: %s", redactor.text(str(error)))
            hint = error.hint if isinstance(error, TargetFrozen) else ""
            return Card(title=_sentence(str(error)), hint=hint, tone=Tone.WARN, private=True, ok=False)
        case Unreachable() | StepFailed() | Unhealthy():
            log.error("failed: %s", redactor.text(str(error)))
            return _failed(error, now_runs)
        case DeploybotError():
            log.error("failed: %s", redactor.text(str(error)))
            return Card(title=_sentence(str(error)), tone=Tone.BAD, ok=False, lines=now_runs)
        case _:
            return _broke(error, redactor)


def _sentence(text: str) -> str:
    """Return a text as a sentence: end it with a full stop, and capitalize it unless it begins with a name."""
    if text.split(" ", 1)[0] in _PLAIN_WORDS:
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", "!", "`")) else f"{text}."


def _user_error(error: UserError) -> Card:
    picks = isinstance(error, PickError | AskError)
    buttons = tuple(Button(label, command) for label, command in error.choices)
    if isinstance(error, AskError):
        buttons = (Button("Give the reason", error.command, asks="Why?", primary=True),)
    return Card(
        title=_sentence(error.sentence),
        text=error.text if isinstance(error, PickError) else "",
        hint=error.hint,
        tone=Tone.ASK if picks else Tone.WARN,
        private=True,
        ok=False,
        buttons=buttons,
        picks=picks,
        times=tuple(Moment(*one) for one in error.times) if isinstance(error, PickError) else (),
    )


def _denied(error: Denied) -> Card:
    who = f"Allowed: {error.who_may}." if error.who_may else ""
    return Card(title=" ".join(map(_sentence, error.reasons)), hint=who, tone=Tone.BAD, private=True, ok=False)


def _failed(error: Unreachable | StepFailed | Unhealthy, now_runs: tuple[Line, ...]) -> Card:
    tail = () if isinstance(error, Unreachable) else error.tail
    hint = error.hint if isinstance(error, Unreachable) else ""
    return Card(title=_sentence(str(error)), hint=hint, code=tail, lines=now_runs, tone=Tone.BAD, ok=False)


def _broke(error: Exception, redactor: TextRedactor) -> Card:
    mark = secrets.token_hex(2)
    log.error("something broke, id %s\n%s", mark, redactor.text("".join(traceback.format_exception(error)).rstrip()))
    return Card(
        title=f"Something broke on my side, id {mark}.",
        hint="Search the bot's log for this id.",
        tone=Tone.BAD,
        ok=False,
    )
