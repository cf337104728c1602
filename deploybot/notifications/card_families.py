"""Choose the kind of card that shows a thing, by the type of its events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from deploybot.domain import Alert, Build, Change, Deployed, Event, ImagePushed, Note, Published, Push, Synced, Tagged
from deploybot.notifications.alert_cards import alert_story
from deploybot.notifications.build_cards import build_story
from deploybot.notifications.code_cards import change_story, push_story, tag_story
from deploybot.notifications.event_cards import CardContext, CardState
from deploybot.notifications.image_cards import image_story
from deploybot.notifications.outside_cards import deployed_story, note_story, synced_story
from deploybot.ports import EventPart

_FAMILIES: Final[dict[type[Event], Callable[[CardContext, Sequence[EventPart]], CardState]]] = {
    Alert: alert_story,
    Build: build_story,
    Change: change_story,
    Deployed: deployed_story,
    ImagePushed: image_story,
    Note: note_story,
    Published: tag_story,
    Push: push_story,
    Synced: synced_story,
    Tagged: tag_story,
}


def story_of(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of a thing, made from all of its parts. There must be at least one."""
    return _FAMILIES[type(parts[0].event)](context, parts)
