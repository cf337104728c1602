"""Artifacts of GitLab jobs: https://docs.gitlab.com/api/pipelines/, …/api/jobs/ and …/api/job_artifacts/."""

from __future__ import annotations

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

_SOURCES: Final = frozenset({"push", "web", "api", "schedule"})
"""What may start a pipeline that counts: a person who may push. Whoever has a trigger token need not be one.

Pipelines of merge requests may build what others wrote, and not this commit.
"""
_PER_PAGE = 100
_FAILED: Final = frozenset({"failed", "canceled", "skipped"})


class GitLabArtifacts:
    """Finds the artifacts of a `job` of a project. Implements ForgeArtifacts."""

    def __init__(self, api: ForgeApi, url: str, project: str, job: str) -> None:
        """Take what asks the API at `url` without a trailing slash, and the `project` as `acme/shop`."""
        self._api = api
        self._path = f"{url}/projects/{quote(project, safe='')}"
        self._job = job
        self.what = f"artifact of the job {job}"
        self.nothing = "Push the commit, or run a pipeline for it. Pipelines of merge requests do not count."
        self.narrower = "Run a pipeline with the job for this commit again."
        self.wanted = "Check `job` of the app's artifact in bot.toml, and `artifacts:paths` of that job."

    async def find(self, commit: str) -> ForgeFile | Sequence[ForgeBuild]:
        """Return the file of the newest successful pipeline of a commit; the pipelines that count if none has it."""
        query = f"sha={commit}&order_by=id&sort=desc&per_page={_PER_PAGE}"
        answer = entries(await self._api.json(f"{self._path}/pipelines?{query}"))
        pipelines = [one for one in answer if _counts(one, commit)]
        seen: list[ForgeBuild] = []
        count = BuildCount()
        for pipeline in sorted(pipelines, key=_id, reverse=True):
            title, status = f"pipeline #{_id(pipeline)}", words(pipeline.get("status")).replace("_", " ")
            if status in _FAILED:
                seen.append(failed(title, status))
            elif status == "manual":
                advice = f"Start the manual job of {title}, or give it `allow_failure: true`, then deploy again."
                seen.append(ForgeBuild(title, "waits for a manual job", advice))
            elif status != "success":
                seen.append(running(title, status or "in an unknown state"))
            else:
                asked = count.may_ask(words(pipeline.get("source")))
                if asked and (found := await self._of_pipeline(_id(pipeline), title, commit)):
                    return found
                seen.append(without(title, asked=asked))
        return seen

    async def _of_pipeline(self, pipeline: int, title: str, commit: str) -> ForgeFile | None:
        """Return the artifacts of the newest successful job of the name that a pipeline has."""
        for page in range(1, MOST_PAGES + 1):
            query = f"scope%5B%5D=success&per_page={_PER_PAGE}&page={page}"
            jobs = entries(await self._api.json(f"{self._path}/pipelines/{pipeline}/jobs?{query}"))
            own = [one for one in jobs if one.get("name") == self._job and one.get("status") == "success" and _id(one)]
            if own:
                return self._of_job(max(own, key=_id), title, commit)
            if len(jobs) < _PER_PAGE:
                break
        return None

    def _of_job(self, job: Mapping[str, object], title: str, commit: str) -> ForgeFile | None:
        """Return a job's artifacts. An answer without the file, but with a day when it expires, is about an old one.

        The newest ones are kept after that day. Then they are in the list alone.
        """
        url, file = f"{self._path}/jobs/{_id(job)}/artifacts#{commit}", job.get("artifacts_file")
        kept = (one for one in entries(job, "artifacts") if one.get("file_type") == "archive")
        found = file if isinstance(file, dict) else next(kept, None)
        if found is not None:
            return ForgeFile(url, title, size=number(found.get("size")))
        day = words(job.get("artifacts_expire_at"))[:10]
        return ForgeFile(url, title, gone=f"expired on {day}, or were deleted") if day else None


def _counts(pipeline: Mapping[str, object], commit: str) -> bool:
    return pipeline.get("sha") == commit and pipeline.get("source") in _SOURCES and bool(_id(pipeline))


def _id(one: Mapping[str, object]) -> int:
    return number(one.get("id"))
