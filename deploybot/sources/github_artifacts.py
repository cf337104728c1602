"""Artifacts of GitHub Actions: https://docs.github.com/rest/actions/workflow-runs and …/rest/actions/artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from deploybot.sources.forge_artifacts import (
    MOST_PAGES,
    BuildCount,
    ForgeApi,
    ForgeBuild,
    ForgeFile,
    entries,
    failed,
    number,
    running,
    without,
    words,
)

_EVENTS: Final = frozenset({"push", "workflow_dispatch", "schedule", "release"})
"""What may start a run that counts. Runs of pull requests, comments or other runs may build what others wrote."""
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})", re.ASCII)
_PER_PAGE = 30
"""A run takes about 15 KB in the answer."""


class GitHubArtifacts:
    """Finds the artifact `name` of a repository, perhaps of runs of one workflow only. Implements ForgeArtifacts."""

    def __init__(self, api: ForgeApi, url: str, repository: str, name: str, workflow: str | None) -> None:
        """Take what asks the API at `url` without a trailing slash, and the `repository` as `acme/shop`."""
        self._api = api
        self._path = f"{url}/repos/{quote(repository)}/actions"
        self._name = name
        self._of = f"/workflows/{quote(workflow, safe='')}" if workflow else ""
        self.what = f"artifact {name}"
        start = f"Push the commit, or start {workflow or 'the workflow'} for it."
        self.nothing = f"{start} Runs of pull requests and forks do not count."
        self.wanted = "Check `actions` and `workflow` of the app's artifact in bot.toml."
        self.narrower = start if workflow else "Set `workflow` of the app's artifact in bot.toml."

    async def find(self, commit: str) -> ForgeFile | Sequence[ForgeBuild]:
        """Return the artifact of the newest successful run of a commit; the runs that count if none has it."""
        seen: list[ForgeBuild] = []
        count = BuildCount()
        for page in range(1, MOST_PAGES + 1):
            query = f"head_sha={commit}&per_page={_PER_PAGE}&page={page}"
            runs = entries(await self._api.json(f"{self._path}{self._of}/runs?{query}"), "workflow_runs")
            for run in sorted(filter(lambda one: _counts(one, commit), runs), key=_id, reverse=True):
                title = _title(run)
                if run.get("status") != "completed":
                    seen.append(running(title, _state(run.get("status"))))
                elif run.get("conclusion") != "success":
                    seen.append(failed(title, _state(run.get("conclusion"))))
                else:
                    asked = count.may_ask(words(run.get("path")), words(run.get("event")))
                    if asked and (found := await self._of_run(_id(run), title, commit)):
                        return found
                    seen.append(without(title, asked=asked))
            if len(runs) < _PER_PAGE:
                break
        return seen

    async def _of_run(self, run: int, title: str, commit: str) -> ForgeFile | None:
        """Return the newest artifact of the name that a run has: each of its attempts may have made one."""
        query = f"name={quote(self._name, safe='')}&per_page=100"
        found = entries(await self._api.json(f"{self._path}/runs/{run}/artifacts?{query}"), "artifacts")
        own = [one for one in found if one.get("name") == self._name and _id(one)]
        if not own:
            return None
        artifact = max(own, key=_id)
        digest = _DIGEST.fullmatch(words(artifact.get("digest")))
        day = words(artifact.get("expires_at"))[:10]
        return ForgeFile(
            # Not `archive_download_url`, so that no answer decides where the token goes.
            url=f"{self._path}/artifacts/{_id(artifact)}/zip#{commit}",
            build=title,
            sha256=digest[1].lower() if digest else "",
            size=number(artifact.get("size_in_bytes")),
            gone=f"expired{f' on {day}' if day else ''}" if artifact.get("expired") else "",
        )


def _counts(run: Mapping[str, object], commit: str) -> bool:
    """Return whether a run built this commit in this repository, because of a person who may write there."""
    home, head = (run.get(key) for key in ("repository", "head_repository"))
    own = isinstance(home, dict) and isinstance(head, dict) and 0 < _id(home) == _id(head)
    return own and run.get("head_sha") == commit and run.get("event") in _EVENTS and bool(_id(run))


def _id(one: Mapping[str, object]) -> int:
    return number(one.get("id"))


def _title(run: Mapping[str, object]) -> str:
    """Return a run for people, as `build.yml #12`. The path of its workflow may end in `@` and a ref."""
    path = words(run.get("path")).partition("@")[0]
    name = path.rpartition("/")[2] or words(run.get("name")) or "a run"
    return f"{name} #{number(run.get('run_number')) or _id(run)}"


def _state(word: object) -> str:
    return words(word).replace("_", " ") or "an unknown state"
