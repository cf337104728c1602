"""Where a forge has its API and what it calls an app's repository, as bot.toml or the repository's URL tells it."""

from __future__ import annotations

import re

from deploybot.settings.app_settings import App
from deploybot.settings.event_settings import ForgeSettings

_SCP = re.compile(r"[^@/:]+@(?P<host>[^:/]+):(?P<path>[^:]+)")
_URL = re.compile(r"(?P<scheme>ssh|https?)://(?:[^@/]*@)?(?P<host>[^:/]+)(?P<port>:\d+)?/(?P<path>.+)")
_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)+")
_APIS = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1", "forgejo": "/api/v1"}
"""The path of the API on a host of one's own: GitHub Enterprise Server's, GitLab's, Gitea's and Forgejo's documents."""


def api_of(app: App, forge: ForgeSettings) -> tuple[str, str] | None:
    """The API's URL without a slash at its end, and the repository; None where one of them is not known.

    github.com has its API elsewhere; a repository reached by SSH is taken to have it at its host's https port.
    """
    match = _SCP.fullmatch(app.repo) or _URL.fullmatch(app.repo)
    repository = forge.repository or (match["path"].strip("/").removesuffix(".git") if match else "")
    url = forge.api_url or (_made(match, forge) if match else "")
    return (url, repository) if url and _PATH.fullmatch(repository) else None


def _made(match: re.Match[str], forge: ForgeSettings) -> str:
    found, host = match.groupdict(), match["host"].lower()
    if forge.kind == "github" and host == "github.com":
        return "https://api.github.com"
    web = (found.get("scheme") or "").startswith("http")
    scheme, port = (found["scheme"], found["port"] or "") if web else ("https", "")
    path = _APIS.get(forge.kind)  # a bot.toml with mistakes, of which the rest is looked at, may have none
    return f"{scheme}://{host}{port}{path}" if path else ""
