"""A real git repository of a small web shop with four releases: v1, v2, a broken v3, and a slow v4."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

_WITHIN = 30.0
_FIRST = 1_767_600_000
_HOUR = 3600

_PRICES = "CREATE TABLE prices (article TEXT PRIMARY KEY, cents INTEGER NOT NULL);\n"
_WRONG = "CREATE TABEL carts (person TEXT, article TEXT);\n"
_RIGHT = "CREATE TABLE carts (person TEXT, article TEXT);\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoChange:
    """One commit: its author, its subject, the files it writes, and its tag, if any."""

    author: str
    subject: str
    texts: Mapping[str, str]
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCommit:
    """A change that was committed. `before` is the commit that was the newest until then."""

    sha: str
    before: str
    author: str
    subject: str
    paths: tuple[str, ...]
    at: float


def changes() -> tuple[DemoChange, ...]:
    """Return the shop's history, oldest first."""
    shop = {name: _packaged(name) for name in ("app.py", "articles.txt", "build.sh", "restart.sh")}
    return (
        DemoChange(author="Dora Diaz", subject="Open the shop", texts={**shop, "RELEASE": "v1\n"}, tag="v1"),
        DemoChange(
            author="Emil Ek", subject="Keep prices in the database", texts={"migrations/0001-prices.sql": _PRICES}
        ),
        DemoChange(
            author="Dora Diaz",
            subject="Sell a lantern, too",
            texts={"articles.txt": shop["articles.txt"] + "a lantern\n", "RELEASE": "v2\n"},
            tag="v2",
        ),
        DemoChange(
            author="Emil Ek",
            subject="Give everybody a cart",
            texts={"migrations/0002-carts.sql": _WRONG, "RELEASE": "v3\n"},
            tag="v3",
        ),
        DemoChange(
            author="Dora Diaz", subject="Spell the migration right", texts={"migrations/0002-carts.sql": _RIGHT}
        ),
        DemoChange(
            author="Fay Fox",
            subject="Draw a picture of every article",
            texts={"pictures": "on\n", "RELEASE": "v4\n"},
            tag="v4",
        ),
    )


def make(path: Path) -> None:
    """Make the repository at `path`. Its commits are the same every time. Raises CalledProcessError."""
    path.mkdir()
    _git(path, "init", "--quiet")
    _git(path, "symbolic-ref", "HEAD", "refs/heads/main")
    for change in changes():
        add(path, change)


def add(path: Path, change: DemoChange) -> DemoCommit:
    """Commit a change on the branch `main`, one hour after the previous one. Raises CalledProcessError."""
    number = int(_git(path, "rev-list", "--count", "--all"))
    at = _FIRST + number * _HOUR
    before = _git(path, "rev-parse", "HEAD").strip() if number else ""
    for name, text in change.texts.items():
        file = path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    _git(path, "add", "--all")
    _git(path, "commit", "--quiet", "--message", change.subject, at=at, by=change.author)
    if change.tag:
        _git(path, "tag", change.tag)
    sha = _git(path, "rev-parse", "HEAD").strip()
    return DemoCommit(
        sha=sha, before=before, author=change.author, subject=change.subject, paths=(*change.texts,), at=at
    )


def later() -> tuple[DemoChange, DemoChange, DemoChange]:
    """Return the changes that are pushed to `main` while the demo runs, in order."""
    articles = _packaged("articles.txt")
    return (
        DemoChange(
            author="Fay Fox", subject="Sell a tent", texts={"articles.txt": f"{articles}a tent\n", "RELEASE": "v5\n"}
        ),
        DemoChange(
            author="Gus Gray",
            subject="Sell a boat, in a hurry",
            texts={"articles.txt": f"{articles}a boat\n", "RELEASE": "v6\n"},
        ),
        DemoChange(
            author="Fay Fox",
            subject="Sell a kite, while the wind is good",
            texts={"articles.txt": f"{articles}a kite\n", "RELEASE": "v7\n"},
        ),
    )


def add_after(path: Path, tag: str, change: DemoChange) -> None:
    """Commit and tag a change after an older release, and not on the branch `main`. Raises CalledProcessError."""
    _git(path, "checkout", "--quiet", "--detach", tag)
    add(path, change)
    _git(path, "checkout", "--quiet", "main")


def leaky() -> DemoChange:
    """Return the change whose health check uses up all connections to the database."""
    texts = {"leaks": "on\n", "RELEASE": "v2.1\n"}
    return DemoChange(author="Gus Gray", subject="Check the database, too", texts=texts, tag="v2.1")


def _packaged(name: str) -> str:
    return (files("deploybot.demo") / "shop" / name).read_text()


def _git(path: Path, *words: str, at: int = _FIRST, by: str = "") -> str:
    """Run git in `path` without the user's own configuration. Return its output."""
    person = {"NAME": by, "EMAIL": f"{by.partition(' ')[0].lower()}@example.com", "DATE": f"{at} +0000"}
    identity = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in person.items()}
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    plain = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(path), "LC_ALL": "C"}
    command = ("git", "-c", "core.autocrlf=false", "-c", "gc.auto=0", *words)
    done = subprocess.run(  # noqa: S603  git, with our own arguments
        command, cwd=path, env=own | plain | identity, check=True, capture_output=True, text=True, timeout=_WITHIN
    )
    return done.stdout
