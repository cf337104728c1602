"""Convert messages of git and ssh to errors that name what is wrong and how to fix it."""

from __future__ import annotations

import re
from typing import NamedTuple

from deploybot.errors import DeploybotError, HostKeyMismatch, StillFetching, Unreachable
from deploybot.ports import TextRedactor
from deploybot.settings import App
from deploybot.sources.git_process import GitFailed, GitTimeout, GitUnfinished
from deploybot.units import show_size

_MOST = 300


class _Cause(NamedTuple):
    words: re.Pattern[str]
    why: str
    hint: str


def _cause(words: str, why: str, hint: str) -> _Cause:
    return _Cause(re.compile(words, re.IGNORECASE), why, hint)


_CAUSES = (
    _cause(
        r"UNPROTECTED PRIVATE KEY FILE",
        "others may read its deploy key, so ssh refuses to use it",
        "chmod 600 the file of apps.{app}.repo_key.",
    ),
    _cause(
        r"Permission denied \([^()\n]{0,200}publickey|no such identity|Load key",
        "it rejected the deploy key",
        "Add the public half of apps.{app}.repo_key to the repository's deploy keys (reading is enough).",
    ),
    _cause(
        r"Authentication failed|could not read (?:Username|Password)|returned error: 40[13]|Access denied",
        "it rejected the token",
        "Check that the token of apps.{app}.repo_token is still valid and may read the repository.",
    ),
    _cause(
        r"dubious ownership|Permission denied$",
        "the bot's user has no permission to read it",
        "Let that user read apps.{app}.repo.",
    ),
    _cause(
        r"Could not resolve host|Name or service not known|Temporary failure in name resolution",
        "its host name is unknown",
        "Check apps.{app}.repo and the name servers of the bot's machine.",
    ),
    _cause(
        r"Connection refused|Could(?:n't| not) connect to server",
        "nothing listens there",
        "Check the address in apps.{app}.repo.",
    ),
    _cause(
        r"timed out|No route to host|Network is unreachable|did not end in time",
        "no answer in time",
        "Check the network between the bot and the repository, then try again.",
    ),
    _cause(
        r"SSL certificate|certificate verify|server certificate|self.signed",
        "its TLS certificate is not trusted",
        "Install the authority's certificate where the bot runs, or set SSL_CERT_FILE for it.",
    ),
    _cause(
        r"No space left on device|Disk quota exceeded",
        "the disk of the bot itself is full",
        "Free space in the bot's data folder, then try again.",
    ),
    _cause(
        # git does not always give the reason.
        r"couldn't write|could not write|unable to (?:write|create|append)|Read-only file system",
        "the bot's own copy of it cannot be written",
        "Check that the disk of the bot's data folder has space and is writable, then try again.",
    ),
    _cause(
        r"Repository not found|not found|does not appear to be a git repository|No such file or directory",
        "the repository was not found there, or the bot has no permission to read it",
        "Check apps.{app}.repo and the permissions of its key or token.",
    ),
    _cause(
        r"transport '[^'\n]{0,100}' not allowed",
        "addresses of that kind are not allowed",
        "Use ssh, https or a path in apps.{app}.repo.",
    ),
    _cause(r"git is not installed", "git is not installed where the bot runs", "Install git there."),
)
_HOST_KEY = re.compile(
    r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No \S{1,40} host key is known"
)


def explained(app: App, problem: GitFailed, redactor: TextRedactor) -> DeploybotError:
    """Explain a git failure. An unknown cause is shown in git's own words, with secrets masked."""
    what = f"The repository of {app.name} ({app.repo})"
    words = redactor.text(problem.words)
    if isinstance(problem, GitUnfinished):
        return StillFetching(what, show_size(problem.received))
    if isinstance(problem, GitTimeout):
        return Unreachable(
            what,
            f"no answer within {problem.seconds:.0f} s",
            hint="Check the network between the bot and the repository, then try again.",
        )
    if _HOST_KEY.search(words):
        return HostKeyMismatch(
            what,
            "its host key is not the pinned one, so nothing was sent to it",
            hint=f"Find out why it changed before you change apps.{app.name}.repo_host_key.",
        )
    for cause in _CAUSES:
        if cause.words.search(words):
            return Unreachable(what, cause.why, hint=cause.hint.format(app=app.name))
    return Unreachable(what, _last_words(words) or f"git ended with {problem.code}")


def _last_words(words: str) -> str:
    """Return git's last error message as one line."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    last = (fatal or lines or [""])[-1].removeprefix("fatal: ").removeprefix("error: ")
    return "".join(char if char.isprintable() else " " for char in last)[:_MOST]
