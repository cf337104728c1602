"""Cards of pushed images: one message for all tags of one image and digest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from deploybot.card import Card, Line, Link
from deploybot.domain import ImagePushed
from deploybot.notifications.event_buttons import image_buttons, wanted_tag
from deploybot.notifications.event_cards import CardContext, CardState, Worth
from deploybot.notifications.event_text import REF, one_line, who
from deploybot.ports import EventPart
from deploybot.settings import App
from deploybot.units import show_size

_TAGS_SHOWN: Final = 6
_DIGITS: Final = len("sha256:") + 12
_MACHINE: Final = re.compile(r"(?:(?:sha|git|commit)[-_.]?)?[0-9a-f]{7,64}|.*\.(?:sig|att|sbom)|.*cache.*", re.ASCII)
"""Tags for machines: commits, signatures, caches."""


def image_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of a pushed image: its tags, its digest and its size."""
    pushes = sorted((one.event for one in parts if isinstance(one.event, ImagePushed)), key=lambda one: one.tag)
    first, app = pushes[0], context.app
    tags = [one_line(one.tag, REF) for one in pushes if one.tag]
    more = f" and {len(tags) - _TAGS_SHOWN} more" if len(tags) > _TAGS_SHOWN else ""
    size = max(one.size for one in pushes)
    by = next((name for one in pushes if (name := who(one.by, context.persons))), "")
    lines = [Line("tags" if len(tags) > 1 else "tag", ", ".join(tags[:_TAGS_SHOWN]) + more)] if tags else []
    lines += [Line("digest", one_line(first.digest, _DIGITS + 1))] if first.digest else []
    lines += [Line("size", show_size(size))] if size >= 0 else []
    url = next((one.url for one in pushes if one.url), "")
    card = Card(
        title=f"image {one_line(first.image)} was pushed{f' by {by}' if by else ''}",
        lines=tuple(lines),
        links=(Link("image", url),) if url else (),
        buttons=next(filter(None, (image_buttons(context, one) for one in pushes)), ()),
    )
    usual = any(_usual(app, one) for one in pushes)
    automatic = (name for name, one in app.environments.items() if one.auto and one.auto.image)
    environments = {name for name in automatic if any(wanted_tag(app.at(name), one) for one in pushes)}
    return CardState(
        card=card,
        worth=Worth.USUAL if usual else Worth.ASKED,
        kinds=frozenset({"image"}),
        environments=frozenset(environments),
    )


def _usual(app: App, event: ImagePushed) -> bool:
    """Return whether everybody wants to see it.

    Where bot.toml pins images, that is any tag it may mean. Otherwise it is any tag that is meant for people.
    """
    pinned = [there for there in app.everywhere() if there.images]
    return any(wanted_tag(there, event) for there in pinned) if pinned else not _MACHINE.fullmatch(event.tag)
