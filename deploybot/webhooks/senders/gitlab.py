"""GitLab: code, pipelines, jobs, deployments; https://docs.gitlab.com/user/project/integrations/webhook_events/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from deploybot.domain import (
    OWN,
    Author,
    Build,
    BuildState,
    Change,
    Deployed,
    Event,
    Identity,
    Published,
    Push,
    Tagged,
)
from deploybot.webhooks.base import BaseSender
from deploybot.webhooks.forges import Done, branch_of, newest, touched
from deploybot.webhooks.proofs import STANDARD_PREFIX, HeaderToken, Standard
from deploybot.webhooks.reading import Tree, first, plain, under
from deploybot.webhooks.sender import Received, Signed

_STATES: Mapping[str, BuildState] = {
    "created": BuildState.QUEUED,
    "waiting_for_resource": BuildState.QUEUED,
    "waiting_for_callback": BuildState.QUEUED,
    "preparing": BuildState.QUEUED,
    "pending": BuildState.QUEUED,
    "blocked": BuildState.QUEUED,
    "scheduled": BuildState.QUEUED,
    "manual": BuildState.QUEUED,
    "running": BuildState.RUNNING,
    "canceling": BuildState.RUNNING,
    "success": BuildState.PASSED,
    "failed": BuildState.FAILED,
    "canceled": BuildState.CANCELLED,
    "skipped": BuildState.SKIPPED,
}
_DONE: Mapping[str, Done] = {
    "open": "opened",
    "update": "updated",
    "merge": "merged",
    "close": "closed",
    "reopen": "reopened",
}
_MOST_FAILED = 50

_SETUP = """\
At GitLab, in the project (or, with a paid plan, in the group): Settings, Webhooks, Add new webhook.
URL: {url}
Signing token: let GitLab make one and put it into bot.toml; it begins with whsec_. Where your GitLab has no such field:
Secret token, the same as in bot.toml.
Trigger: Push events (All branches), Tag push events, Merge request events, Pipeline events, Releases events. Job events
only where auto names jobs in checks. Deployment events for deployments of others: leave them out where bot.toml has a
[apps.APP.forge] for this project, because GitLab does not tell the bot's own from them.
Enable SSL verification: ticked. Add webhook, then Test, Push events."""


class _Proof:
    """A secret that begins with `whsec_` signs; any other is sent as it is."""

    _signature, _token = Standard(), HeaderToken("x-gitlab-token")

    def verify(self, received: Received, secret: str) -> None:
        """See Proof. A token is never taken in place of a signature, nor the other way round."""
        (self._signature if secret.startswith(STANDARD_PREFIX) else self._token).verify(received, secret)

    def sign(self, body: bytes, secret: str, *, delivery: str, at: float) -> Signed:
        """See Proof."""
        proof = self._signature if secret.startswith(STANDARD_PREFIX) else self._token
        return proof.sign(body, secret, delivery=delivery, at=at)


class GitLab(BaseSender):
    """GitLab, gitlab.com or one's own."""

    name = "gitlab"
    proof: ClassVar[_Proof] = _Proof()
    kind_header = "x-gitlab-event"
    # X-Gitlab-Event-UUID is not an id of a delivery: hooks that call each other share it.
    id_header = "idempotency-key"
    pings = "Push Hook"
    looks = (
        ("Pipeline Hook", frozenset({"object_kind", "object_attributes", "builds"})),
        ("Job Hook", frozenset({"object_kind", "build_id"})),
        ("Deployment Hook", frozenset({"object_kind", "deployment_id"})),
        ("Push Hook", frozenset({"object_kind", "event_name", "checkout_sha"})),
        ("Merge Request Hook", frozenset({"object_kind", "object_attributes", "project"})),
        ("Release Hook", frozenset({"object_kind", "tag", "released_at"})),
    )

    def delivery(self, received: Received) -> str:
        """See Sender. Both headers hold the same, where both are there."""
        return plain(first(received, "webhook-id") or first(received, self.id_header))

    def told(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender. The body says its kind as well, the same for hooks of projects, groups and the system."""
        reader = _READERS.get(tree.text("object_kind"))
        return reader(tree) if reader else ()

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _repository(tree: Tree) -> str:
    return tree.text("project", "path_with_namespace")


def _person(user: Tree, *, prefix: str = "") -> Author:
    """`user` of most hooks, or the keys of pushes, which begin with `user_`."""
    number, email = user.number(f"{prefix}id"), user.text(f"{prefix}email")
    return Author(
        name=user.text(f"{prefix}username") or user.text(f"{prefix}name"),
        identity=Identity("gitlab", str(number)) if number else None,
        # "[REDACTED]" where it is not public.
        email=email if "@" in email else "",
    )


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
            repository=_repository(tree),
            url=under(page, "-/commits", branch),
            by=_person(tree, prefix="user_"),
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
            repository=_repository(tree),
            url=under(page, "-/tags", tag) if there else "",
            by=_person(tree, prefix="user_"),
            tag=tag,
            # `after` of an annotated tag is the tag itself.
            commit=(tree.commit("checkout_sha") or tree.commit("after")) if there else "",
        ),
    )


def _changed(tree: Tree) -> tuple[Event, ...]:
    request = tree.at("object_attributes")
    action = request.text("action")
    done = _DONE.get(action)
    telling = request.has("oldrev") or any(tree.has("changes", key) for key in ("title", "draft", "target_branch"))
    if done is None or (action == "update" and not telling):
        return ()
    branch, there = request.needs("source_branch"), request.text("source", "path_with_namespace")
    fork = there and there != request.text("target", "path_with_namespace")
    return (
        Change(
            sender="gitlab",
            repository=_repository(tree),
            url=request.page("url"),
            by=_person(tree.at("user")),
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


def _pipeline(tree: Tree) -> tuple[Event, ...]:
    run, builds = tree.at("object_attributes"), list(tree.each("builds"))
    state = _STATES.get(run.text("status"))
    if state is None or _is_own(run, builds):
        return ()
    failed = (job.text("name") for job in builds if job.text("status") == "failed" and not job.flag("allow_failure"))
    return (
        Build(
            sender="gitlab",
            repository=_repository(tree),
            url=run.page("url") or _page(tree, "pipelines", run.text("id")),
            by=_person(tree.at("user")),
            at=_latest(run, builds),
            key=f"gitlab:{_repository(tree)}:pipeline:{run.needs('id')}",
            name=run.text("name") or "pipeline",
            state=state,
            branch="" if run.flag("tag") else _branch(tree, run.text("ref")),
            tag=run.text("ref") if run.flag("tag") else "",
            commit=run.commit("sha"),
            number=run.number("iid") or run.number("id"),
            started=min(filter(None, (job.time("started_at") for job in builds)), default=run.time("created_at")),
            finished=run.time("finished_at") if state.ended else 0.0,
            failed=tuple(sorted({*failed} - {""}))[:_MOST_FAILED],
            whole=True,
        ),
    )


def _is_own(run: Tree, builds: list[Tree]) -> bool:
    """Whether it is the pipeline that GitLab makes around commit statuses, and all of these are the bot's."""
    names = [job.text("name") for job in builds]
    own = all(name == OWN or name.startswith(f"{OWN}/") for name in names)
    return run.text("source") == "external" and bool(names) and own


def _latest(run: Tree, builds: list[Tree]) -> float:
    # A retried pipeline keeps its id, and what it said before keeps coming late: only its jobs' times tell them apart.
    moments = ("created_at", "started_at", "finished_at")
    return max(one.time(moment) for one in (run, *builds) for moment in moments)


def _branch(tree: Tree, ref: str) -> str:
    request = tree.at("merge_request")
    fork = request.has("source_project_id") and request.number("source_project_id") != request.number(
        "target_project_id"
    )
    return f"fork:{ref}" if fork else ref


def _page(tree: Tree, what: str, ident: str) -> str:
    page = tree.page("project", "web_url")
    return under(page, "-", what, ident) or page


def _job(tree: Tree) -> tuple[Event, ...]:
    state = _STATES.get(tree.text("build_status"))
    name = tree.needs("build_name")
    if state is None or name == OWN or name.startswith(f"{OWN}/"):
        return ()
    where = _repository(tree) or tree.text("project_name").replace(" / ", "/")
    started, finished = tree.time("build_started_at"), tree.time("build_finished_at")
    return (
        Build(
            sender="gitlab",
            repository=where,
            url=_page(tree, "jobs", tree.text("build_id")),
            by=_person(tree.at("user")),
            at=finished or started or tree.time("build_created_at"),
            key=f"gitlab:{where}:job:{tree.needs('pipeline_id')}:{name}",
            name=name,
            state=state,
            branch="" if tree.flag("tag") else tree.text("ref"),
            tag=tree.text("ref") if tree.flag("tag") else "",
            commit=tree.commit("sha"),
            number=tree.number("build_id"),
            attempt=1 + min(tree.number("retries_count"), 1_000),
            started=started,
            finished=finished if state.ended else 0.0,
        ),
    )


def _deployed(tree: Tree) -> tuple[Event, ...]:
    state = _STATES.get(tree.text("status"))
    if state is None:
        return ()
    return (
        Deployed(
            sender="gitlab",
            repository=_repository(tree),
            url=tree.page("deployable_url") or tree.page("project", "web_url"),
            by=_person(tree.at("user")),
            at=tree.time("status_changed_at"),
            key=f"gitlab:{_repository(tree)}:deployment:{tree.needs('deployment_id')}",
            environment=tree.needs("environment"),
            state=state,
            ref=tree.text("ref"),
            # Only the page of the commit has all of it.
            commit=Tree(tree.page("commit_url").rpartition("/")[2]).commit(),
            text=tree.text("commit_title"),
        ),
    )


def _published(tree: Tree) -> tuple[Event, ...]:
    if tree.text("action") != "create":
        return ()
    return (
        Published(
            sender="gitlab",
            repository=_repository(tree),
            url=tree.page("url"),
            at=tree.time("released_at") or tree.time("created_at"),
            tag=tree.needs("tag"),
            name=tree.text("name"),
            text=tree.lines("description"),
        ),
    )


_READERS: Mapping[str, Callable[[Tree], tuple[Event, ...]]] = {
    "push": _pushed,
    "tag_push": _tagged,
    "merge_request": _changed,
    "pipeline": _pipeline,
    "build": _job,
    "deployment": _deployed,
    "release": _published,
}

SENDER = GitLab()
