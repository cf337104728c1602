"""Cards of events outside the bot: deployments by others, Argo CD, and notes from scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploybot.card import Card, Tone
from deploybot.domain import BuildState, Deployed, Note, Synced
from deploybot.notifications.event_buttons import code_buttons, logs_button, retry_buttons
from deploybot.notifications.event_cards import TONES, CardContext, CardState, Mood, Worth, named_lines, page_link
from deploybot.notifications.event_subjects import BUSY, SICK
from deploybot.notifications.event_text import NAME, REF, one_line, paragraph, short, who
from deploybot.part_tables import sender_title
from deploybot.ports import EventPart
from deploybot.settings import App

_ENVIRONMENT: Final = ("environment", "env", "stage")
_DEPLOYED: Final = {
    BuildState.QUEUED: (Mood.BUSY, "waiting"),
    BuildState.RUNNING: (Mood.BUSY, "running"),
    BuildState.PASSED: (Mood.GOOD, "done"),
    BuildState.FAILED: (Mood.BAD, "failed"),
    BuildState.CANCELLED: (Mood.PLAIN, "cancelled"),
    BuildState.SKIPPED: (Mood.PLAIN, "not active any more"),
}
_NOTES: Final = {
    "good": (Mood.GOOD, Tone.GOOD),
    "bad": (Mood.BAD, Tone.BAD),
    "warn": (Mood.PLAIN, Tone.WARN),
    "busy": (Mood.BUSY, Tone.BUSY),
}
_WELL: Final = frozenset({"synced", "succeeded", "healthy"})


def deployed_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of a deployment that the bot did not make."""
    event = parts[0].event
    assert isinstance(event, Deployed)  # noqa: S101  a thing of this kind holds deployments
    mood, word = _DEPLOYED[event.state]
    ref = one_line(event.ref, REF)
    release = f"{ref} ({short(event.commit)})" if ref and event.commit else ref or short(event.commit)
    buttons = retry_buttons(context, event, event.environment, event.commit) if mood is Mood.BAD else ()
    if mood is Mood.GOOD:
        buttons = code_buttons(context, event, event.commit, built=True)
    where = _environment(event.environment)
    card = Card(
        title=f"{sender_title(event.sender)} deploys {release or 'something'} to {where} — {word}",
        tone=TONES[mood],
        text=paragraph(event.text),
        links=page_link(event.url),
        buttons=buttons,
        footer=_by(who(event.by, context.persons)),
        final=event.state.ended,
    )
    return CardState(
        card=card,
        mood=mood,
        worth=Worth.NOTHING if event.state is BuildState.SKIPPED else Worth.USUAL,
        turns=mood is Mood.BAD,
        kinds=frozenset({"deployed"}),
        environments=frozenset({event.environment} - {""}),
    )


def synced_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of an Argo CD application."""
    event = parts[0].event
    assert isinstance(event, Synced)  # noqa: S101  a thing of this kind holds applications
    words = {event.state.lower(), event.health.lower()}
    mood = (
        Mood.BAD if words & SICK else Mood.BUSY if words & BUSY else Mood.GOOD if words & _WELL else Mood.PLAIN
    )  # fmt: skip
    states = ", ".join(filter(None, (one_line(event.state, NAME), one_line(event.health, NAME))))
    environment = _named(context.app, event.application)
    card = Card(
        title=f"Argo CD {one_line(event.application, NAME)}"
        f"{f' ({short(event.commit)})' if event.commit else ''} — {states or 'unknown'}",
        tone=TONES[mood],
        text=paragraph(event.text) if mood is Mood.BAD else "",
        links=page_link(event.url),
        buttons=(logs_button(context.app, environment),) if environment and mood is Mood.BAD else (),
        footer=_by(who(event.by, context.persons)),
        final=mood is not Mood.BUSY,
    )
    return CardState(
        card=card,
        mood=mood,
        worth=Worth.ASKED if mood is Mood.PLAIN else Worth.USUAL,
        turns=mood is Mood.BAD,
        kinds=frozenset({"sync"}),
        environments=frozenset({environment} - {""}),
    )


def note_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of a note that a script sent."""
    note = parts[0].event
    assert isinstance(note, Note)  # noqa: S101  a thing of this kind holds notes
    mood, tone = _NOTES.get(note.tone, (Mood.PLAIN, Tone.PLAIN))
    card = Card(
        title=one_line(note.title, 200) or "(no title)",
        tone=tone,
        text=paragraph(note.text, lines=10, most=1_200),
        lines=named_lines(note.fields),
        links=page_link(note.url),
        buttons=code_buttons(context, note, note.commit, branch=note.branch, built=True)
        if mood is not Mood.BAD
        else (),
        footer=_by(who(note.by, context.persons)),
        final=mood is not Mood.BUSY,
    )
    return CardState(
        card=card,
        mood=mood,
        turns=mood is Mood.BAD,
        kinds=frozenset({"note"}),
        branches=frozenset({note.branch} - {""}),
        environments=frozenset({note.environment} - {""}),
    )


def _named(app: App, application: str) -> str:
    """Return the environment that an application is named after, as in `shop-production`."""
    return next((name for name in app.environments if application in {f"{app.name}-{name}", name}), "")


def _environment(name: str) -> str:
    return one_line(name, NAME) or "somewhere"


def _by(name: str) -> str:
    return f"by {name}" if name else ""
