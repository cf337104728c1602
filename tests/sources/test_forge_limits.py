"""Limits of what a forge is asked, and of what it may answer, when an app's artifact is built there."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploybot.errors import Unreachable
from deploybot.settings import App
from deploybot.sources.artifacts import Artifacts
from deploybot.sources.forge_artifacts import MOST_ALIKE, MOST_ASKED, forge_file
from deploybot.testing import FakeClock
from tests.e2e.artifact_builds import sha256
from tests.sources.forges import COMMIT, SITE, GitHub, GitLab, app_of, found, refused


async def test_all_pages_are_asked_within_limits(artifacts: Artifacts, github: GitHub) -> None:
    github.run(1, {"site": SITE})
    for number in range(2, 62):
        github.run(number, conclusion="failure")
    assert (await found(artifacts, app_of(github))).sha256 == sha256(SITE)
    assert github.count("/actions/runs") == 3
    for number in range(70, 70 + MOST_ASKED):
        github.run(number)
    sentence, hint = await refused(artifacts, app_of(github))
    assert sentence.endswith(f"and {MOST_ASKED + 61 - 4} more.")
    assert hint == "Not all were asked, because there are so many. Set `workflow` of the app's artifact in bot.toml."
    assert github.count("/artifacts") == 1 + MOST_ALIKE
    for number in range(100, 100 + MOST_ASKED):
        github.run(number, path=f".github/workflows/{number}.yml")
    await refused(artifacts, app_of(github))
    assert github.count("/artifacts") == 1 + MOST_ALIKE + MOST_ASKED
    # The newest one may be the build.
    github.run(200, status="in_progress")
    assert (await refused(artifacts, app_of(github)))[1].startswith("Wait until build.yml #200 has ended")


async def test_many_runs_that_are_alike_do_not_hide_the_build(
    artifacts: Artifacts, github: GitHub, gitlab: GitLab
) -> None:
    github.run(1, {"site": SITE})
    gitlab.run(1, {"build": SITE})
    for number in range(2, 2 + MOST_ASKED):
        github.run(number, path=".github/workflows/audit.yml", event="schedule")
        gitlab.run(number, source="schedule")
    for forge in (github, gitlab):
        assert (await found(artifacts, app_of(forge))).sha256 == sha256(SITE)
    gitlab.runs[0]["source"] = "schedule"
    sentence, hint = await refused(artifacts, app_of(gitlab))
    assert sentence.endswith("and 17 more.")
    assert hint.endswith("Run a pipeline with the job for this commit again.")


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({"Retry-After": "90"}, "Try again in 1 min 30 s."),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(1 << 40)}, "Try again in 1 d."),
    ],
)
async def test_a_rate_limit_is_no_missing_right(
    artifacts: Artifacts, github: GitHub, status: int, headers: dict[str, str], hint: str
) -> None:
    github.status, github.headers = status, headers
    with pytest.raises(Unreachable, match=f"it answers {status}: the rate limit is reached") as caught:
        await found(artifacts, app_of(github))
    assert caught.value.hint == hint
    assert caught.value.retry_after > 0


async def test_one_that_is_too_large_is_refused(artifacts: Artifacts, github: GitHub, gitlab: GitLab) -> None:
    github.run(7, {"site": bytes(2000)})
    gitlab.run(7, {"build": bytes(2000)})
    for forge, what in (
        (github, "artifact site of build.yml #7"),
        (gitlab, "artifact of the job build of pipeline #7"),
    ):
        sentence, hint = await refused(artifacts, app_of(forge, max_size=1000))
        assert sentence == f"The {what} has 2.0 kB, and `max_size` is 1.0 kB."
        assert hint == "Build a smaller one, or raise `max_size`."
    # A forge that says another size than the file has.
    gitlab.artifacts[7][0]["artifacts_file"] = {"size": 1}
    assert "has more than 1.0 kB" in (await refused(artifacts, app_of(gitlab, max_size=1000)))[0]


async def test_a_download_of_a_plan_ends_before_the_command(gitlab: GitLab, tmp_path: Path) -> None:
    async def needed(_: App) -> set[str]:
        await asyncio.Event().wait()
        return set()

    gitlab.run(7, {"build": SITE})
    slow = Artifacts(tmp_path, FakeClock(), needed, hash_within=0.05)
    with pytest.raises(Unreachable, match=r"not downloaded and packed within 0\.1 s") as caught:
        await found(slow, app_of(gitlab))
    assert "#" not in str(caught.value)


async def test_a_file_of_unknown_size_has_room_for_the_largest(
    artifacts: Artifacts, gitlab: GitLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitlab.run(7)
    gitlab.job(7, "build", SITE, artifacts_file={"filename": "artifacts.zip"})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000_000))
    assert await refused(artifacts, app_of(gitlab)) == (
        "The bot's disk has 1.0 GB free, which is too little for an artifact of up to 500 MB. Its size is unknown.",
        "Free some there, or lower `max_size`.",
    )
    assert (await found(artifacts, app_of(gitlab, max_size=100_000_000))).sha256 == sha256(SITE)


async def test_a_forge_that_does_not_answer_is_given_up() -> None:
    class Silent:
        what = "artifact site"
        nothing = wanted = narrower = ""

        async def find(self, commit: str) -> tuple[()]:
            del commit
            await asyncio.Event().wait()
            return ()

    with pytest.raises(Unreachable, match="artifact site cannot be reached: the forge did not answer within"):
        await forge_file(Silent(), COMMIT, within=0.01)
