"""Decide which parts of an event `auto` needs. Pure; whether they are still true is checked where it matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from deploybot.domain import Author, Build, Event, ImagePushed, Published, Push, Tagged, image_key, ref_key, release_key
from deploybot.events.build_verdicts import is_own
from deploybot.events.watched_refs import fits
from deploybot.settings import App, Auto


@dataclass(frozen=True, slots=True)
class Hint:
    """The parts of an event that matter to an app.

    These are the author of a change, a build of a commit, and a tag whose release was published or deleted. `about` are
    the environments whose `auto` may deploy something now. `author_keys` are the keys that the author `by` is stored
    under.
    """

    about: tuple[str, ...] = ()
    author_keys: tuple[str, ...] = ()
    by: Author | None = None
    built: Build | None = None
    published: str = ""
    unpublished: str = ""


def autos(app: App) -> dict[str, Auto]:
    """Return the `auto` settings of an app, by environment."""
    return {name: one.auto for name, one in app.environments.items() if one.auto is not None}


def hint_of(app: App, event: Event) -> Hint | None:
    """Return the parts of an event to store and the environments to check, or None if `auto` needs nothing of it."""
    match event:
        case Push(branch=branch, after=after):
            about = _about(app, lambda auto: bool(auto.branch) and fits(auto.branch or "", branch))
            return Hint(about, _pushed(f"heads/{branch}", after), _known(event.by))
        case Tagged(tag=tag, commit=commit):
            about = _about(app, lambda auto: bool(auto.tag) and fits(auto.tag or "", tag))
            return Hint(about, (*_pushed(f"tags/{tag}", commit), f"tags/{tag}"), _known(event.by))
        case Published(tag=tag, early=early):
            about = _about(app, lambda auto: auto.release)
            return Hint(about, unpublished=tag) if event.gone else _released(about, tag, event.by, early=early)
        case Build(commit=commit) if commit and not is_own(event):
            about = _about(app, lambda auto: bool(auto.after or auto.checks))
            return Hint(about, built=replace(event, url="", by=Author(), failed=())) if about else None
        case ImagePushed(digest=digest):
            author_keys = (digest, image_key(event.image, event.tag, digest)) if digest else ()
            return Hint(_about(app, lambda auto: auto.image), author_keys, _known(event.by))
        case _:
            return None


def _about(app: App, wants: Callable[[Auto], bool]) -> tuple[str, ...]:
    return tuple(name for name, auto in autos(app).items() if wants(auto))


def _pushed(source: str, commit: str) -> tuple[str, ...]:
    """Return the keys for a push: its commit, and that commit on this branch or tag. Return none for a deletion."""
    return (commit, ref_key(source, commit)) if commit else ()


def _released(about: tuple[str, ...], tag: str, by: Author, *, early: bool) -> Hint:
    """Return the hint of a published release. A publisher who is not named is stored as such: it was not the tagger."""
    source = f"tags/{tag}"
    author_keys = (source, release_key(source)) if _known(by) else (release_key(source),)
    return Hint(about, author_keys, by, published="" if early else tag)


def _known(author: Author) -> Author | None:
    """Return the author, or None if the sender does not name one."""
    return author if author.name or author.identity is not None else None
