"""Any script that can send a small JSON. docs/webhooks.md has its schema, and lines to paste into scripts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import ClassVar

from deploybot.domain import Author, Build, BuildState, Event, ImagePushed, Note
from deploybot.webhooks.body_reading import Tree
from deploybot.webhooks.delivery_signatures import Proof, StandardOrBearer
from deploybot.webhooks.pushed_images import split
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import MalformedError, Received

TONES = ("plain", "good", "bad", "warn", "busy")

TEXTS = ("title", "text", "tone", "key", "repository", "environment", "branch", "tag", "commit", "url", "by", "at")
"""The keys of the body that hold one value."""
KEYS = (*TEXTS, "fields", "build", "images")
BUILD_KEYS = ("name", "state", "number", "attempt", "started", "finished", "failed")

_MOST_FIELDS = 20
_MOST_IMAGES = 50
_MOST_FAILED = 50

_SETUP = """\
At the end of any script, with SECRET in the environment:
curl -fsS {url} -H "Authorization: Bearer $SECRET" -H 'Content-Type: application/json' \\
  -d '{{"title": "The nightly backup is done", "tone": "good"}}'
Or sign the call with any Standard Webhooks library; the secret then begins with whsec_.
docs/webhooks.md lists what else the JSON may contain (builds, images)."""


class ScriptSender(BaseSender):
    """Scripts, and everything else that has no file here."""

    name = "event"
    proof: ClassVar[Proof] = StandardOrBearer()
    id_header = "webhook-id"
    repeats = True
    pings = ""
    looks = (
        ("", frozenset({"title"})),
        ("", frozenset({"build"})),
        ("", frozenset({"images"})),
    )

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender. Unlike others this is strict: the author of the script reads the answer."""
        _known(tree, KEYS, "")
        _known(tree.at("build"), BUILD_KEYS, "build.")
        _single(tree, TEXTS)
        if tree.text("url") and not tree.page("url"):
            raise MalformedError("url should be an address such as https://ci.example.com/7.")
        found = (*_builds(tree), *_images(tree), *_notes(tree))
        if not found:
            raise MalformedError('The body reports nothing: give a "title", a "build" or "images".')
        return found

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _known(tree: Tree, keys: tuple[str, ...], where: str) -> None:
    for key in tree.names():
        if key not in keys:
            near = difflib.get_close_matches(key[:100], keys, n=1)
            meant = f"; did you mean {where}{near[0]}?" if near else f". Known keys: {', '.join(keys)}."
            raise MalformedError(f"There is no key {where}{Tree(key).text(cut=60)}{meant}")


def _single(tree: Tree, keys: tuple[str, ...], where: str = "") -> None:
    for key in keys:
        if tree.has(key) and not tree.single(key):
            raise MalformedError(f"{where}{key} should be a string or a number.")


def _commit(tree: Tree) -> str:
    if tree.text("commit") and not tree.commit("commit"):
        raise MalformedError("commit should be a full commit: 40 or 64 digits of 0-9 and a-f.")
    return tree.commit("commit")


def _at(tree: Tree, key: str, where: str = "") -> float:
    found = tree.time(key) or float(tree.number(key))
    if tree.text(key) and not found:
        raise MalformedError(f"{where}{key} should be seconds since 1970, or a time such as 2026-11-20T10:00:00Z.")
    return found


def _notes(tree: Tree) -> Iterator[Note]:
    title, tone = tree.text("title"), tree.text("tone") or "plain"
    if tone not in TONES:
        raise MalformedError(f"tone should be one of {', '.join(TONES)}.")
    if tree.has("fields") and not tree.maps("fields"):
        raise MalformedError("fields should be an object of names and texts.")
    if title:
        yield Note(
            sender="event",
            repository=tree.text("repository"),
            url=tree.page("url"),
            by=Author(name=tree.text("by")),
            at=_at(tree, "at"),
            title=title,
            text=tree.lines("text"),
            tone=tone,
            key=tree.text("key"),
            environment=tree.text("environment"),
            commit=_commit(tree),
            branch=tree.text("branch"),
            fields=tree.pairs("fields", most=_MOST_FIELDS),
        )


def _builds(tree: Tree) -> Iterator[Build]:
    build = tree.at("build")
    if not tree.has("build"):
        return
    if not tree.maps("build"):
        raise MalformedError("build should be an object.")
    _single(build, tuple(key for key in BUILD_KEYS if key != "failed"), "build.")
    if build.has("failed") and not build.lists("failed"):
        raise MalformedError("build.failed should be a list of the names of jobs.")
    name, commit = build.text("name"), _commit(tree)
    if not name:
        raise MalformedError("build.name is missing: the name that people know the build by.")
    number = build.number("number")
    key = tree.text("key") or f"{tree.text('repository')}:{name}:{number or commit}"
    yield Build(
        sender="event",
        repository=tree.text("repository"),
        url=tree.page("url"),
        by=Author(name=tree.text("by")),
        at=_at(tree, "at"),
        key=f"event:{key}",
        name=name,
        state=_state(build.text("state")),
        branch=tree.text("branch"),
        tag=tree.text("tag"),
        commit=commit,
        number=number,
        run=number,
        attempt=max(1, build.number("attempt", default=1)),
        started=_at(build, "started", "build."),
        finished=_at(build, "finished", "build."),
        failed=tuple(filter(None, (job.text() for job in build.each("failed", most=_MOST_FAILED)))),
    )


def _state(word: str) -> BuildState:
    try:
        return BuildState(word)
    except ValueError:
        raise MalformedError(f"build.state should be one of {', '.join(BuildState)}.") from None


def _images(tree: Tree) -> Iterator[ImagePushed]:
    if tree.has("images") and not tree.lists("images"):
        raise MalformedError('images should be a list such as ["registry.example.com/acme/shop:v1.4"].')
    if tree.count("images") > _MOST_IMAGES:
        raise MalformedError(f"images has more than {_MOST_IMAGES} entries.")
    for one in tree.each("images"):
        image, tag, digest = split(one.text(cut=512))
        if not (image and tag):
            raise MalformedError("images should contain texts such as registry.example.com/acme/shop:v1.4, with a tag.")
        yield ImagePushed(
            sender="event",
            repository=tree.text("repository"),
            url=tree.page("url"),
            by=Author(name=tree.text("by")),
            at=_at(tree, "at"),
            image=image,
            tag=tag,
            digest=digest,
        )


SENDER = ScriptSender()
