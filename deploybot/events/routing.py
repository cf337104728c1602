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
        """Read repositories and images off the apps, once."""
        self._apps = tuple(settings.apps.values())
        self._repositories = {app.name: _of(app) for app in self._apps}
        self._images = {
            app.name: frozenset(canonical_image(one.image) for one in app.images.values()) for app in self._apps
        }

    def apps(self, event: Event) -> tuple[str, ...]:
        """The names of all apps that an event says it is about."""
        if isinstance(event, ImagePushed) and (found := self._with_image(event)):
            return found
        if isinstance(event, Synced) and not event.repository:
            return tuple(name for name in self._images if event.application in self._known_as(name))
        return tuple(name for name in self._repositories if event.repository and self._same(name, event))

    def concerns(self, app: str, event: Event) -> bool:
        """Whether an event that came by an app's own address may be about it: it names nothing that is another's."""
        if isinstance(event, ImagePushed):
            known = self._images[app]
            return canonical_image(event.image) in known if known else True
        return not event.repository or self._same(app, event)

    def _with_image(self, event: ImagePushed) -> tuple[str, ...]:
        pushed = canonical_image(event.image)
        return tuple(name for name, known in self._images.items() if pushed in known)

    def _known_as(self, name: str) -> set[str]:
        """What an app may be called elsewhere."""
        app = next(app for app in self._apps if app.name == name)
        return {name, *(f"{name}-{environment}" for environment in app.environments)}

    def _same(self, app: str, event: Event) -> bool:
        """Whether the event's repository is the app's. A host that is not told is no difference.

        A path on this machine has no name on any forge: there the last part decides.
        """
        own_host, _, own = self._repositories[app].partition("/")
        named = event.repository.strip("/").removesuffix(".git").lower()
        if not own_host:
            return own.rpartition("/")[2] == named.rpartition("/")[2]
        host = _plain_host(urlsplit(event.url).hostname or "")
        return own == named and host in {"", own_host}


def _of(app: App) -> str:
    """An app's repository; `[apps.APP.forge]` may name it as its forge does."""
    own = repository(app.repo)
    if app.forge is None or not app.forge.repository:
        return own
    return f"{own.partition('/')[0]}/{app.forge.repository.strip('/').lower()}"


def _plain_host(host: str) -> str:
    """A host without what is before its name for SSH alone."""
    return _ALIASES.sub("", host.lower())
