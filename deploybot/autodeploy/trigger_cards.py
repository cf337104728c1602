"""The card of a trigger that is not deployed right away: one message, edited as its state changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.card import Button, Card, Line, Tone
from deploybot.domain import Author, Trigger, TriggerState

_LONGEST = 60
_MOST = 3
_TITLES = {
    TriggerState.OPEN: "is not deployed yet",
    TriggerState.ASKED: "can be deployed",
    TriggerState.DEPLOYED: "is being deployed",
    TriggerState.DONE: "is deployed",
    TriggerState.OVERTAKEN: "was replaced by a newer one",
    TriggerState.LEFT: "is not deployed automatically",
}
_TONES = {TriggerState.OPEN: Tone.WARN, TriggerState.LEFT: Tone.WARN}


def trigger_key(number: int) -> str:
    """Return the key of a trigger's card."""
    return f"event:auto:{number}"


def trouble_key(app: str) -> str:
    """Return the key of the card that reports that an app cannot be checked for changes."""
    return f"event:auto-watch:{app}"


def trigger_card(trigger: Trigger, waiting: str = "") -> Card:
    """Return the card of a trigger: why it waits or was left, and a button to deploy it by hand where useful.

    `waiting` names the images that wait for its commit.
    """
    by_hand = trigger.state in {TriggerState.OPEN, TriggerState.ASKED, TriggerState.LEFT} and bool(
        trigger.ref or not trigger.commit
    )
    text = (
        f"It is #{trigger.deployment}; its card shows the progress."
        if trigger.deployment
        else sentence(trigger.problem)
    )
    return Card(
        key=trigger_key(trigger.number),
        title=f"{trigger.app}/{trigger.environment}: {trigger.why} {_TITLES[trigger.state]}",
        text=text,
        lines=(Line("release", shown(trigger)),) if shown(trigger) else (),
        hint=waiting,
        buttons=(Button(f"Deploy to {trigger.environment}", trigger.command),) if by_hand else (),
        tone=_TONES.get(trigger.state, Tone.PLAIN),
        final=trigger.state.ended,
    )


def waiting_text(images: Trigger) -> str:
    """Return the text for a commit's card about new images that wait for it."""
    return f"New {images.why} waits for this commit. To deploy it now: `{images.command}`"


def shown(trigger: Trigger) -> str:
    """Return the release for people: the short commit, or the first digits of an image's digest."""
    return trigger.commit[:10] if trigger.ref == trigger.commit else trigger.ref[:17]


def trouble_card(app: str, why: str, fix: str = "") -> Card:
    """Return the card for an app that could not be checked for a long time. An empty `why` means it works again."""
    if not why:
        return Card(key=trouble_key(app), title=f"{app} can be checked for changes again.", tone=Tone.GOOD)
    return Card(
        key=trouble_key(app),
        title=f"{app} cannot be checked for changes.",
        text=sentence(why),
        hint=fix,
        tone=Tone.BAD,
        final=False,
    )


def sentence(text: str) -> str:
    """Return the text with a full stop at its end."""
    return f"{text}." if text and not text.endswith((".", "?", "!")) else text


def plain(text: str) -> str:
    """Return text from outside on one line, without invisible characters, cut to 60 characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_LONGEST]


def by(authors: Iterable[Author], names: Iterable[str]) -> str:
    """Return ` by ana and ben`: the names of known persons, or else the names that the sender gives."""
    people = [*dict.fromkeys(names)] or [*dict.fromkeys(name for one in authors if (name := plain(one.name)))]
    more = ["others"] if len(people) > _MOST else []
    *first, last = [*people[:_MOST], *more] or [""]
    return f" by {', '.join(first)} and {last}" if first else f" by {last}" if last else ""
