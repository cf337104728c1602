"""Builds as reported by GitLab: pipelines and jobs, without the statuses that the bot itself set."""

from __future__ import annotations

from collections.abc import Mapping

from deploybot.domain import OWN, Author, Build, BuildState, Event, Identity
from deploybot.webhooks.body_reading import Tree, under

STATES: Mapping[str, BuildState] = {
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
"""The meaning of GitLab's words for the states of pipelines, jobs and deployments."""
_MOST_FAILED = 50
_BY_PEOPLE = frozenset({"push", "web", "api", "trigger", "webide", "chat", ""})
"""Sources that start the same pipeline. Any other source has its own rules, and so its own jobs."""
_CHILD = "parent_pipeline"
_REQUEST = "refs/merge-requests/"


def repository(tree: Tree) -> str:
    """Return `group/project`, with all of its groups."""
    return tree.text("project", "path_with_namespace")


def person(user: Tree, *, prefix: str = "") -> Author:
    """Return the author from `user` in most hooks, or from the keys of pushes, which begin with `user_`."""
    number = user.number(f"{prefix}id")
    return Author(
        name=user.text(f"{prefix}username") or user.text(f"{prefix}name"),
        identity=Identity("gitlab", str(number)) if number else None,
    )


def of_pipeline(tree: Tree) -> tuple[Event, ...]:
    """Return a pipeline: all that GitLab runs for a commit.

    Running it again keeps its id, and attempts are not counted.
    """
    run, jobs = tree.at("object_attributes"), list(tree.each("builds"))
    if run.text("source") == _CHILD:
        # The parent pipeline reports whether it depends on this one.
        return ()
    builds = [job for job in jobs if not _is_own(job.text("name"))]
    if jobs and not builds:
        return ()
    state = STATES.get(run.text("status")) if len(builds) == len(jobs) else _together(builds)
    if state is None:
        return ()
    failed = (job.text("name") for job in builds if _red(job))
    return (
        Build(
            sender="gitlab",
            repository=repository(tree),
            url=run.page("url") or _page(tree, "pipelines", run.text("id")),
            by=person(tree.at("user")),
            at=_latest(run, builds),
            key=f"gitlab:{repository(tree)}:pipeline:{run.needs('id')}",
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
            workflow=_workflow(run.text("source")),
            run=run.number("id"),
            within=run.needs("id"),
            fork=_may_be_forks(tree, run),
        ),
    )


def _workflow(source: str) -> str:
    """Return the workflow of a source. A project has one pipeline, but its jobs depend on the source."""
    return "pipeline" if source in _BY_PEOPLE else f"pipeline {source}"


def _may_be_forks(tree: Tree, run: Tree) -> bool:
    """Return whether a pipeline is for a fork's merge request. Some versions send nothing about the request."""
    if tree.has("merge_request"):
        return _is_of_fork(tree.at("merge_request"))
    return run.text("source") == "merge_request_event" or run.text("ref").startswith(_REQUEST)


def _is_of_fork(request: Tree) -> bool:
    """Return whether a merge request may come from another project. That of a deleted fork is null."""
    source = request.number("source_project_id")
    return not source or source != request.number("target_project_id")


def _is_own(name: str) -> bool:
    """Return whether this is a commit status of the bot. GitLab shows these as jobs, in CI's pipeline if any."""
    return name == OWN or name.startswith(f"{OWN}/")


def _red(job: Tree) -> bool:
    return job.text("status") == "failed" and not job.flag("allow_failure")


def _together(builds: list[Tree]) -> BuildState:
    """Return the state of a pipeline without the bot's own statuses. A failed deployment would turn it red."""
    states = {STATES.get(job.text("status")) for job in builds if job.text("status") not in {"manual", "failed"}}
    ways = (BuildState.RUNNING, BuildState.QUEUED, BuildState.CANCELLED)
    going = next((state for state in ways if state in states), BuildState.PASSED)
    return BuildState.FAILED if any(map(_red, builds)) and going.ended else going


def _latest(run: Tree, builds: list[Tree]) -> float:
    # A retried pipeline keeps its id, and its earlier events may arrive late. Only its jobs' times show the order.
    moments = ("created_at", "started_at", "finished_at")
    return max(one.time(moment) for one in (run, *builds) for moment in moments)


def _branch(tree: Tree, ref: str) -> str:
    is_request = tree.has("merge_request")
    return f"fork:{ref}" if is_request and _is_of_fork(tree.at("merge_request")) else ref


def _page(tree: Tree, what: str, ident: str) -> str:
    page = tree.page("project", "web_url")
    return under(page, "-", what, ident) or page


def of_job(tree: Tree) -> tuple[Event, ...]:
    """Return a single job, for configurations that name jobs in `checks`.

    It is identified by its name in its pipeline, whose id stays the same.
    """
    state = STATES.get(tree.text("build_status"))
    if state is BuildState.FAILED and tree.flag("build_allow_failure"):
        # It does not count, just as in its pipeline.
        state = BuildState.SKIPPED
    name = tree.needs("build_name")
    if state is None or _is_own(name):
        return ()
    where = repository(tree) or tree.text("project_name").replace(" / ", "/")
    # Older versions give the pipeline's id as `commit.id` only: https://gitlab.com/gitlab-org/gitlab/-/issues/37240
    pipeline = tree.text("pipeline_id") or tree.needs("commit", "id")
    started, finished = tree.time("build_started_at"), tree.time("build_finished_at")
    return (
        Build(
            sender="gitlab",
            repository=where,
            url=_page(tree, "jobs", tree.text("build_id")),
            by=person(tree.at("user")),
            at=finished or started or tree.time("build_created_at"),
            key=f"gitlab:{where}:job:{pipeline}:{name}",
            name=name,
            state=state,
            branch="" if tree.flag("tag") else tree.text("ref"),
            tag=tree.text("ref") if tree.flag("tag") else "",
            commit=tree.commit("sha"),
            number=tree.number("build_id"),
            attempt=1 + min(tree.number("retries_count"), 1_000),
            started=started,
            finished=finished if state.ended else 0.0,
            # The pipeline's own event names the pipeline. Until then jobs count by their names.
            workflow="jobs",
            stage=tree.text("build_stage"),
            job=name,
            run=int(pipeline) if pipeline.isdecimal() else 0,
            within=pipeline,
            fork=tree.text("ref").startswith(_REQUEST),
        ),
    )
