"""Report to GitHub: a deployment with its statuses, and a commit status.

https://docs.github.com/rest/deployments/deployments, …/deployments/statuses, …/commits/statuses, version 2022-11-28.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

from deploybot.domain import OWN, REQUESTED, Kind, Report, ReportItem, State
from deploybot.errors import Unreachable
from deploybot.ports import ChatFinding
from deploybot.reporting.report_http import Api, Caller
from deploybot.reporting.report_text import LONGEST, context_of, description_of, release_of

_LOOKED_AT = 30

_DEPLOYMENT = {
    REQUESTED: "pending",
    State.WAITING: "queued",
    State.RUNNING: "in_progress",
    State.RESTORING: "in_progress",
    State.SUCCEEDED: "success",
    State.FAILED: "failure",
    State.RESTORED: "failure",
    State.CANCELLED: "inactive",
    State.UNKNOWN: "error",
}
_COMMIT = {State.SUCCEEDED: "success", State.FAILED: "failure", State.RESTORED: "failure"}
_ENDED_OTHERWISE = "error"


class GitHubReporter:
    """Reports deployments to one GitHub repository."""

    def __init__(self, caller: Caller, url: str, repository: str, token: str) -> None:
        """Take the URL of the API, and the `repository` as `acme/shop`."""
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._api = Api(caller, url, headers, "GitHub")
        self._repository = repository
        self._path = f"/repos/{quote(repository)}"

    async def send(self, item: ReportItem) -> str:
        """Report a state and return GitHub's id of the deployment."""
        remote = item.remote or await self._found(item) or await self._made(item)
        await self._status(remote, _DEPLOYMENT[item.report.word], description_of(item.report))
        if item.report.word == State.SUCCEEDED:
            # GitHub does this automatically only if an environment is not for production.
            for old in {item.before, remote if item.replaced else ""} - {""}:
                await self._status(old, "inactive", f"{OWN}: replaced by another one")
        await self._api.send("POST", f"{self._path}/statuses/{item.report.commit}", _commit_status(item.report))
        return remote

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that the token can read the repository's deployments. Nothing is written."""
        await self._api.get(f"{self._path}/deployments?per_page=1")
        text = f"GitHub shows the deployments of {self._repository}; the first report shows whether the token may write"
        yield ChatFinding("token", text)

    async def _found(self, item: ReportItem) -> str:
        """Return the id of a deployment that was created although its answer got lost; empty if there is none."""
        report = item.report
        query = urlencode({"sha": report.commit, "environment": report.environment, "per_page": _LOOKED_AT})
        found = await self._api.get(f"{self._path}/deployments?{query}")
        mark = _mark(report)
        for one in found if isinstance(found, list) else ():
            payload = one.get("payload") if isinstance(one, dict) else None
            if isinstance(payload, dict) and payload.get(OWN) == mark:
                return str(one.get("id", ""))
        return ""

    async def _made(self, item: ReportItem) -> str:
        report = item.report
        body: dict[str, object] = {
            "ref": report.commit,
            "task": "rollback" if report.kind is Kind.ROLLBACK else "deploy",
            "auto_merge": False,
            "required_contexts": [],
            "payload": {OWN: _mark(report)},
            "environment": report.environment,
            "description": f"{OWN} #{report.deployment}: {release_of(report)}"[:LONGEST],
        }
        made = await self._api.send("POST", f"{self._path}/deployments", body)
        if not isinstance(made, dict) or not isinstance(made.get("id"), int):
            raise Unreachable("GitHub", "it does not return the id of the deployment")
        return str(made["id"])

    async def _status(self, remote: str, state: str, description: str) -> None:
        body = {"state": state, "description": description, "auto_inactive": state == "success"}
        await self._api.send("POST", f"{self._path}/deployments/{quote(remote)}/statuses", body)


def _mark(report: Report) -> dict[str, object]:
    """Return the payload that identifies this deployment. It has `created`, because a new database counts from 1."""
    return {"app": report.app, "deployment": report.deployment, "created": report.created}


def _commit_status(report: Report) -> dict[str, object]:
    """Return a commit status. GitHub has four states here, only three of them for an end."""
    state = _COMMIT.get(State(report.word), _ENDED_OTHERWISE) if report.ended else "pending"
    return {"state": state, "context": context_of(report), "description": description_of(report)}


def forge(caller: Caller, url: str, repository: str, token: str, kind: str) -> GitHubReporter:
    """Return the target for a repository. See `part_tables.ForgeEntry`."""
    del kind
    return GitHubReporter(caller, url, repository, token)
