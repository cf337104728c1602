"""The API of a forge and its name for an app's repository, from bot.toml or the repository's URL."""

from __future__ import annotations

import re

from deploybot.part_tables import FORGE_TABLE
from deploybot.settings.app_settings import App
from deploybot.settings.event_settings import ForgeSettings

_SCP = re.compile(r"[^@/:]+@(?P<host>[^:/]+):(?P<path>[^:]+)")
_URL = re.compile(r"(?P<scheme>ssh|https?)://(?:[^@/]*@)?(?P<host>[^:/]+)(?P<port>:\d+)?/(?P<path>.+)")
_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)+")


def api_of(app: App, forge: ForgeSettings) -> tuple[str, str] | None:
    """Return the API's URL without a trailing slash, and the repository; None if one of them is unknown.

    github.com has its API on another host. For a repository reached by SSH, the API is expected at its host's https
    port.
    """
    repo = app.repo or ""
    match = _SCP.fullmatch(repo) or _URL.fullmatch(repo)
    repository = forge.repository or (match["path"].strip("/").removesuffix(".git") if match else "")
    url = forge.api_url or (_made(match, forge) if match else "")
    return (url, repository) if url and _PATH.fullmatch(repository) else None


def _made(match: re.Match[str], forge: ForgeSettings) -> str:
    found, host = match.groupdict(), match["host"].lower()
    entry = FORGE_TABLE.get(forge.kind)  # unknown kinds occur in a bot.toml with mistakes, whose rest is checked, too
    if entry is None:
        return ""
    if host in entry.hosts:
        return entry.hosts[host]
    web = (found.get("scheme") or "").startswith("http")
    scheme, port = (found["scheme"], found["port"] or "") if web else ("https", "")
    return f"{scheme}://{host}{port}{entry.api}"
