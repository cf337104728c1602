"""Code events of GitHub and forges with similar payloads (Gitea, Forgejo, Gitee).

These are pushes, pull requests, tags and releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deploybot.domain import Author, Change, Event, Identity, Ping, Published, Push, PushedCommit, Tagged
from deploybot.webhooks.body_reading import MESSAGE, Tree, under

COMMITS = 20
"""How many commits of a push are stored."""

_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_MOST_PATHS = 3_000
"""Lists of this many files or more may be incomplete. The forges' own documented limits are no lower."""

Done = Literal["opened", "updated", "merged", "closed", "reopened"]

DONE: Mapping[str, Done] = {
    "opened": "opened",
    "synchronize": "updated",
    "synchronized": "updated",
    "edited": "updated",
    "ready_for_review": "updated",
    "converted_to_draft": "updated",
    "closed": "closed",
    "reopened": "reopened",
}
"""The meaning of a pull request's `action`. All others are ignored."""

_PUBLISHED = frozenset({"published", "released"})
"""GitHub sends both, but only `released` if a pre-release becomes a release."""
_UNPUBLISHED = frozenset({"deleted", "unpublished"})


@dataclass(frozen=True, slots=True)
class ForgeDialect:
    """The differences of a forge: its name, how many commits it lists at most, and the key that counts them."""

    name: str
    most_commits: int | None = None
    counted: str = "total_commits"


def repository(tree: Tree) -> str:
    """Return `acme/shop`."""
    return tree.text("repository", "full_name")


def person(forge: str, user: Tree) -> Author:
    """Return the author for an account of a forge: its name, and its number, which never changes."""
    number = user.number("id")
    identity = Identity(forge, str(number)) if number else None
    return Author(name=user.text("login") or user.text("name"), identity=identity)


def branch_of(ref: str) -> str:
    """Return `main` for `refs/heads/main`, or an empty text for other refs."""
    return ref.removeprefix(_HEADS) if ref.startswith(_HEADS) else ""


def pushed(forge: ForgeDialect, tree: Tree) -> tuple[Event, ...]:
    """Return a `push` of a branch or a tag. Other refs, such as those of pull requests, are ignored."""
    ref = tree.needs("ref")
    if ref.startswith(_TAGS):
        return (_tagged(forge, tree, ref.removeprefix(_TAGS)),)
    branch = branch_of(ref)
    if tree.commit("after") and tree.commit("before") == tree.commit("after"):
        # Nothing moved: Gitea and Forgejo test an address this way.
        return (Ping(sender=forge.name, repository=repository(tree)),)
    return (_push(forge, tree, branch),) if branch else ()


def _tagged(forge: ForgeDialect, tree: Tree, tag: str) -> Tagged:
    # `after` of an annotated tag is the tag itself; the head commit is the one it points to.
    gone = tree.flag("deleted") or not tree.commit("after")
    return Tagged(
        sender=forge.name,
        repository=repository(tree),
        url="" if gone else under(tree.page("repository", "html_url"), "tree", tag),
        by=_pusher(forge, tree),
        at=tree.time("repository", "pushed_at") if not gone else 0.0,
        tag=tag,
        commit="" if gone else tree.commit("head_commit", "id") or tree.commit("after"),
    )


def _push(forge: ForgeDialect, tree: Tree, branch: str) -> Push:
    listed = tree.count("commits")
    total = max(tree.number(forge.counted), listed)
    whole = total == listed and listed != forge.most_commits
    return Push(
        sender=forge.name,
        repository=repository(tree),
        url=tree.page("head_commit", "url") or tree.page("repository", "html_url"),
        by=_pusher(forge, tree),
        # A commit may be much older than its push, so its time can't be used here.
        at=tree.time("repository", "pushed_at"),
        branch=branch,
        before=tree.commit("before"),
        after=tree.commit("after"),
        commits=newest(tree),
        total=total,
        more=listed == forge.most_commits,
        compare=tree.page("compare") or tree.page("compare_url"),
        forced=tree.flag("forced"),
        paths=touched(tree) if whole and tree.commit("before") and not tree.flag("forced") else None,
    )


def _pusher(forge: ForgeDialect, tree: Tree) -> Author:
    return person(forge.name, tree.at("sender") if tree.has("sender") else tree.at("pusher"))


def newest(tree: Tree) -> tuple[PushedCommit, ...]:
    """Return the newest commits of a push, newest first, in whichever order they are listed."""
    commits = list(tree.each("commits"))
    after = tree.commit("after")
    if commits and commits[0].commit("id") != after:
        commits.reverse()
    found = (commit_of(commit) for commit in commits[:COMMITS])
    return tuple(commit for commit in found if commit.sha)


def commit_of(commit: Tree) -> PushedCommit:
    """Return a commit as GitHub, GitLab, Gitea and Gitee write it."""
    return PushedCommit(
        sha=commit.commit("id"),
        author=commit.text("author", "name") or commit.text("author", "username"),
        message=commit.lines("message", cut=MESSAGE),
        url=commit.page("url"),
    )


def touched(tree: Tree) -> tuple[str, ...] | None:
    """Return the files that a push changed, sorted, or None if its commits don't list all of them."""
    found: set[str] = set()
    for commit in tree.each("commits"):
        lists = [commit.at(key) for key in ("added", "modified", "removed")]
        if not all(files.lists() for files in lists) or sum(files.count() for files in lists) >= _MOST_PATHS:
            return None
        found.update(file.lines(cut=4096) for files in lists for file in files.each())
        if len(found) > _MOST_PATHS:
            return None
    # Merges may list no file at all, so an empty list may be incomplete.
    return tuple(sorted(found - {""})) or None


def changed(forge: ForgeDialect, tree: Tree) -> tuple[Event, ...]:
    """Return a `pull_request`. Changes of labels, reviewers and the like are ignored."""
    request = tree.at("pull_request")
    action = tree.text("action")
    done = DONE.get(action)
    if done is None or (action == "edited" and not (tree.has("changes", "title") or tree.has("changes", "base"))):
        return ()
    merged = done == "closed" and (request.flag("merged") or request.has("merged_at"))
    return (
        Change(
            sender=forge.name,
            repository=repository(tree),
            url=request.page("html_url"),
            by=person(forge.name, tree.at("sender")),
            at=request.time("updated_at"),
            number=request.number("number") or tree.number("number"),
            title=request.needs("title"),
            what="merged" if merged else done,
            branch=branch_from(request),
            into=request.needs("base", "ref"),
            commit=(request.commit("merge_commit_sha") if merged else "") or request.commit("head", "sha"),
            draft=request.flag("draft"),
        ),
    )


def branch_from(request: Tree) -> str:
    """Return `branch`, or `ana:branch` for another repository, whose branch may also be called `main`."""
    branch = request.needs("head", "ref")
    here, there = (request.text(side, "repo", "full_name") for side in ("base", "head"))
    return branch if here == there else f"{there.partition('/')[0] or 'unknown'}:{branch}"


def published(forge: ForgeDialect, tree: Tree) -> tuple[Event, ...]:
    """Return a `release` that was published or deleted. Drafts and edits are ignored."""
    release, action = tree.at("release"), tree.text("action")
    gone = action in _UNPUBLISHED
    if not (gone or action in _PUBLISHED) or release.flag("draft"):
        return ()
    return (
        Published(
            sender=forge.name,
            repository=repository(tree),
            url="" if gone else release.page("html_url"),
            by=person(forge.name, tree.at("sender")),
            at=release.time("published_at") or release.time("created_at"),
            tag=release.needs("tag_name"),
            name=release.text("name"),
            text=release.lines("body"),
            early=release.flag("prerelease"),
            gone=gone,
        ),
    )
