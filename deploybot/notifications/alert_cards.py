"""Cards of alerts, and which alerts are left out: those that always fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploybot.card import Card, Line, Tone
from deploybot.domain import Alert
from deploybot.notifications.event_buttons import logs_button
from deploybot.notifications.event_cards import CardContext, CardState, Mood, Worth, named_lines, page_link
from deploybot.notifications.event_subjects import rank
from deploybot.notifications.event_text import NAME, moment, nth, one_line, paragraph
from deploybot.ports import EventPart
from deploybot.units import show_duration

_AGAIN: Final = 86400.0
_ENVIRONMENT: Final = ("environment", "env", "stage")
_IN_TITLE: Final = frozenset({"alertname", "severity"})
_ALWAYS_FIRING: Final = frozenset({"watchdog", "infoinhibitor"})
"""Alerts of usual Prometheus rules that fire all the time, or only to silence others."""


def alert_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of an alert, firing or resolved, with how often it fired within a day."""
    alerts = [one.event for one in parts if isinstance(one.event, Alert)]
    alert = max(reversed(alerts), key=rank)
    labels = {name.lower(): value for name, value in alert.labels}
    found = next((labels[name] for name in _ENVIRONMENT if name in labels), "")
    environment = found if found in context.app.environments else ""
    name = one_line(alert.name) or "an alert"
    severity = f" ({one_line(alert.severity, NAME)})" if alert.severity else ""
    others = [pair for pair in alert.labels if pair[0] not in _IN_TITLE]
    card = Card(
        title=f"{name}{severity} — {'firing' if alert.firing else 'resolved'}{_lasted(alert)}",
        tone=Tone.BAD if alert.firing else Tone.GOOD,
        text=paragraph(alert.text),
        lines=(*_again(context, alerts, alert), *named_lines(others)),
        links=page_link(alert.url),
        buttons=(logs_button(context.app, environment),) if alert.firing and environment else (),
    )
    usual = alert.severity.lower() != "none" and alert.name.lower() not in _ALWAYS_FIRING
    return CardState(
        card=card,
        mood=Mood.BAD if alert.firing else Mood.GOOD,
        worth=Worth.USUAL if usual else Worth.ASKED,
        kinds=frozenset({"alert"}),
        environments=frozenset({found} - {""}),
    )


def _lasted(alert: Alert) -> str:
    """Return how long an alert fired, or an empty text if that is unknown."""
    known = not alert.firing and 0 < alert.started < alert.at
    return f" after {show_duration(alert.at - alert.started)}" if known else ""


def _again(context: CardContext, alerts: Sequence[Alert], alert: Alert) -> tuple[Line, ...]:
    """Return lines such as `3rd time since …`, if it fired before within a day, and when it began."""
    if not alert.started:
        return ()
    starts = [one.started for one in alerts if 0 <= alert.started - one.started < _AGAIN]
    times = (Line("again", f"{nth(len(starts))} time since {moment(min(starts), context.zone)}"),) if starts[1:] else ()
    return (*times, Line("since", moment(alert.started, context.zone)))
