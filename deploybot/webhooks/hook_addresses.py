"""The addresses that senders call: `/hooks/APP/SENDER` for one app, `/hooks/SENDER` for all.

Calls to the latter are assigned to apps by the event's repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from deploybot.settings import Secret, SenderName, Settings
from deploybot.webhooks.sender_port import Signed


@dataclass(frozen=True, slots=True)
class HookAddress:
    """One address that bot.toml opens. `app` is empty for the address of all apps."""

    app: str
    sender: SenderName
    secret: Secret

    @property
    def path(self) -> str:
        """Return the path, such as `/hooks/shop/github`."""
        return f"/hooks/{self.app}/{self.sender}" if self.app else f"/hooks/{self.sender}"

    def url(self, base: str, signed: Signed) -> str:
        """Return the URL for a signed delivery, below `http://host:port`."""
        path = f"{self.path}/{quote(signed.path, safe='')}" if signed.path else self.path
        return f"{base.rstrip('/')}{path}" + (f"?{urlencode(signed.query)}" if signed.query else "")


def addresses(settings: Settings) -> Iterator[HookAddress]:
    """Yield all addresses that bot.toml opens: those of apps first, in the order of the file."""
    for app in settings.apps.values():
        for name, hook in app.hooks.items():
            yield HookAddress(app.name, name, hook.secret)
    for name, hook in settings.hooks.items():
        yield HookAddress("", name, hook.secret)
