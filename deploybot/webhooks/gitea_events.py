"""Events that Gitea and its fork Forgejo report in the same way."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping

from deploybot.domain import Build, BuildState, Event, ImagePushed
from deploybot.webhooks import github_builds
from deploybot.webhooks.body_reading import Tree, host_of
from deploybot.webhooks.forge_events import ForgeDialect, changed, person, published, pushed, repository
from deploybot.webhooks.pushed_images import image
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import Received

_RUNS: Mapping[str, BuildState] = {
    "waiting": BuildState.QUEUED,
    "blocked": BuildState.QUEUED,
    "running": BuildState.RUNNING,
    "success": BuildState.PASSED,
    "failure": BuildState.FAILED,
    "cancelled": BuildState.CANCELLED,
    "skipped": BuildState.SKIPPED,
}


class GiteaLike(BaseSender, ABC):
    """Gitea or Forgejo. Both also send GitHub's headers and each other's; only a sender's own headers count."""

    home = ("repository", "html_url")
    looks = (
        ("push", frozenset({"ref", "before", "after", "total_commits", "compare_url"})),
        ("pull_request", frozenset({"action", "number", "pull_request", "commit_id"})),
        ("action_run_success", frozenset({"action", "run", "prior_status"})),
        ("release", frozenset({"action", "release"})),
        ("package", frozenset({"action", "package"})),
        ("workflow_run", frozenset({"action", "workflow_run"})),
        ("status", frozenset({"sha", "context", "state"})),
        ("pull_request", frozenset({"action", "number", "pull_request"})),
    )

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """See BaseSender."""
        reader = _READERS.get(self.kind(received))
        return reader(self.name, tree) if reader else ()


def _ran(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return the end of a run of Forgejo Actions. Its start is not reported, and the repository is inside the run."""
    run = tree.at("run")
    state = _RUNS.get(run.text("status"))
    if state is None:
        return ()
    where, stopped = repository(run), run.time("stopped")
    return (
        Build(
            sender=sender,
            repository=where,
            url=run.page("html_url"),
            by=person(sender, run.at("trigger_user")),
            at=stopped or run.time("updated"),
            key=f"{sender}:{where}:run:{run.needs('id')}",
            name=run.needs("workflow_id"),
            state=state,
            branch=_ref(run),
            commit=run.commit("commit_sha"),
            number=run.number("index_in_repo"),
            workflow=_workflow(run),
            run=run.number("id"),
            fork=run.flag("is_fork_pull_request"),
            started=run.time("started"),
            finished=stopped if state.ended else 0.0,
        ),
    )


def _ref(run: Tree) -> str:
    ref = run.text("prettyref")
    return f"fork:{ref}" if run.flag("is_fork_pull_request") else ref


def _workflow(run: Tree) -> str:
    """Return the file of the workflow. Runs for a pull request are kept apart from runs for a push."""
    request = run.text("event").startswith("pull_request")
    return f"{run.needs('workflow_id')}{' pull_request' if request else ''}"


def _package(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return an image pushed to the forge's registry, which has the same host as its pages.

    Versions that are digests have no tag and are ignored.
    """
    thing = tree.at("package")
    tag, page = thing.text("version"), thing.page("html_url")
    if tree.text("action") != "created" or thing.text("type") != "container" or tag.startswith("sha256:"):
        return ()
    found = image(f"{host_of(page)}/{thing.text('owner', 'login')}/{thing.needs('name')}".lower())
    if not (found and tag):
        return ()
    return (
        ImagePushed(
            sender=sender,
            repository=thing.text("repository", "full_name") or repository(tree),
            url=page,
            by=person(sender, tree.at("sender")),
            at=thing.time("created_at"),
            image=found,
            tag=tag,
        ),
    )


_READERS: Mapping[str, Callable[[str, Tree], tuple[Event, ...]]] = {
    "push": lambda sender, tree: pushed(ForgeDialect(sender), tree),
    "pull_request": lambda sender, tree: changed(ForgeDialect(sender), tree),
    "release": lambda sender, tree: published(ForgeDialect(sender), tree),
    "status": github_builds.status,
    "workflow_run": github_builds.workflow_run,
    "action_run_success": _ran,
    "action_run_failure": _ran,
    "action_run_recover": _ran,
    "package": _package,
}
