"""Links to the page of a repository's host that compares two commits."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

_SCP = re.compile(r"[^@/:]+@(?P<host>[^:/]+):(?P<path>[^:]+)")
_URL = re.compile(r"(?:ssh|https?)://(?:[^@/]*@)?(?P<host>[^:/]+)(?::\d+)?/(?P<path>.+)")
_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)+")

_FORMS: dict[str, Callable[[str, str, str], str]] = {
    "github.com": lambda base, old, new: f"{base}/compare/{old}...{new}",
    "gitlab.com": lambda base, old, new: f"{base}/-/compare/{old}...{new}",
    "bitbucket.org": lambda base, old, new: f"{base}/branches/compare/{new}%0D{old}",
    "codeberg.org": lambda base, old, new: f"{base}/compare/{old}...{new}",
    "gitea.com": lambda base, old, new: f"{base}/compare/{old}...{new}",
}
"""URL formats as each host documents them.

GitHub's "Comparing commits", GitLab's "Compare revisions", Bitbucket's "Branch or compare" (the newer commit comes
first, then a carriage return), Forgejo's and Gitea's router.
"""
_LIKE = {"github": "github.com", "gitlab": "gitlab.com", "gitea": "gitea.com", "forgejo": "codeberg.org"}


def image_compare_url(source: str, old: str, new: str, forges: Collection[str]) -> str:
    """Return the compare page for two commits that labels of images name; empty unless the host is to be trusted.

    Whoever built an image wrote its labels. So a link leads only to a public host, or to one of `forges`, the hosts of
    forges in bot.toml.
    """
    match = _URL.fullmatch(source)
    known = match is not None and match["host"].lower() in {*_FORMS, *forges}
    return compare_url(source, old, new) if known else ""


def compare_url(repo: str, old: str, new: str) -> str:
    """Return the compare page for two full commits of a repository, by its git URL; empty if the host is unknown.

    A self-hosted forge is recognized by its first label: `gitlab.example.com` is a GitLab.
    """
    match = _SCP.fullmatch(repo) or _URL.fullmatch(repo)
    if match is None or not old:
        return ""
    host, path = match["host"].lower(), match["path"].strip("/").removesuffix(".git")
    form = _FORMS.get(host) or _FORMS.get(_LIKE.get(host.partition(".")[0], ""))
    if form is None or not _PATH.fullmatch(path):
        return ""
    return form(f"https://{host}/{path}", old, new)
