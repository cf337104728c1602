"""Bitbucket Cloud: code and builds; https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar

from deploybot.domain import OWN, Author, Build, BuildState, Change, Event, Identity, Push, PushedCommit, Tagged
from deploybot.webhooks.body_reading import MESSAGE, Tree
from deploybot.webhooks.delivery_signatures import BodyMac, Proof
from deploybot.webhooks.forge_events import COMMITS, Done, repository
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received

_STATES: Mapping[str, BuildState] = {
    "INPROGRESS": BuildState.RUNNING,
    "SUCCESSFUL": BuildState.PASSED,
    "FAILED": BuildState.FAILED,
    "STOPPED": BuildState.CANCELLED,
}
_ENDS: Mapping[str, str] = {"MERGED": "pullrequest:fulfilled", "DECLINED": "pullrequest:rejected"}
_UUID = re.compile(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}", re.ASCII)
_PIPELINE = re.compile(r"(?P<name>.*?) #(?P<number>\d{1,9})(?: for .*)?", re.ASCII | re.DOTALL)
_MOST_CHANGES = 50

_SETUP = """\
At Bitbucket, in the repository: Repository settings, Webhooks, Add webhook. (Bitbucket Data Center is not supported.)
Title: deploybot. URL: {url}
Secret: the same as in bot.toml
Status: Active. Triggers: Choose from a full list of triggers. Tick Repository Push, Build status created and updated,
and of Pull Request: Created, Updated, Merged, Declined.
Save. To see the bot's answers: View requests, Enable History."""


class Bitbucket(BaseSender):
    """Bitbucket Cloud."""

    name = "bitbucket"
    proof: ClassVar[Proof] = BodyMac("x-hub-signature", "sha256=")
    kind_header = "x-event-key"
    id_header = "x-request-uuid"
    pings = "diagnostics:ping"
    home = ("repository", "links", "html", "href")
    looks = (
        ("repo:push", frozenset({"actor", "repository", "push"})),
        ("pullrequest:updated", frozenset({"actor", "repository", "pullrequest"})),
        ("repo:commit_status_updated", frozenset({"repository", "commit_status"})),
    )

    def guess(self, payload: Mapping[str, object]) -> str | None:
        """See Sender. The state of a pull request shows how it ended."""
        found = super().guess(payload)
        state = Tree(payload).text("pullrequest", "state")
        return _ENDS.get(state, found) if found == "pullrequest:updated" else found

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """See BaseSender."""
        reader = _READERS.get(self.kind(received))
        return tuple(reader(tree)) if reader else ()

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _person(user: Tree) -> Author:
    """Return the author. Bitbucket's permanent ids are UUIDs, not numbers."""
    uuid = user.text("uuid")
    identity = Identity("bitbucket", uuid) if _UUID.fullmatch(uuid) else None
    return Author(name=user.text("nickname") or user.text("display_name"), identity=identity)


def _pushed(tree: Tree) -> Iterator[Event]:
    """Yield the changes of a push, which may move several branches and tags."""
    for change in tree.each("push", "changes", most=_MOST_CHANGES):
        side = change.at("new") if change.has("new") else change.at("old")
        match side.text("type"):
            case "branch":
                yield _push(tree, change, side.needs("name"))
            case "tag" | "annotated_tag":
                yield _tagged(tree, change, side.needs("name"))


def _push(tree: Tree, change: Tree, branch: str) -> Push:
    return Push(
        sender="bitbucket",
        repository=repository(tree),
        url=change.page("new", "links", "html", "href") or tree.page("repository", "links", "html", "href"),
        by=_person(tree.at("actor")),
        branch=branch,
        before=change.commit("old", "target", "hash"),
        after=change.commit("new", "target", "hash"),
        commits=tuple(_commit(commit) for commit in change.each("commits", most=COMMITS)),
        total=change.count("commits"),
        more=change.flag("truncated"),
        compare=change.page("links", "html", "href"),
        forced=change.flag("forced"),
    )


def _commit(commit: Tree) -> PushedCommit:
    raw = commit.text("author", "raw").partition(" <")[0]
    return PushedCommit(
        sha=commit.commit("hash"),
        author=commit.text("author", "user", "display_name") or raw,
        message=commit.lines("message", cut=MESSAGE),
        url=commit.page("links", "html", "href"),
    )


def _tagged(tree: Tree, change: Tree, tag: str) -> Tagged:
    return Tagged(
        sender="bitbucket",
        repository=repository(tree),
        url=change.page("new", "links", "html", "href"),
        by=_person(tree.at("actor")),
        at=change.time("new", "date"),
        tag=tag,
        commit=change.commit("new", "target", "hash"),
    )


def _changed(done: Done, tree: Tree) -> Iterator[Event]:
    request = tree.at("pullrequest")
    branch, there = request.needs("source", "branch", "name"), request.text("source", "repository", "full_name")
    fork = there != request.text("destination", "repository", "full_name")
    merged = request.commit("merge_commit", "hash") if done == "merged" else ""
    yield Change(
        sender="bitbucket",
        repository=repository(tree),
        url=request.page("links", "html", "href"),
        by=_person(tree.at("actor")),
        at=request.time("updated_on"),
        number=request.number("id"),
        title=request.needs("title"),
        what=done,
        branch=f"{there.partition('/')[0] or 'unknown'}:{branch}" if fork else branch,
        into=request.needs("destination", "branch", "name"),
        # Bitbucket writes short hashes here, which are not used.
        commit=merged or request.commit("source", "commit", "hash"),
        draft=request.flag("draft"),
    )


def _built(tree: Tree) -> Iterator[Event]:
    """Yield a build status. Bitbucket Pipelines adds a number and branch to its names, which are removed."""
    status = tree.at("commit_status")
    state, key = _STATES.get(status.text("state")), status.needs("key")
    if state is None or key == OWN or key.startswith(f"{OWN}/"):
        return
    written = status.text("name") or key
    pipeline = _PIPELINE.fullmatch(written)
    commit = status.commit("commit", "hash") or Tree(status.page("links", "commit", "href").rpartition("/")[2]).commit()
    at = status.time("updated_on")
    yield Build(
        sender="bitbucket",
        repository=repository(tree),
        url=status.page("url"),
        by=_person(tree.at("actor")),
        at=at,
        key=f"bitbucket:{repository(tree)}:status:{key}:{commit}",
        name=pipeline["name"] if pipeline else written,
        state=state,
        branch=status.text("refname"),
        commit=commit,
        number=int(pipeline["number"]) if pipeline else 0,
        run=int(pipeline["number"]) if pipeline else 0,
        started=status.time("created_on"),
        finished=at if state.ended else 0.0,
    )


_READERS: Mapping[str, Callable[[Tree], Iterator[Event]]] = {
    "repo:push": _pushed,
    "pullrequest:created": partial(_changed, "opened"),
    "pullrequest:updated": partial(_changed, "updated"),
    "pullrequest:fulfilled": partial(_changed, "merged"),
    "pullrequest:rejected": partial(_changed, "closed"),
    "repo:commit_status_created": _built,
    "repo:commit_status_updated": _built,
}

SENDER = Bitbucket()
