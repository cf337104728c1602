"""Report to GitLab: a deployment, and a commit status.

https://docs.gitlab.com/api/deployments/ and https://docs.gitlab.com/api/commits/#set-commit-pipeline-status. A GitLab
deployment has no field for a mark of ours. It is identified by its commit, its environment and its creation time.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from urllib.parse import quote, urlencode

from deploybot.domain import Report, ReportItem, State
from deploybot.errors import Unreachable, UserError
from deploybot.ports import ChatFinding
from deploybot.reporting.report_http import Api, Caller
from deploybot.reporting.report_text import context_of, description_of

_BEFORE = 300.0
"""Seconds that GitLab's clock may be behind ours."""
_LOOKED_AT = 20
_SAME_ALREADY = re.compile(r"cannot transition", re.IGNORECASE)

_DEPLOYMENT = {
    State.RUNNING: "running",
    State.SUCCEEDED: "success",
    State.FAILED: "failed",
    State.RESTORED: "failed",
    State.CANCELLED: "canceled",
    State.UNKNOWN: "failed",
}
"""Waiting deployments are not reported: GitLab creates a deployment only when it runs."""


class GitLabReporter:
    """Reports deployments to one GitLab project."""

    def __init__(self, caller: Caller, url: str, project: str, token: str) -> None:
        """Take the URL of the API, and the `project` as `acme/shop`."""
        self._api = Api(caller, url, {"PRIVATE-TOKEN": token}, "GitLab")
        self._project = project
        self._path = f"/projects/{quote(project, safe='')}"

    async def send(self, item: ReportItem) -> str:
        """Report a state. Return GitLab's id of the deployment, empty while there is none."""
        report, remote = item.report, item.remote
        state = _DEPLOYMENT.get(State(report.word)) if report.started else None
        if state is not None:
            remote = remote or await self._found(report)
            if remote:
                await self._move(f"{self._path}/deployments/{quote(remote)}", state)
            else:
                remote = await self._made(report, state)
        await self._mark(report)
        return remote

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that the token can read the project's deployments. Nothing is written."""
        await self._api.get(f"{self._path}/deployments?per_page=1")
        yield ChatFinding(
            "token",
            f"GitLab shows the deployments of {self._project}; the first report shows whether the token may write",
        )

    async def _move(self, path: str, state: str) -> None:
        """Set a deployment's state. GitLab refuses to set the current state again, which is not an error here."""
        try:
            await self._api.send("PUT", path, {"status": state})
        except UserError:
            there = await self._api.get(path)
            if not isinstance(there, dict) or there.get("status") != state:
                raise

    async def _mark(self, report: Report) -> None:
        """Set the commit's status. GitLab refuses to set the current status again, which is not an error here."""
        try:
            await self._api.send("POST", f"{self._path}/statuses/{report.commit}", _commit_status(report))
        except UserError as problem:
            if not _SAME_ALREADY.search(problem.sentence):
                raise

    async def _found(self, report: Report) -> str:
        """Return the id of a deployment that was created although its answer got lost; empty if there is none."""
        query = urlencode({"environment": report.environment, "order_by": "id", "sort": "desc", "per_page": _LOOKED_AT})
        found = await self._api.get(f"{self._path}/deployments?{query}")
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and one.get("sha") == report.commit and one.get("deployable") is None:
                made = _time(one.get("created_at"))
                if made >= report.started - _BEFORE and one.get("status") in {"created", "running"}:
                    return str(one.get("id", ""))
        return ""

    async def _made(self, report: Report, state: str) -> str:
        body = {
            "environment": report.environment,
            "sha": report.commit,
            "ref": report.ref or report.commit,
            "tag": False,
            "status": state,
        }
        made = await self._api.send("POST", f"{self._path}/deployments", body)
        if not isinstance(made, dict) or not isinstance(made.get("id"), int):
            raise Unreachable("GitLab", "it does not return the id of the deployment")
        return str(made["id"])


def _time(text: object) -> float:
    """Return an RFC 3339 time as seconds since the epoch; 0.0 for anything else."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def _commit_status(report: Report) -> dict[str, object]:
    waits = "running" if report.word in {State.RUNNING, State.RESTORING} else "pending"
    state = _DEPLOYMENT[State(report.word)] if report.ended else waits
    return {"state": state, "name": context_of(report), "description": description_of(report)}


def forge(caller: Caller, url: str, repository: str, token: str, kind: str) -> GitLabReporter:
    """Return the target for a repository. See `part_tables.ForgeEntry`."""
    del kind
    return GitLabReporter(caller, url, repository, token)
