"""The card of a wish that is not simply deployed: one message, edited as it goes on. Pure."""

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
    TriggerState.DONE: "is there",
    TriggerState.OVERTAKEN: "is overtaken",
    TriggerState.LEFT: "is not deployed automatically",
}
_TONES = {TriggerState.OPEN: Tone.WARN, TriggerState.LEFT: Tone.WARN}


def wish_key(number: int) -> str:
    """The key of a wish's card."""
    return f"event:auto:{number}"


def trouble_key(app: str) -> str:
    """The key of the card that says that what an app is watched by does not answer."""
    return f"event:auto-watch:{app}"


def wish_card(wish: Trigger) -> Card:
    """How a wish stands: why it waits or was left, with a button to do it by hand as long as that makes sense."""
    by_hand = wish.state in {TriggerState.OPEN, TriggerState.ASKED, TriggerState.LEFT} and bool(
        wish.ref or not wish.commit
    )
    said = f"It is #{wish.deployment}; its card shows the progress." if wish.deployment else sentence(wish.problem)
    return Card(
        key=wish_key(wish.number),
        title=f"{wish.app}/{wish.environment}: {wish.why} {_TITLES[wish.state]}",
        text=said,
        lines=(Line("release", shown(wish)),) if shown(wish) else (),
        buttons=(Button(f"Deploy to {wish.environment}", wish.command),) if by_hand else (),
        tone=_TONES.get(wish.state, Tone.PLAIN),
        final=wish.state.ended,
    )


def shown(wish: Trigger) -> str:
    """The release for people: the short commit, or the first digits of an image's digest."""
    return wish.commit[:10] if wish.ref == wish.commit else wish.ref[:17]


def trouble_card(app: str, why: str, cure: str = "") -> Card:
    """What an app is watched by has not answered for long; with an empty `why`, it answers again."""
    if not why:
        return Card(key=trouble_key(app), title=f"I can check {app} for changes again.", tone=Tone.GOOD)
    return Card(
        key=trouble_key(app),
        title=f"I cannot check {app} for changes.",
        text=sentence(why),
        hint=cure,
        tone=Tone.BAD,
        final=False,
    )


def sentence(text: str) -> str:
    """A text with a full stop."""
    return f"{text}." if text and not text.endswith((".", "?", "!")) else text


def plain(text: str) -> str:
    """One line of what others wrote, without characters that cannot be seen, cut."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_LONGEST]


def by(authors: Iterable[Author], names: Iterable[str]) -> str:
    """` by ana and ben`: the persons among those who brought it about, else what the sender calls them."""
    people = [*dict.fromkeys(names)] or [*dict.fromkeys(name for one in authors if (name := plain(one.name)))]
    more = ["others"] if len(people) > _MOST else []
    *first, last = [*people[:_MOST], *more] or [""]
    return f" by {', '.join(first)} and {last}" if first else f" by {last}" if last else ""
