"""GitLab: code, pipelines, jobs, deployments; https://docs.gitlab.com/user/project/integrations/webhook_events/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from deploybot.domain import Change, Deployed, Event, Published, Push, Tagged
from deploybot.webhooks.body_reading import Tree, delivery_id, first, under
from deploybot.webhooks.delivery_signatures import STANDARD_PREFIX, HeaderToken, Standard
from deploybot.webhooks.forge_events import Done, branch_of, newest, touched
from deploybot.webhooks.gitlab_builds import STATES, of_job, of_pipeline, person, repository
from deploybot.webhooks.sender_base import BaseSender, Reader
from deploybot.webhooks.sender_port import Received, Signed

_DONE: Mapping[str, Done] = {
    "open": "opened",
    "update": "updated",
    "merge": "merged",
    "close": "closed",
    "reopen": "reopened",
}

_SETUP = """\
At GitLab, in the project (or, with a paid plan, in the group): Settings, Webhooks, Add new webhook.
URL: {url}
Signing token: generate one in GitLab and copy it to bot.toml; it begins with whsec_. If your GitLab has no such field:
Secret token, the same as in bot.toml.
Trigger: Push events (All branches), Tag push events, Merge request events, Pipeline events, Releases events. Job events
only if auto lists jobs in checks. Deployment events for deployments by others: leave them out if bot.toml has a
[apps.APP.forge] for this project, because GitLab does not mark which are the bot's own.
Enable SSL verification: ticked. Add webhook, then Test, Push events."""


class _GitLabProof:
    """A secret that begins with `whsec_` is used to sign. Any other is sent as it is."""

    _signature, _token = Standard(), HeaderToken("x-gitlab-token")

    def verify(self, received: Received, secret: str) -> None:
        """See Proof. A token is never accepted instead of a signature, nor a signature instead of a token."""
        (self._signature if secret.startswith(STANDARD_PREFIX) else self._token).verify(received, secret)

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:
        """See Proof."""
        proof = self._signature if secret.startswith(STANDARD_PREFIX) else self._token
        return proof.sign(body, secret, delivery=delivery, at=at)


class GitLabSender(BaseSender):
    """GitLab, on gitlab.com or self-hosted."""

    name = "gitlab"
    proof: ClassVar[_GitLabProof] = _GitLabProof()
    kind_header = "x-gitlab-event"
    # X-Gitlab-Event-UUID is not an id of a delivery: hooks that call each other share it.
    id_header = "idempotency-key"
    pings = "Push Hook"
    home = ("project", "web_url")
    looks = (
        ("Pipeline Hook", frozenset({"object_kind", "object_attributes", "builds"})),
        ("Job Hook", frozenset({"object_kind", "build_id"})),
        ("Deployment Hook", frozenset({"object_kind", "deployment_id"})),
        ("Push Hook", frozenset({"object_kind", "event_name", "checkout_sha"})),
        ("Merge Request Hook", frozenset({"object_kind", "object_attributes", "project"})),
        ("Release Hook", frozenset({"object_kind", "tag", "released_at"})),
    )

    def delivery(self, received: Received) -> str:
        """See Sender. If both headers are there, they hold the same value."""
        return delivery_id(first(received, "webhook-id") or first(received, self.id_header))

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender. The body has the kind as well, the same for hooks of projects, groups and the system."""
        reader = _READERS.get(tree.text("object_kind"))
        return reader(tree) if reader else ()

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _pushed(tree: Tree) -> tuple[Event, ...]:
    branch = branch_of(tree.needs("ref"))
    if not branch:
        return ()
    before, after, page = tree.commit("before"), tree.commit("after"), tree.page("project", "web_url")
    listed = tree.count("commits")
    total = max(listed, tree.number("total_commits_count"))
    return (
        Push(
            sender="gitlab",
            repository=repository(tree),
            url=under(page, "-/commits", branch),
            by=person(tree, prefix="user_"),
            branch=branch,
            before=before,
            after=after,
            commits=newest(tree),
            total=total,
            compare=under(page, "-/compare", f"{before}...{after}") if before and after else "",
            paths=touched(tree) if before and total == listed else None,
        ),
    )


def _tagged(tree: Tree) -> tuple[Event, ...]:
    tag, page = tree.needs("ref").removeprefix("refs/tags/"), tree.page("project", "web_url")
    there = bool(tree.commit("after"))
    return (
        Tagged(
            sender="gitlab",
            repository=repository(tree),
            url=under(page, "-/tags", tag) if there else "",
            by=person(tree, prefix="user_"),
            tag=tag,
            # `after` of an annotated tag is the tag itself.
            commit=(tree.commit("checkout_sha") or tree.commit("after")) if there else "",
        ),
    )


def _changed(tree: Tree) -> tuple[Event, ...]:
    request = tree.at("object_attributes")
    action = request.text("action")
    done = _DONE.get(action)
    noteworthy = request.has("oldrev") or any(tree.has("changes", key) for key in ("title", "draft", "target_branch"))
    if done is None or (action == "update" and not noteworthy):
        return ()
    branch, there = request.needs("source_branch"), request.text("source", "path_with_namespace")
    fork = there and there != request.text("target", "path_with_namespace")
    return (
        Change(
            sender="gitlab",
            repository=repository(tree),
            url=request.page("url"),
            by=person(tree.at("user")),
            at=request.time("updated_at"),
            number=request.number("iid"),
            title=request.needs("title"),
            what=done,
            branch=f"{there.rpartition('/')[0]}:{branch}" if fork else branch,
            into=request.needs("target_branch"),
            commit=request.commit("merge_commit_sha") or request.commit("last_commit", "id"),
            draft=request.flag("draft") or request.flag("work_in_progress"),
        ),
    )


def _deployed(tree: Tree) -> tuple[Event, ...]:
    state = STATES.get(tree.text("status"))
    if state is None:
        return ()
    return (
        Deployed(
            sender="gitlab",
            repository=repository(tree),
            url=tree.page("deployable_url") or tree.page("project", "web_url"),
            by=person(tree.at("user")),
            at=tree.time("status_changed_at"),
            key=f"gitlab:{repository(tree)}:deployment:{tree.needs('deployment_id')}",
            environment=tree.needs("environment"),
            state=state,
            ref=tree.text("ref"),
            # Only the page of the commit contains the full hash.
            commit=Tree(tree.page("commit_url").rpartition("/")[2]).commit(),
            text=tree.text("commit_title"),
        ),
    )


def _published(tree: Tree) -> tuple[Event, ...]:
    action = tree.text("action")
    if action not in {"create", "delete"}:
        return ()
    return (
        Published(
            sender="gitlab",
            repository=repository(tree),
            url=tree.page("url") if action == "create" else "",
            at=tree.time("released_at") or tree.time("created_at"),
            tag=tree.needs("tag"),
            name=tree.text("name"),
            text=tree.lines("description"),
            gone=action == "delete",
        ),
    )


_READERS: Mapping[str, Reader] = {
    "push": _pushed,
    "tag_push": _tagged,
    "merge_request": _changed,
    "pipeline": of_pipeline,
    "build": of_job,
    "deployment": _deployed,
    "release": _published,
}

SENDER = GitLabSender()
