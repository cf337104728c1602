"""What events tell that is worth keeping for `auto`: pure. Whether it is still true is asked where it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from deploybot.domain import Author, Build, Event, ImagePushed, Published, Push, Tagged, image_key, ref_key
from deploybot.events.build_verdicts import is_own
from deploybot.events.watched_refs import fits
from deploybot.settings import App, Auto


@dataclass(frozen=True, slots=True)
class Hint:
    """What an event tells about an app: who brought what about, a build of a commit, a published tag.

    `about` are the environments whose `auto` may want something now.
    """

    about: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    by: Author | None = None
    built: Build | None = None
    published: str = ""


def autos(app: App) -> dict[str, Auto]:
    """What is deployed by itself, by environment."""
    return {name: one.auto for name, one in app.environments.items() if one.auto is not None}


def hint_of(app: App, event: Event) -> Hint | None:
    """What to keep of an event, and where to look; None where it means nothing to `auto`."""
    match event:
        case Push(branch=branch, after=after):
            about = _about(app, lambda auto: bool(auto.branch) and fits(auto.branch or "", branch))
            return Hint(about, _pushed(f"heads/{branch}", after), _known(event.by))
        case Tagged(tag=tag, commit=commit):
            about = _about(app, lambda auto: bool(auto.tag) and fits(auto.tag or "", tag))
            return Hint(about, (*_pushed(f"tags/{tag}", commit), f"tags/{tag}"), _known(event.by))
        case Published(tag=tag, early=early):
            about = _about(app, lambda auto: auto.release)
            return Hint(about, (f"tags/{tag}",), _known(event.by), published="" if early else tag)
        case Build(commit=commit) if commit and not is_own(event):
            about = _about(app, lambda auto: bool(auto.after or auto.checks))
            return Hint(about, built=replace(event, url="", by=Author(), failed=())) if about else None
        case ImagePushed(digest=digest):
            brought = (digest, image_key(event.image, event.tag, digest)) if digest else ()
            return Hint(_about(app, lambda auto: auto.image), brought, _known(event.by))
        case _:
            return None


def _about(app: App, wants: Callable[[Auto], bool]) -> tuple[str, ...]:
    return tuple(name for name, auto in autos(app).items() if wants(auto))


def _pushed(source: str, commit: str) -> tuple[str, ...]:
    """What a push is noted under: its commit, and that commit on its very branch or tag; nothing of a deleted one."""
    return (commit, ref_key(source, commit)) if commit else ()


def _known(author: Author) -> Author | None:
    """Who brought it about, where the sender says it at all."""
    return author if author.name or author.identity is not None else None
