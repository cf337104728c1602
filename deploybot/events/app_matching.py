"""Which apps an event is about: by its repository or its image. Pure.

Addresses of one repository differ by who uses it: `git@github.com:acme/shop.git`, `ssh://git@github.com:22/acme/shop`,
`https://github.com/acme/shop.git`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from deploybot.domain import Event, ImagePushed, Synced, canonical_image
from deploybot.settings import App, Settings

_SCP = re.compile(r"(?:[^@/:]+@)?([^/:]+):(?!//)(.+)")
_ALIASES = re.compile(r"^(?:ssh|altssh|www)\.")


def repository(url: str) -> str:
    """`host/acme/shop` of a repository's address, in lower case; `/srv/shop` of a path."""
    if "://" not in url and (match := _SCP.fullmatch(url)):
        host, path = match[1], match[2]
    else:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    path = path.strip("/").removesuffix(".git").strip("/").lower()
    return f"{_plain_host(host)}/{path}"


class Routes:
    """The apps of bot.toml by what events name."""

    def __init__(self, settings: Settings) -> None:
        """Read the images off the apps, once."""
        self._apps = settings.apps
        self._images = {
            name: frozenset(canonical_image(one.image) for one in app.images.values())
            for name, app in self._apps.items()
        }

    def apps(self, event: Event) -> tuple[str, ...]:
        """The names of all apps that an event says it is about."""
        if isinstance(event, ImagePushed) and (found := self._with_image(event)):
            return found
        if isinstance(event, Synced) and not event.repository:
            return tuple(name for name in self._images if event.application in self._known_as(name))
        named = self._apps.items() if event.repository else ()
        return tuple(name for name, app in named if is_of(app, event) and _lies_with(app, event))

    def own(self, app: str) -> str:
        """What an app is known by, for people: its repository, or its images where it has any."""
        images = ", ".join(sorted(self._images[app]))
        return " and ".join(filter(None, (_of(self._apps[app]).partition("/")[2], images)))

    def concerns(self, app: str, event: Event) -> bool:
        """Whether an event that came by an app's own address may be about it: it names nothing that is another's."""
        if isinstance(event, ImagePushed):
            known = self._images[app]
            return canonical_image(event.image) in known if known else True
        return is_of(self._apps[app], event)

    def _with_image(self, event: ImagePushed) -> tuple[str, ...]:
        pushed = canonical_image(event.image)
        return tuple(name for name, known in self._images.items() if pushed in known)

    def _known_as(self, name: str) -> set[str]:
        """What an app may be called elsewhere."""
        return {name, *(f"{name}-{environment}" for environment in self._apps[name].environments)}


def is_of(app: App, event: Event) -> bool:
    """Whether the repository that an event names is called as the app's, wherever it lies, or it names none.

    Forges may have one host for SSH and another for their pages. A path on this machine has no name on any forge:
    there the last part decides.
    """
    own_host, _, own = _of(app).partition("/")
    named = event.repository.strip("/").removesuffix(".git").lower()
    if not named or not own_host:
        return not named or own.rpartition("/")[2] == named.rpartition("/")[2]
    return own == named


def _lies_with(app: App, event: Event) -> bool:
    """Whether an event comes from the host of the app's repository, as far as either has one."""
    own, host = _of(app).partition("/")[0], _plain_host(urlsplit(event.url).hostname or "")
    return not own or not host or host == own


def _of(app: App) -> str:
    """An app's repository; `[apps.APP.forge]` may name it as its forge does."""
    own = repository(app.repo)
    if app.forge is None or not app.forge.repository:
        return own
    return f"{own.partition('/')[0]}/{app.forge.repository.strip('/').lower()}"


def _plain_host(host: str) -> str:
    """A host without what is before its name for SSH alone."""
    return _ALIASES.sub("", host.lower())
