"""Report to Gitea and Forgejo: only a commit status, because they have no deployments.

`POST /repos/{owner}/{repo}/statuses/{sha}` of both their APIs (swagger of Gitea 1.22 and Forgejo 9).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

from deploybot.domain import ReportItem, State
from deploybot.ports import ChatFinding
from deploybot.reporting.report_http import Api, Caller
from deploybot.reporting.report_text import context_of, description_of

_ENDS = {State.SUCCEEDED: "success", State.FAILED: "failure", State.RESTORED: "failure", State.CANCELLED: "warning"}


class GiteaReporter:
    """Reports deployments to one Gitea or Forgejo repository."""

    def __init__(self, caller: Caller, url: str, repository: str, token: str, what: str) -> None:
        """Take the URL of the API, the `repository` as `acme/shop`, and `what`: `Gitea` or `Forgejo`."""
        self._api = Api(caller, url, {"Authorization": f"token {token}"}, what)
        self._repository = repository
        self._path = f"/repos/{quote(repository)}"

    async def send(self, item: ReportItem) -> str:
        """Report a state. Return an empty string, because there is no id."""
        report = item.report
        state = _ENDS.get(State(report.word), "error") if report.ended else "pending"
        body = {"state": state, "context": context_of(report), "description": description_of(report)}
        await self._api.send("POST", f"{self._path}/statuses/{report.commit}", body)
        return ""

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that the token may write to the repository. Nothing is written."""
        found = await self._api.get(self._path)
        rights = found.get("permissions") if isinstance(found, dict) else None
        if isinstance(rights, dict) and not rights.get("push"):
            fix = "Give its owner write permission, and the token the scope write:repository."
            yield ChatFinding("token", f"it can read {self._repository} but not write to it", fix)
        else:
            yield ChatFinding("token", f"{self._api.what} shows {self._repository}, and lets the token write")


def forge(caller: Caller, url: str, repository: str, token: str, kind: str) -> GiteaReporter:
    """Return the target for a repository. See `part_tables.ForgeEntry`."""
    return GiteaReporter(caller, url, repository, token, kind.capitalize())
