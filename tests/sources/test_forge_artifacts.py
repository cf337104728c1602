"""Artifacts that GitHub Actions and GitLab jobs built from the commit that is deployed."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploybot.domain import ArtifactSource, CommitSource, Release
from deploybot.errors import Unreachable, UserError
from deploybot.sources.artifacts import Artifacts
from deploybot.sources.no_repository import Repositories
from deploybot.testing import FakeRefs
from tests.e2e.artifact_builds import build_server, sha256, tar_of
from tests.sources.forges import COMMIT, SITE, TOKEN, GitHub, GitLab, Row, app_of, found, refused, zip_of

CORRECT = "Correct the build and push it, or start it again for this commit."
AGAIN = "Start the build again for this commit, then deploy."
NEVER = "Runs of pull requests and forks do not count."


def members(path: Path) -> dict[str, bytes]:
    def each(made: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
        for one in made:
            data = made.extractfile(one)
            yield one.name, data.read() if data else b""

    with tarfile.open(path) as made:
        return dict(each(made))


async def test_github_says_the_sha_256_so_a_plan_downloads_nothing(artifacts: Artifacts, github: GitHub) -> None:
    github.run(7, {"other": b"x", "site": SITE})
    app = app_of(github)
    file = await found(artifacts, app)
    assert (file.sha256, file.name, file.size) == (sha256(SITE), "site.zip", len(SITE))
    assert github.count("/zip") == 0
    assert members(await artifacts.packed(app, file)) == {"index.html": b"one"}
    assert (github.count("/zip"), len(github.storage.asked)) == (1, 1)


async def test_the_token_never_reaches_the_storage(artifacts: Artifacts, github: GitHub, gitlab: GitLab) -> None:
    github.run(7, {"site": SITE})
    gitlab.run(7, {"build": SITE})
    for forge in (github, gitlab):
        app = app_of(forge)
        await artifacts.packed(app, await found(artifacts, app))
        assert {given for _, _, given in forge.asked} == {f"Bearer {TOKEN}"}
        assert {given for _, _, given in forge.storage.asked} == {""}
    # An address of a release from before, when the app had a URL, gets no token of the forge either.
    async with build_server() as before:
        before.publish("site.zip", zip_of({"a": b"old"}))
        old = ArtifactSource(sha256(zip_of({"a": b"old"})), "site.zip", f"{before.url}/site.zip", 1)
        await artifacts.packed(app_of(github), old)
        assert {given for _, _, given in before.asked} == {""}


async def test_no_answer_of_an_api_leads_to_a_forbidden_address(artifacts: Artifacts, github: GitHub) -> None:
    github.run(7, {"site": SITE})
    app = app_of(github)
    file = await found(artifacts, app)
    github.storage.url = "http://169.254.169.254"
    with pytest.raises(Unreachable):
        await artifacts.packed(app, file)


async def test_the_newest_successful_run_with_the_artifact_counts(artifacts: Artifacts, github: GitHub) -> None:
    old, new = zip_of({"a": b"old"}), zip_of({"a": b"new"})
    github.run(1, {"site": old})
    github.run(2, {"site": new})
    github.run(3, {"report": b"x"}, path=".github/workflows/lint.yml")
    github.run(4, {"site": b"failed"}, conclusion="failure")
    github.run(5, {"site": b"still"}, status="in_progress", conclusion=None)
    github.runs.reverse()  # whatever the order of the answer is
    assert (await found(artifacts, app_of(github))).sha256 == sha256(new)


async def test_the_newest_attempt_of_a_run_counts(artifacts: Artifacts, github: GitHub) -> None:
    github.run(1, {"site": b"first"})
    github.artifact(1, "site", SITE)
    github.artifacts[1].reverse()
    assert (await found(artifacts, app_of(github))).sha256 == sha256(SITE)


FORK: Row = {"head_repository": {"id": 43, "full_name": "mallory/site"}}


@pytest.mark.parametrize(
    "more",
    [
        FORK,
        {"head_repository": None},
        {"head_repository": {"id": None}, "repository": {"id": None}},
        *({"event": one} for one in ("pull_request", "pull_request_target", "workflow_run", "issue_comment", None)),
        {"head_sha": "d" * 40},
    ],
)
async def test_runs_that_may_have_built_what_others_wrote_never_count(
    artifacts: Artifacts, github: GitHub, more: Row
) -> None:
    github.filters = False  # as an old GitHub Enterprise
    github.run(9, {"site": SITE}, **more)
    sentence, hint = await refused(artifacts, app_of(github))
    assert sentence == "No run of cccccccccc counts, so there is no artifact site."
    assert hint == f"Push the commit, or start the workflow for it. {NEVER}"
    github.run(1, {"site": SITE})
    assert (await found(artifacts, app_of(github))).sha256 == sha256(SITE)


@pytest.mark.parametrize(
    ("more", "state", "hint"),
    [
        ({"status": "in_progress"}, "is in progress", "Wait until build.yml #7 has ended, then deploy again."),
        ({"status": "queued"}, "is queued", "Wait until build.yml #7 has ended, then deploy again."),
        (
            {"conclusion": "failure"},
            "ended with failure",
            CORRECT,
        ),
        (
            {"conclusion": "timed_out"},
            "ended with timed out",
            CORRECT,
        ),
        (
            {"conclusion": None},
            "ended with an unknown state",
            CORRECT,
        ),
        ({}, "does not have it", "Check `actions` and `workflow` of the app's artifact in bot.toml."),
    ],
)
async def test_runs_without_the_artifact_are_named(
    artifacts: Artifacts, github: GitHub, more: Row, state: str, hint: str
) -> None:
    github.run(7, {"other": b"x"}, **more)
    sentence, advice = await refused(artifacts, app_of(github))
    assert sentence == f"No successful run of cccccccccc has the artifact site: build.yml #7 {state}."
    assert advice.startswith(hint)


async def test_one_workflow_may_be_named(artifacts: Artifacts, github: GitHub) -> None:
    github.run(1, {"site": SITE}, path="acme/site/.github/workflows/build.yml@main")
    github.run(1, {"site": SITE})
    github.run(2, {"site": b"x"}, path=".github/workflows/other.yml")
    assert (await found(artifacts, app_of(github, workflow="build.yml"))).sha256 == sha256(SITE)
    with pytest.raises(UserError, match=r"There is no http.*/workflows/gone\.yml/runs") as caught:
        await found(artifacts, app_of(github, workflow="gone.yml"))
    assert caught.value.hint.startswith(
        "Is `workflow` of the app's artifact a file in .github/workflows? If it was not"
    )
    assert "needs the permission “Actions: read” for acme/site" in caught.value.hint


async def test_an_expired_artifact_is_refused_unless_it_is_here(artifacts: Artifacts, github: GitHub) -> None:
    github.run(7)
    artifact = github.artifact(7, "site", SITE, expired=True)
    app = app_of(github)
    assert await refused(artifacts, app) == (
        "The artifact site of build.yml #7 expired on 2026-11-30.",
        AGAIN,
    )
    artifact["expired"] = False
    file = await found(artifacts, app)
    artifact["expired"] = True
    with pytest.raises(UserError, match="it answers 410"):
        await artifacts.packed(app, file)
    artifact["expired"] = False
    await artifacts.packed(app, file)
    artifact["expired"] = True
    assert await found(artifacts, app) == file


@pytest.mark.parametrize(("status", "token"), [(401, "wrong"), (403, TOKEN), (404, TOKEN)])
async def test_a_token_without_the_rights_is_told(
    artifacts: Artifacts, github: GitHub, gitlab: GitLab, status: int, token: str
) -> None:
    github.run(7, {"site": SITE})
    gitlab.run(7, {"build": SITE})
    rights = ("the permission “Actions: read”", "the scope read_api and the role Reporter")
    for forge, right in zip((github, gitlab), rights, strict=True):
        forge.status = status
        with pytest.raises((Unreachable, UserError)) as caught:
            await found(artifacts, app_of(forge, token=token))
        assert f"it answers {status}" in str(caught.value)
        hint = getattr(caught.value, "hint", "")
        assert "the token of apps.site.forge" in hint
        assert right in hint
        assert token not in str(caught.value)


async def test_bytes_that_are_not_those_of_the_plan_are_refused(artifacts: Artifacts, github: GitHub) -> None:
    github.run(7, {"site": SITE})
    app = app_of(github)
    file = await found(artifacts, app)
    github.files[1000] = zip_of({"index.html": b"forged"})
    with pytest.raises(UserError, match="but its checksum is"):
        await artifacts.packed(app, file)


@pytest.mark.parametrize("digest", [None, "sha512:ab", "sha256:ab", 7])
async def test_what_has_no_digest_is_hashed_before_the_plan(
    artifacts: Artifacts, github: GitHub, tmp_path: Path, digest: object
) -> None:
    github.run(7)
    github.artifact(7, "site", SITE, digest=digest)
    app = app_of(github)
    files = await asyncio.gather(*(found(artifacts, app) for _ in range(5)))
    assert {one.sha256 for one in files} == {sha256(SITE)}
    assert {one.name for one in files} == {"site.zip"}
    assert members(await artifacts.packed(app, files[0])) == {"index.html": b"one"}
    assert len(github.storage.asked) == 1, "it is downloaded once"
    assert [*(tmp_path / "artifacts" / "site" / "incoming").iterdir()] == []


async def test_a_name_says_what_else_than_a_zip_it_is(artifacts: Artifacts, github: GitHub, tmp_path: Path) -> None:
    """As upload-artifact stores it with `archive: false`."""
    github.run(7, {"site": tar_of({"a": b"1"})})
    app = app_of(github, name="site-{ref}.tar.gz")
    file = await found(artifacts, app)
    assert file.name == "site-main.tar.gz"
    assert members(await artifacts.packed(app, file)) == {"a": b"1"}
    kept = next((tmp_path / "artifacts" / "site").glob("*.tar.gz"))
    kept.unlink()
    with pytest.raises(UserError, match=r"site\.zip is refused: .*damaged, or not what its name says"):
        await artifacts.packed(app_of(github), await found(artifacts, app_of(github)))


async def test_gitlab_says_no_sha_256_so_the_file_is_hashed_before_the_plan(
    artifacts: Artifacts, gitlab: GitLab, tmp_path: Path
) -> None:
    gitlab.run(6, {"build": b"old"})
    gitlab.run(7, {"lint": b"x", "build": SITE})
    app = app_of(gitlab)
    file = await found(artifacts, app)
    assert (file.sha256, file.name, file.size) == (sha256(SITE), "build.zip", len(SITE))
    assert await found(artifacts, app) == file
    assert members(await artifacts.packed(app, file)) == {"index.html": b"one"}
    assert len(gitlab.storage.asked) == 1, "the next plan knows it by its address"
    # Once cleaned away, the same bytes are downloaded again.
    for path in (tmp_path / "artifacts" / "site").glob("*.tar.gz"):
        path.unlink()
    assert members(await artifacts.packed(app, file)) == {"index.html": b"one"}
    assert len(gitlab.storage.asked) == 2


async def test_the_same_bytes_of_another_job_are_one_artifact(artifacts: Artifacts, gitlab: GitLab) -> None:
    gitlab.run(6, {"build": SITE})
    app = app_of(gitlab)
    first = await found(artifacts, app)
    gitlab.run(7, {"build": SITE})
    second = await found(artifacts, app)
    assert (second, second.url.endswith(f"/jobs/1001/artifacts#{COMMIT}")) == (first, True)
    await found(artifacts, app)
    assert len(gitlab.storage.asked) == 2


async def test_a_number_that_a_restored_forge_gives_again_is_another_file(
    artifacts: Artifacts, github: GitHub, gitlab: GitLab
) -> None:
    github.run(6)
    github.artifact(6, "site", SITE, digest=None)
    gitlab.run(6, {"build": SITE})
    other, newer = "d" * 40, zip_of({"index.html": b"two"})
    for forge, key in ((github, "head_sha"), (gitlab, "sha")):
        app = app_of(forge)
        await found(artifacts, app)
        forge.runs[0][key], forge.files[1000] = other, newer
        release = await artifacts.resolve(app, "", Release(CommitSource(other)))
        assert release.id == f"artifact-{sha256(newer)}"


async def test_a_pipeline_of_another_commit_never_counts(artifacts: Artifacts, gitlab: GitLab) -> None:
    """Even if the server filters nothing."""
    gitlab.filters = False
    gitlab.run(7, {"build": SITE}, sha="d" * 40)
    assert (await refused(artifacts, app_of(gitlab)))[0].startswith("No run of cccccccccc counts")


async def test_a_file_that_is_refused_leaves_nothing(artifacts: Artifacts, gitlab: GitLab, tmp_path: Path) -> None:
    gitlab.run(7, {"build": zip_of({"../x": b"x"})})
    sentence, _ = await refused(artifacts, app_of(gitlab))
    assert sentence.startswith("build.zip is refused: ")
    folder = tmp_path / "artifacts" / "site"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("more", "sentence", "hint"),
    [
        ({"source": "merge_request_event"}, "No run of cccccccccc counts", "Push the commit, or run a pipeline"),
        ({"source": "trigger"}, "No run of cccccccccc counts", "Push the commit, or run a pipeline"),
        ({"source": None}, "No run of cccccccccc counts", "Pipelines of merge requests do not count."),
        ({"status": "running"}, "pipeline #7 is running.", "Wait until pipeline #7 has ended, then deploy again."),
        ({"status": "manual"}, "pipeline #7 waits for a manual job.", "Start the manual job of pipeline #7"),
        ({"status": "failed"}, "pipeline #7 ended with failed.", CORRECT),
        ({}, "pipeline #7 does not have it.", "Check `job` of the app's artifact"),
    ],
)
async def test_pipelines_without_the_job_are_named(
    artifacts: Artifacts, gitlab: GitLab, more: Row, sentence: str, hint: str
) -> None:
    gitlab.run(7, {"lint": SITE} if not more else {"build": SITE}, **more)
    said, advice = await refused(artifacts, app_of(gitlab))
    assert sentence in said
    assert hint in advice


async def test_a_failed_job_and_one_without_files_do_not_count(artifacts: Artifacts, gitlab: GitLab) -> None:
    gitlab.run(7)
    gitlab.job(7, "build", SITE, status="failed")
    assert "does not have it" in (await refused(artifacts, app_of(gitlab)))[0]
    made = gitlab.job(7, "build", SITE, artifacts_file=None)
    assert "does not have it" in (await refused(artifacts, app_of(gitlab)))[0]
    made["artifacts_expire_at"] = "2026-11-30T10:00:00.000Z"
    assert await refused(artifacts, app_of(gitlab)) == (
        "The artifact of the job build of pipeline #7 expired on 2026-11-30, or were deleted.",
        AGAIN,
    )


async def test_the_newest_files_are_kept_after_the_day_when_they_expire(artifacts: Artifacts, gitlab: GitLab) -> None:
    """GitLab keeps those of a ref's newest successful pipeline. Then a job has no `artifacts_file` in some versions."""
    gitlab.run(7)
    listed: list[Row] = [{"file_type": "trace", "size": 9}, {"file_type": "archive", "size": len(SITE)}]
    gitlab.job(7, "build", SITE, artifacts_file=None, artifacts=listed, artifacts_expire_at="2026-11-30T10:00:00.000Z")
    file = await found(artifacts, app_of(gitlab))
    assert (file.sha256, file.size) == (sha256(SITE), len(SITE))


async def test_an_answer_that_is_no_list_has_no_runs(artifacts: Artifacts, github: GitHub, gitlab: GitLab) -> None:
    github.runs = [{"id": "x"}, {"head_sha": COMMIT}]
    gitlab.runs = [{"sha": COMMIT, "id": True, "source": "push"}]
    for forge in (github, gitlab):
        assert (await refused(artifacts, app_of(forge)))[0].startswith("No run of cccccccccc counts")


async def test_the_ref_is_looked_up_in_the_repository(artifacts: Artifacts, github: GitHub, tmp_path: Path) -> None:
    refs = FakeRefs(tmp_path / "refs", main=COMMIT)
    refs.branches = {"main": COMMIT}
    github.run(7, {"site": SITE})
    release = await Repositories(refs, artifacts).resolve(app_of(github), "main")
    assert (release.id, release.ref) == (f"artifact-{sha256(SITE)}", "main")
