"""Builds as reported by GitHub, and by Gitea in the same form: runs, jobs, checks, statuses, deployments."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploybot.domain import OWN, Build, BuildState, Deployed, Event
from deploybot.webhooks.body_reading import Tree, under
from deploybot.webhooks.forge_events import person, repository

_STATES: Mapping[str, BuildState] = {
    "queued": BuildState.QUEUED,
    "requested": BuildState.QUEUED,
    "waiting": BuildState.QUEUED,
    "pending": BuildState.QUEUED,
    "blocked": BuildState.QUEUED,
    "in_progress": BuildState.RUNNING,
    "running": BuildState.RUNNING,
}
_ENDS: Mapping[str, BuildState] = {
    "success": BuildState.PASSED,
    "neutral": BuildState.PASSED,
    "failure": BuildState.FAILED,
    "timed_out": BuildState.FAILED,
    "startup_failure": BuildState.FAILED,
    "action_required": BuildState.QUEUED,
    "cancelled": BuildState.CANCELLED,
    "stale": BuildState.CANCELLED,
    "skipped": BuildState.SKIPPED,
}
_STATUSES: Mapping[str, BuildState] = {
    "pending": BuildState.RUNNING,
    "success": BuildState.PASSED,
    "warning": BuildState.PASSED,
    "failure": BuildState.FAILED,
    "error": BuildState.FAILED,
    "skipped": BuildState.SKIPPED,
}
_DEPLOYMENTS: Mapping[str, BuildState] = {
    "queued": BuildState.QUEUED,
    "pending": BuildState.QUEUED,
    "waiting": BuildState.QUEUED,
    "in_progress": BuildState.RUNNING,
    "success": BuildState.PASSED,
    "failure": BuildState.FAILED,
    "error": BuildState.FAILED,
}


def _state(run: Tree) -> BuildState | None:
    """Return the state of a run, job, suite or check, or None for words that are not documented.

    `completed` only says that it ended; `conclusion` says how. Gitea's `status` may be the conclusion itself.
    """
    status = run.text("status")
    ended = _ENDS.get(run.text("conclusion") or status)
    return ended if status == "completed" or status not in _STATES else _STATES[status]


def _key(sender: str, tree: Tree, what: str, *parts: object) -> str:
    return ":".join((sender, repository(tree), what, *(str(part) for part in parts)))


_ACTIONS = "github-actions"
_REQUEST = re.compile(r"(?:^|[^a-z])(?:pr|pull[_-]?request)(?:[^a-z]|$)", re.IGNORECASE)
"""Finds contexts of statuses for a pull request: `ci / test (pull_request)`, `jenkins/pr-merge`."""


def _branch(run: Tree, tree: Tree) -> str:
    """Return `main`, or `ana:main` for a fork: that is not this repository's branch of the same name."""
    branch = run.text("head_branch")
    owner = run.text("head_repository", "full_name").partition("/")[0] or "unknown"
    return f"{owner}:{branch}" if branch and _is_foreign(run, tree) else branch


def _is_foreign(run: Tree, tree: Tree) -> bool:
    """Return whether a run is, or may be, for a fork.

    A deleted fork is null. Gitea does not name the repository of a run: one for a pull request may be a fork's, unless
    the pull request says that it is not. Jobs have no such key, but are only read for private repositories.
    """
    if "head_repository" in run.names():
        return run.text("head_repository", "full_name") != repository(tree)
    is_request = run.text("event").startswith("pull_request") or "@refs/pull/" in run.text("path")
    return is_request and not (run.count("pull_requests") and all(map(_is_own, run.each("pull_requests"))))


def _is_own(request: Tree) -> bool:
    """Return whether a pull request comes from a branch of the same repository."""
    head = request.text("head", "repo", "id")
    return bool(head) and head == request.text("base", "repo", "id")


def _workflow(run: Tree, tree: Tree) -> str:
    """Return the sender's id of a workflow. Runs for a pull request are kept apart because they build its merge."""
    ident = tree.text("workflow", "id") or run.text("workflow_id")
    request = run.text("event").startswith("pull_request")
    return f"{ident} {_path(run, tree)}{' pull_request' if request else ''}" if ident else ""


def _path(run: Tree, tree: Tree) -> str:
    """Return the file of a workflow, without the ref that may follow it."""
    return (tree.text("workflow", "path") or run.text("path")).partition("@")[0]


def _may_be_forks(suite: Tree, tree: Tree, app: str) -> bool:
    """Return whether a check or suite may be for a fork: GitHub gives no branch for those.

    GitHub Actions reports a fork's branch as if it were one here. Only the workflow's run shows where it belongs.
    """
    public = not tree.flag("repository", "private")
    return not suite.text("head_branch") or (app == _ACTIONS and public)


def workflow_run(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return the state of a workflow run. Each attempt sends its own events, with the same run id."""
    run = tree.at("workflow_run")
    state = _state(run)
    if state is None:
        return ()
    # Gitea uses the names that jobs have for their times.
    at = run.time("updated_at") or run.time("completed_at") or run.time("started_at")
    return (
        Build(
            sender=sender,
            repository=repository(tree),
            url=run.page("html_url"),
            by=person(sender, _starter(run)),
            at=at,
            key=_key(sender, tree, "run", run.needs("id")),
            name=tree.text("workflow", "name") or run.needs("name"),
            state=state,
            branch=_branch(run, tree),
            commit=run.commit("head_sha"),
            number=run.number("run_number"),
            attempt=run.number("run_attempt", default=1),
            workflow=_workflow(run, tree),
            path=_path(run, tree),
            run=run.number("id"),
            within=run.text("check_suite_id"),
            fork=_is_foreign(run, tree),
            started=run.time("run_started_at") or run.time("started_at") or run.time("created_at"),
            finished=at if state.ended else 0.0,
        ),
    )


def _starter(run: Tree) -> Tree:
    """Return the account that started this attempt. Gitea uses another key for it."""
    names = ("triggering_actor", "trigger_actor", "actor")
    return next((run.at(name) for name in names if run.has(name)), run.at("actor"))


def workflow_job(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return a failed job as a state of its run, which is still running. The run's own events report its end.

    Only private repositories are read: a job does not say whether it runs for a fork, whose `main` is not this one's.
    """
    job = tree.at("workflow_job")
    name = job.text("workflow_name")
    if _state(job) is not BuildState.FAILED or not name or not tree.flag("repository", "private"):
        return ()
    return (
        Build(
            sender=sender,
            repository=repository(tree),
            url=job.page("html_url"),
            by=person(sender, tree.at("sender")),
            at=job.time("completed_at"),
            key=_key(sender, tree, "run", job.needs("run_id")),
            name=name,
            state=BuildState.RUNNING,
            branch=_branch(job, tree),
            commit=job.commit("head_sha"),
            attempt=job.number("run_attempt", default=1),
            run=job.number("run_id"),
            failed=(job.needs("name"),),
        ),
    )


def check_suite(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return the combined state of all checks of one GitHub app for a commit.

    GitHub Actions has a suite for each workflow run.
    """
    suite = tree.at("check_suite")
    state = _state(suite)
    if state is None:
        return ()
    commit, page = suite.commit("head_sha"), tree.page("repository", "html_url")
    app, ident = suite.text("app", "slug"), suite.needs("id")
    return (
        Build(
            sender=sender,
            repository=repository(tree),
            url=under(page, "commit", commit, "checks") or page,
            by=person(sender, tree.at("sender")),
            at=suite.time("updated_at"),
            key=_key(sender, tree, "suite", ident),
            name=suite.text("app", "name") or suite.needs("app", "slug"),
            state=state,
            branch=suite.text("head_branch"),
            commit=commit,
            started=suite.time("created_at"),
            finished=suite.time("updated_at") if state.ended else 0.0,
            whole=True,
            # Two suites of Actions may be two workflows, or one that ran twice: each counts separately.
            workflow=f"suite {ident if app == _ACTIONS else app}",
            run=suite.number("id"),
            within=ident,
            fork=_may_be_forks(suite, tree, app),
        ),
    )


def check_run(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return the state of one check. Running it again creates a new one of the same name with a higher id."""
    check = tree.at("check_run")
    state = _state(check)
    if state is None:
        return ()
    name, commit = check.needs("name"), check.commit("head_sha")
    app, suite = check.text("app", "slug"), check.at("check_suite")
    return (
        Build(
            sender=sender,
            repository=repository(tree),
            url=check.page("html_url") or check.page("details_url"),
            by=person(sender, tree.at("sender")),
            at=check.time("completed_at") or check.time("started_at"),
            key=_key(sender, tree, "check", check.needs("id")),
            name=name,
            state=state,
            branch=suite.text("head_branch"),
            commit=commit,
            started=check.time("started_at"),
            finished=check.time("completed_at") if state.ended else 0.0,
            workflow=f"suite {suite.text('id')}" if app == _ACTIONS else f"checks {app}",
            job=name,
            run=check.number("id"),
            within=suite.text("id"),
            fork=_may_be_forks(suite, tree, app),
        ),
    )


def status(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return a commit status. The latest one of a context counts. Statuses set by the bot itself are ignored."""
    context = tree.needs("context")
    state = _STATUSES.get(tree.text("state"))
    if state is None or context == OWN or context.startswith(f"{OWN}/"):
        return ()
    commit, at = tree.commit("sha"), tree.time("updated_at") or tree.time("created_at")
    # It is on no branch of this repository, or for a pull request.
    fork = (tree.lists("branches") and not tree.count("branches")) or bool(_REQUEST.search(context))
    return (
        Build(
            sender=sender,
            repository=repository(tree),
            url=tree.page("target_url") or tree.page("commit", "html_url"),
            by=person(sender, tree.at("sender")),
            at=at,
            # Separate keys, so that neither replaces the other.
            key=_key(sender, tree, "status", context, commit, *(("fork",) if fork else ())),
            name=context,
            state=state,
            branch=_standing_on(tree),
            commit=commit,
            finished=at if state.ended else 0.0,
            workflow=f"status {context}",
            run=tree.number("id"),
            fork=fork,
        ),
    )


def _standing_on(tree: Tree) -> str:
    """Return the branch of a status: the default branch if the commit is on it, or else the first one listed."""
    names = [branch.text("name") for branch in tree.each("branches")]
    default = tree.text("repository", "default_branch")
    return default if default in names else next(iter(names), "")


def deployment(sender: str, tree: Tree) -> tuple[Event, ...]:
    """Return a new deployment or a status of one. The bot's own are marked."""
    made = tree.at("deployment")
    status = tree.at("deployment_status")
    state = _DEPLOYMENTS.get(status.text("state") if status.has() else "queued")
    if state is None:
        return ()
    pages = (status.page("target_url"), status.page("log_url"), status.page("environment_url"), made.page("html_url"))
    return (
        Deployed(
            sender=sender,
            repository=repository(tree),
            url=next(filter(None, pages), "") or tree.page("repository", "html_url"),
            by=person(sender, (status if status.has("creator") else made).at("creator")),
            at=status.time("updated_at") or made.time("updated_at"),
            key=_key(sender, tree, "deployment", made.needs("id")),
            environment=status.text("environment") or made.needs("environment"),
            state=state,
            ref=made.text("ref"),
            commit=made.commit("sha"),
            text=status.lines("description") or made.lines("description"),
            own=made.has("payload", OWN) or made.text("description").split(" ")[0] == OWN,
        ),
    )
