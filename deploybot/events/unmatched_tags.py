"""Report once when images are pushed with tags that bot.toml can never match, and suggest a pattern that would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from deploybot.domain import Event, ImagePushed, canonical_image
from deploybot.domain.image_tags import TagRule, advice_for, is_of_another_form, is_release_like
from deploybot.ports import Store, Tables
from deploybot.settings import App, ImageOf
from deploybot.setup_notices import Notice, NoticeBoard

_FITS: Final = "fits "
_LONGEST: Final = 128


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A tag that was pushed for a service, what the service follows, its tag rule, and whether the tag fits that."""

    service: str
    of: ImageOf
    rule: TagRule
    tag: str
    fits: bool

    def key(self, app: str) -> str:
        """Return the key of its notice. A different rule has a different key."""
        return f"tag {app}/{self.service} {self.rule.text} {self.rule.order}"


class UnfitTags:
    """A `GroupListener` that reports tags of a different form than bot.toml's.

    A registry reports each tag of an image separately. If one tag fits, the others don't matter.
    """

    def __init__(self, store: Store, board: NoticeBoard) -> None:
        """Take the store, and the board that shows the notices."""
        self._store = store
        self._board = board

    async def handle_event(self, app: App, event: Event, delivery: str) -> str:
        """Check one event. Raises StoreError."""
        return (await self.handle_events(app, [(event, delivery)]))[0]

    async def handle_events(self, app: App, events: Sequence[tuple[Event, str]]) -> Sequence[str]:
        """Check several events in one transaction."""
        pushed = [one for event, _ in events for one in _pushed(app, event)]
        if pushed:
            await self._store.write(lambda tables: self._notify(tables, app, pushed))
        return ["" for _ in events]

    def _notify(self, tables: Tables, app: App, pushed: Sequence[_Pushed]) -> None:
        # Fitting tags come first: a delivery may contain both kinds.
        for one in sorted(pushed, key=lambda one: not one.fits):
            key = one.key(app.name)
            if one.fits:
                self._board.close(tables, key)
                self._board.remember(tables, f"{_FITS}{key}")
            elif not tables.notices.open(f"{_FITS}{key}"):
                self._board.report(tables, _notice(app, key, one))


def _pushed(app: App, event: Event) -> list[_Pushed]:
    """Return the pushed tags of an event for those services of an app that choose tags by a rule.

    Environments may follow different tags. One that a service follows in an environment is no surprise in the others.
    """
    if not isinstance(event, ImagePushed) or not event.tag or len(event.tag) > _LONGEST:
        return []
    image, found, followed = canonical_image(event.image), dict[str, _Pushed](), set[str]()
    for service, of in (pair for there in app.everywhere() for pair in there.images.items()):
        rule = TagRule.of(of.tag)
        if canonical_image(of.image) != image:
            continue
        fits = of.tag == event.tag if rule is None else not rule.why_not(event.tag)
        followed |= {service} if fits else set()
        if rule is not None and (fits or (is_release_like(event.tag) and is_of_another_form(rule, event.tag))):
            one = _Pushed(service, of, rule, event.tag, fits=fits)
            found[one.key(app.name)] = one
    return [one for one in found.values() if one.fits or one.service not in followed]


def _notice(app: App, key: str, one: _Pushed) -> Notice:
    return Notice(
        key=key,
        app=app.name,
        title=f"{app.name}: the tag {one.tag} of {one.of.image} does not count for {one.service}.",
        text=f"`tag` is {one.of.tag}, and {one.rule.why_not(one.tag)}. Images with such tags are not deployed.",
        fix=advice_for(one.tag),
    )
