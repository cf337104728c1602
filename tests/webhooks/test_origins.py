"""Where a build comes from, and of what it is a run, as far as its sender says it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deploybot.domain import Build
from deploybot.events.build_verdicts import identity
from deploybot.webhooks.senders import sender
from tests.webhooks.recorded import RECORDED


def told(name: str, changes: dict[str, Any]) -> tuple[Build, ...]:
    """The builds of a recorded payload, with other values at some paths."""
    (found,) = [one for one in RECORDED if str(one) == name]
    body = json.loads(found.body)
    for path, value in changes.items():
        *way, last = path.split(".")
        inner = body
        for key in way:
            inner = inner[key]
        inner[last] = value
    received = replace(found.received(), body=json.dumps(body).encode())
    return tuple(one for one in sender(found.sender).events(received) if isinstance(one, Build))


@pytest.mark.parametrize(
    ("name", "changes", "fork"),
    [
        ("github/workflow_run-passed", {}, False),
        ("github/workflow_run-passed", {"workflow_run.head_branch": None}, False),
        ("github/workflow_run-passed", {"workflow_run.head_repository": None}, True),
        ("github/workflow_run-fork", {"workflow_run.head_branch": None}, True),
        ("github/check_run", {}, False),
        ("github/check_run", {"check_run.check_suite.head_branch": None}, True),
        ("github/check_run", {"check_run.check_suite": None}, True),
        ("github/check_run", {"check_run.app.slug": "github-actions", "repository.private": True}, False),
        ("github/check_run", {"check_run.app.slug": "github-actions", "repository.private": False}, True),
        ("github/check_suite", {}, False),
        ("github/check_suite", {"check_suite.head_branch": None}, True),
        ("github/status", {}, False),
        ("github/status", {"branches": []}, True),
        ("github/status", {"context": "continuous-integration/jenkins/pr-merge"}, True),
        ("github/status", {"context": "ci/woodpecker/pr/test"}, True),
        ("github/status", {"context": "prepare / press (push)"}, False),
        ("gitea/status", {}, False),
        ("gitea/status", {"context": "ci.yml / test (pull_request)"}, True),
        ("gitea/workflow_run-passed", {}, False),
        ("gitea/workflow_run-passed", {"workflow_run.event": "pull_request", "workflow_run.head_branch": ""}, True),
        ("gitea/workflow_run-passed", {"workflow_run.event": "pull_request_target"}, True),
        ("gitea/workflow_run-passed", {"workflow_run.path": "ci.yml@refs/pull/7/head"}, True),
        ("gitea/workflow_run-passed", {"workflow_run.event": "pull_request", "workflow_run.pull_requests": [
            {"head": {"repo": {"id": 14}}, "base": {"repo": {"id": 14}}}]}, False),
        ("gitea/workflow_run-passed", {"workflow_run.event": "pull_request", "workflow_run.pull_requests": [
            {"head": {"repo": {"id": 15}}, "base": {"repo": {"id": 14}}}]}, True),
        ("gitea/workflow_run-passed", {"workflow_run.event": "pull_request", "workflow_run.pull_requests": [
            {"head": {"repo": None}, "base": {"repo": None}}]}, True),
        ("forgejo/action_run_failure", {}, False),
        ("forgejo/action_run_success-fork", {}, True),
        ("gitlab/pipeline-failed", {}, False),
        ("gitlab/pipeline-failed", {"object_attributes.source": "merge_request_event", "merge_request": None}, True),
        ("gitlab/pipeline-failed", {"object_attributes.ref": "refs/merge-requests/1/head"}, True),
        ("gitlab/pipeline-failed", {"merge_request": {"source_project_id": 7, "target_project_id": 1}}, True),
        ("gitlab/pipeline-failed", {"merge_request": {"source_project_id": 1, "target_project_id": 1}}, False),
        ("gitlab/pipeline-failed", {"merge_request": {"source_project_id": None, "target_project_id": 1}}, True),
        ("gitlab/pipeline-failed", {"merge_request": {"source_project_id": 0, "target_project_id": 0}}, True),
        ("gitlab/pipeline-failed", {"merge_request": {"target_project_id": 1}}, True),
        ("gitlab/pipeline-failed", {"merge_request": {}}, True),
        ("gitlab/job", {}, False),
        ("gitlab/job", {"ref": "refs/merge-requests/1/head"}, True),
        ("jenkins/completed", {}, False),
        ("jenkins/completed", {"url": "job/shop/job/PR-12/"}, True),
        ("jenkins/step", {"job": "shop/MR-3-merge"}, True),
    ],
)  # fmt: skip
def test_what_may_be_for_a_fork(name: str, changes: dict[str, Any], fork: bool) -> None:
    (build,) = told(name, changes)
    assert build.fork is fork


def test_a_pipeline_of_a_deleted_fork_is_on_no_branch_of_the_repository() -> None:
    (own,) = told("gitlab/pipeline-failed", {})
    (gone,) = told("gitlab/pipeline-failed", {"merge_request": {"source_project_id": None, "target_project_id": 1}})
    assert own.branch
    assert gone.branch == f"fork:{own.branch}"
    assert not own.branch.startswith("fork:")


def test_what_may_be_for_a_fork_takes_the_place_of_nothing() -> None:
    (here,), (there,) = told("github/status", {}), told("github/status", {"branches": []})
    assert there.key == f"{here.key}:fork"
    (one,), (again,) = told("github/check_run", {}), told("github/check_run", {"check_run.id": 7})
    assert (one.key == again.key, identity(one) == identity(again)) == (False, True)


@pytest.mark.parametrize(
    ("name", "changes", "workflow"),
    [
        ("github/workflow_run-passed", {}, "5501 .github/workflows/bake.yml"),
        ("github/workflow_run-passed", {"workflow": None, "workflow_run.workflow_id": 9},
         "9 .github/workflows/bake.yml"),
        ("github/workflow_run-passed", {"workflow.path": "a.yml@refs/heads/main"}, "5501 a.yml"),
        ("github/workflow_run-passed", {"workflow_run.event": "pull_request_target"},
         "5501 .github/workflows/bake.yml pull_request"),
        ("github/check_run", {"check_run.app.slug": "github-actions", "check_run.check_suite.id": 80}, "suite 80"),
        ("gitlab/pipeline-failed", {"object_attributes.source": "web"}, "pipeline"),
        ("gitlab/pipeline-failed", {"object_attributes.source": "schedule"}, "pipeline schedule"),
    ],
)  # fmt: skip
def test_what_a_build_is_a_run_of(name: str, changes: dict[str, Any], workflow: str) -> None:
    (build,) = told(name, changes)
    assert build.workflow == workflow


def test_a_child_pipeline_is_a_matter_of_its_parent() -> None:
    assert told("gitlab/pipeline-failed", {"object_attributes.source": "parent_pipeline"}) == ()
