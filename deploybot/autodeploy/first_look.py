"""The first look of a rule, and a push that a forge reports about then.

The first look takes what is there for seen, so that nothing is deployed because `auto` was written into bot.toml. What
is pushed once `auto` is there is deployed, also where its event comes before that look, or soon after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploybot.domain import Event, Published, Push, Tagged
from deploybot.events.watched_refs import fits
from deploybot.ports import Tables
from deploybot.settings import Auto

SOON = 600.0
"""Seconds after the first look in which an event about what it saw still counts as new."""
_BEFORE = "before "
_FIRST = "first "


@dataclass(frozen=True, slots=True)
class SourceMoved:
    """What an event says of a source of `rule`: what was there before, and how what is there now begins."""

    rule: str
    source: str
    before: str
    now: str


def moves(auto: Auto, event: Event) -> Iterator[SourceMoved]:
    """What an event says of the sources of an environment's rules; nothing of what was deleted."""
    match event:
        case Push(branch=branch, after=after, before=before) if after:
            if auto.branch and fits(auto.branch, branch):
                yield SourceMoved(f"branch {auto.branch}", f"heads/{branch}", before, after)
        case Tagged(tag=tag, commit=commit) if commit:
            if auto.tag and fits(auto.tag, tag):
                yield SourceMoved(f"tag {auto.tag}", f"newest tag {auto.tag}", "", f"{tag} ")
        case Published(tag=tag, early=False):
            if auto.release:
                yield SourceMoved("release", "newest release -", "", f"{tag} ")


def report(tables: Tables, place: tuple[str, str], moved: SourceMoved, now: float) -> None:
    """Note what was there before a push: for the first look that is to come, or in place of what that look saw."""
    seen = tables.wishes.considered(*place)
    if moved.rule not in seen:
        if _BEFORE + moved.source not in seen:
            tables.wishes.consider(*place, _BEFORE + moved.source, moved.before)
        return
    at, what = _parts(seen.get(_FIRST + moved.source, ""))
    if what.startswith(moved.now) and abs(now - at) <= SOON:
        tables.wishes.consider(*place, moved.source, moved.before)
        tables.wishes.forget(*place, _FIRST + moved.source)


def settle(tables: Tables, place: tuple[str, str], first: Mapping[str, str], now: float) -> bool:
    """Note what a first look saw, but where a push came before it. True where that is to be looked at again."""
    seen = tables.wishes.considered(*place)
    again = False
    for source, what in first.items():
        before = seen.get(_BEFORE + source)
        if before is not None:
            tables.wishes.forget(*place, _BEFORE + source)
        again |= before not in {None, what}
        tables.wishes.consider(*place, source, what if before is None else before)
        if what and before is None:
            tables.wishes.consider(*place, _FIRST + source, f"{now} {what}")
    return again


def notes(seen: Mapping[str, str]) -> tuple[str, ...]:
    """The notes of first looks."""
    return tuple(one for one in seen if one.startswith(_FIRST))


def old(seen: Mapping[str, str], now: float) -> tuple[str, ...]:
    """Those of them that count no more."""
    return tuple(one for one in notes(seen) if abs(now - _parts(seen[one])[0]) > SOON)


def _parts(kept: str) -> tuple[float, str]:
    at, _, what = kept.partition(" ")
    return (float(at), what) if what else (0.0, "")
