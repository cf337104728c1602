"""Find the apps that an event is about, by its repository or its image. Pure.

The same repository has different addresses: `git@github.com:acme/shop.git`, `ssh://git@github.com:22/acme/shop`,
`https://github.com/acme/shop.git`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from deploybot.domain import Event, ImagePushed, Synced, canonical_image
from deploybot.settings import App, Settings
from deploybot.settings.build_senders import FORGES

_SCP = re.compile(r"(?:[^@/:]+@)?([^/:]+):(?!//)(.+)")
_ALIASES = re.compile(r"^(?:ssh|altssh|www)\.")


def repository(url: str) -> str:
    """Return `host/acme/shop` in lower case for a repository's address, or `/srv/shop` for a path."""
    if "://" not in url and (match := _SCP.fullmatch(url)):
        host, path = match[1], match[2]
    else:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    path = path.strip("/").removesuffix(".git").strip("/").lower()
    return f"{_plain_host(host)}/{path}"


class Routes:
    """The apps of bot.toml, by the names that events use for them."""

    def __init__(self, settings: Settings) -> None:
        """Read the images of all apps once."""
        self._apps = settings.apps
        self._images = {
            name: frozenset(canonical_image(one.image) for there in app.everywhere() for one in there.images.values())
            for name, app in self._apps.items()
        }
        self._hosts = frozenset(host_of_app(app) for app in self._apps.values())

    def apps(self, event: Event) -> tuple[str, ...]:
        """Return the names of all apps that an event is about."""
        if isinstance(event, ImagePushed) and (found := self._with_image(event)):
            return found
        if isinstance(event, Synced) and not event.repository:
            return tuple(name for name in self._images if event.application in self._known_as(name))
        named = self._apps.items() if event.repository else ()
        host = self._host(event)
        return tuple(name for name, app in named if is_of(app, event) and _lies_with(app, host))

    def _host(self, event: Event) -> str:
        """Return the host of an event's repository, or an empty text. A CI's page may be elsewhere than its code."""
        found = host_of_event(event)
        if event.host:
            return found
        return found if event.sender in FORGES or found in self._hosts else ""

    def own(self, app: str) -> str:
        """Return an app's name for people: its repository, and its images if it has any."""
        images = ", ".join(sorted(self._images[app]))
        return " and ".join(filter(None, (_of(self._apps[app]).partition("/")[2], images)))

    def concerns(self, app: str, event: Event) -> bool:
        """Return whether an event sent to an app's own address may be about that app.

        It may, unless it names a repository or image that is not the app's.
        """
        if isinstance(event, ImagePushed):
            known = self._images[app]
            if self._apps[app].repo is None:
                return True  # its Compose files may name more images than bot.toml
            return canonical_image(event.image) in known if known else True
        return is_of(self._apps[app], event)

    def names(self, app: str, event: Event) -> bool:
        """Return whether an event names the repository of an app."""
        return bool(event.repository) and is_of(self._apps[app], event)

    def _with_image(self, event: ImagePushed) -> tuple[str, ...]:
        pushed = canonical_image(event.image)
        return tuple(name for name, known in self._images.items() if pushed in known)

    def _known_as(self, name: str) -> set[str]:
        """Return the names that an app may have elsewhere."""
        return {name, *(f"{name}-{environment}" for environment in self._apps[name].environments)}


def forge_hosts(settings: Settings) -> frozenset[str]:
    """Return the hosts of the repositories for which bot.toml has a forge."""
    return frozenset(filter(None, (host_of_app(app) for app in settings.apps.values() if app.forge)))


def host_of_app(app: App) -> str:
    """Return the host of an app's repository, or an empty text for a path on this machine."""
    return _of(app).partition("/")[0]


def host_of_event(event: Event) -> str:
    """Return the host that an event names for its repository, or else the host of its page; it may be empty."""
    return _plain_host(_host_of(f"//{event.host}" if event.host else event.url))


def is_of(app: App, event: Event) -> bool:
    """Return whether an event names the app's repository, on any host, or names none.

    A forge may use one host for SSH and another for its pages. A path on this machine has no name on a forge, so only
    the last part is compared.
    """
    own_host, _, own = _of(app).partition("/")
    named = event.repository.strip("/").removesuffix(".git").lower()
    if not named or not own_host:
        return not named or own.rpartition("/")[2] == named.rpartition("/")[2]
    return own == named


def _lies_with(app: App, host: str) -> bool:
    """Return whether an app's repository is on a host. True where either host is unknown."""
    own = host_of_app(app)
    return not own or not host or host == own


def _host_of(page: str) -> str:
    """Return the host of an address, or an empty text."""
    try:
        return urlsplit(page).hostname or ""
    except ValueError:
        return ""


def _of(app: App) -> str:
    """Return an app's repository; empty if it has none. `[apps.APP.forge]` may give the name that its forge uses."""
    if app.repo is None:
        return ""
    own = repository(app.repo)
    if app.forge is None or not app.forge.repository:
        return own
    return f"{own.partition('/')[0]}/{app.forge.repository.strip('/').lower()}"


def _plain_host(host: str) -> str:
    """Return a host in lower case without the prefixes `ssh.`, `altssh.` and `www.`."""
    return _ALIASES.sub("", host.lower())
