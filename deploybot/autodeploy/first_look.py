"""The first check of a rule, and pushes that a forge reports around that time.

The first check records everything that exists as already seen, so adding `auto` to bot.toml deploys nothing. Anything
pushed after that is deployed, even if its event arrives before the first check or soon after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploybot.domain import Event, Published, Push, Tagged
from deploybot.events.watched_refs import fits
from deploybot.ports import Tables
from deploybot.settings import Auto

SOON = 600.0
"""Seconds after the first check during which an event about a value it recorded still counts as new."""
_BEFORE = "before "
_FIRST = "first "


@dataclass(frozen=True, slots=True)
class SourceMoved:
    """A change of a source of `rule`: the value before, and the start of the value that it has now."""

    rule: str
    source: str
    before: str
    now: str


def moves(auto: Auto, event: Event) -> Iterator[SourceMoved]:
    """Yield the changes that an event reports for the sources of an environment's rules. Ignore deletions."""
    match event:
        case Push(branch=branch, after=after, before=before) if after:
            if auto.branch and fits(auto.branch, branch):
                yield SourceMoved(f"branch {auto.branch}", f"heads/{branch}", before, after)
        case Tagged(tag=tag, commit=commit) if commit:
            if auto.tag and fits(auto.tag, tag):
                yield SourceMoved(f"tag {auto.tag}", f"newest tag {auto.tag}", "", f"{tag} ")
        case Published(tag=tag, early=False, gone=False):
            if auto.release:
                yield SourceMoved("release", "newest release -", "", f"{tag} ")


def report(tables: Tables, target: tuple[str, str], moved: SourceMoved, now: float) -> None:
    """Record the value from before a push, for the first check to come or in place of the value it recorded."""
    seen = tables.triggers.considered(*target)
    if moved.rule not in seen:
        if _BEFORE + moved.source not in seen:
            tables.triggers.consider(*target, _BEFORE + moved.source, moved.before)
        return
    at, what = _parts(seen.get(_FIRST + moved.source, ""))
    if what.startswith(moved.now) and abs(now - at) <= SOON:
        tables.triggers.consider(*target, moved.source, moved.before)
        tables.triggers.forget(*target, _FIRST + moved.source)


def settle(tables: Tables, target: tuple[str, str], first: Mapping[str, str], now: float) -> bool:
    """Record the values of a first check, unless a push was reported before it. Return True to check again."""
    seen = tables.triggers.considered(*target)
    again = False
    for source, what in first.items():
        before = seen.get(_BEFORE + source)
        if before is not None:
            tables.triggers.forget(*target, _BEFORE + source)
        again |= before not in {None, what}
        tables.triggers.consider(*target, source, what if before is None else before)
        if what and before is None:
            tables.triggers.consider(*target, _FIRST + source, f"{now} {what}")
    return again


def notes(seen: Mapping[str, str]) -> tuple[str, ...]:
    """Return the notes of first checks."""
    return tuple(one for one in seen if one.startswith(_FIRST))


def old(seen: Mapping[str, str], now: float) -> tuple[str, ...]:
    """Return those notes of first checks that no longer count."""
    return tuple(one for one in notes(seen) if abs(now - _parts(seen[one])[0]) > SOON)


def _parts(kept: str) -> tuple[float, str]:
    at, _, what = kept.partition(" ")
    return (float(at), what) if what else (0.0, "")
