"""Artifacts that GitHub Actions and GitLab jobs built from the commit that is deployed."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploybot.domain import ArtifactSource, CommitSource, Release
from deploybot.errors import Unreachable, UserError
from deploybot.settings import App
from deploybot.sources.artifacts import Artifacts
from deploybot.sources.forge_artifacts import MOST_ASKED, forge_file
from deploybot.sources.no_repository import Repositories
from deploybot.testing import FakeClock, FakeRefs
from tests.e2e.artifact_builds import build_server, sha256, tar_of
from tests.kit.settings import bot_settings
from tests.sources.forges import COMMIT, TOKEN, Forge, GitHub, GitLab, Row, forge_of, zip_of

SITE = zip_of({"index.html": b"one"})
NEVER = "Runs of pull requests and forks do not count."


@pytest.fixture
async def github() -> AsyncIterator[GitHub]:
    async with forge_of(GitHub) as made:
        yield made


@pytest.fixture
async def gitlab() -> AsyncIterator[GitLab]:
    async with forge_of(GitLab) as made:
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Artifacts:
    async def needed(_: App) -> set[str]:
        return set()

    return Artifacts(tmp_path, FakeClock(), needed)


def app_of(forge: Forge, *, token: str = TOKEN, **artifact: object) -> App:
    """An app whose artifacts are on this forge; by default `site`, or those of the job `build`."""
    kind = "github" if isinstance(forge, GitHub) else "gitlab"
    default = {"actions": "site"} if kind == "github" else {"job": "build"}
    given = {
        "repo": f"{forge.url}/acme/site.git",
        "artifact": default | artifact,
        "forge": {"kind": kind, "token": {"env": "FORGE"}, "api_url": forge.url},
    }
    return bot_settings(apps={"site": given}, values={"FORGE": token}).apps["site"]


async def found(source: Artifacts, app: App) -> ArtifactSource:
    commit = Release(CommitSource(COMMIT), ref="main", subject="Change the logo", author="ana")
    release = await source.resolve(app, "", commit)
    assert (release.ref, release.subject, release.author) == ("main", "Change the logo", "ana")
    assert release.file is not None
    return release.file


async def refused(source: Artifacts, app: App) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        await found(source, app)
    return caught.value.sentence, caught.value.hint


def members(path: Path) -> dict[str, bytes]:
    def each(made: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
        for one in made:
            data = made.extractfile(one)
            yield one.name, data.read() if data else b""

    with tarfile.open(path) as made:
        return dict(each(made))


async def test_github_says_the_sha_256_so_a_plan_downloads_nothing(source: Artifacts, github: GitHub) -> None:
    github.run(7, {"other": b"x", "site": SITE})
    app = app_of(github)
    file = await found(source, app)
    assert (file.sha256, file.name, file.size) == (sha256(SITE), "site.zip", len(SITE))
    assert github.count("/zip") == 0
    assert members(await source.packed(app, file)) == {"index.html": b"one"}
    assert (github.count("/zip"), len(github.storage.asked)) == (1, 1)


async def test_the_token_never_reaches_the_storage(source: Artifacts, github: GitHub, gitlab: GitLab) -> None:
    github.run(7, {"site": SITE})
    gitlab.run(7, {"build": SITE})
    for forge in (github, gitlab):
        app = app_of(forge)
        await source.packed(app, await found(source, app))
        assert {given for _, _, given in forge.asked} == {f"Bearer {TOKEN}"}
        assert {given for _, _, given in forge.storage.asked} == {""}
    # An address of a release from before, when the app had a URL, gets no token of the forge either.
    async with build_server() as before:
        before.publish("site.zip", zip_of({"a": b"old"}))
        old = ArtifactSource(sha256(zip_of({"a": b"old"})), "site.zip", f"{before.url}/site.zip", 1)
        await source.packed(app_of(github), old)
        assert {given for _, _, given in before.asked} == {""}


async def test_no_answer_of_an_api_leads_to_a_forbidden_address(source: Artifacts, github: GitHub) -> None:
    github.run(7, {"site": SITE})
    app = app_of(github)
    file = await found(source, app)
    github.storage.url = "http://169.254.169.254"
    with pytest.raises(Unreachable):
        await source.packed(app, file)


async def test_the_newest_successful_run_with_the_artifact_counts(source: Artifacts, github: GitHub) -> None:
    old, new = zip_of({"a": b"old"}), zip_of({"a": b"new"})
    github.run(1, {"site": old})
    github.run(2, {"site": new})
    github.run(3, {"report": b"x"}, path=".github/workflows/lint.yml")
    github.run(4, {"site": b"failed"}, conclusion="failure")
    github.run(5, {"site": b"still"}, status="in_progress", conclusion=None)
    github.runs.reverse()  # whatever the order of the answer is
    assert (await found(source, app_of(github))).sha256 == sha256(new)


async def test_the_newest_attempt_of_a_run_counts(source: Artifacts, github: GitHub) -> None:
    github.run(1, {"site": b"first"})
    github.artifact(1, "site", SITE)
    github.artifacts[1].reverse()
    assert (await found(source, app_of(github))).sha256 == sha256(SITE)


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
    source: Artifacts, github: GitHub, more: Row
) -> None:
    github.filters = False  # as an old GitHub Enterprise
    github.run(9, {"site": SITE}, **more)
    sentence, hint = await refused(source, app_of(github))
    assert sentence == "No run of cccccccccc counts, so there is no artifact site."
    assert hint == f"Push the commit, or start the workflow for it. {NEVER}"
    github.run(1, {"site": SITE})
    assert (await found(source, app_of(github))).sha256 == sha256(SITE)


@pytest.mark.parametrize(
    ("more", "state", "hint"),
    [
        ({"status": "in_progress"}, "is in progress", "Wait until build.yml #7 has ended, then deploy again."),
        ({"status": "queued"}, "is queued", "Wait until build.yml #7 has ended, then deploy again."),
        ({"conclusion": "failure"}, "ended with failure", "Correct the build, or run it again. Check `actions`"),
        ({"conclusion": "timed_out"}, "ended with timed out", "Correct the build, or run it again."),
        ({"conclusion": None}, "ended with an unknown state", "Correct the build, or run it again."),
        ({}, "does not have it", "Check `actions` and `workflow` of the app's artifact in bot.toml."),
    ],
)
async def test_runs_without_the_artifact_are_named(
    source: Artifacts, github: GitHub, more: Row, state: str, hint: str
) -> None:
    github.run(7, {"other": b"x"}, **more)
    sentence, advice = await refused(source, app_of(github))
    assert sentence == f"No successful run of cccccccccc has the artifact site: build.yml #7 {state}."
    assert advice.startswith(hint)


async def test_one_workflow_may_be_named(source: Artifacts, github: GitHub) -> None:
    github.run(1, {"site": SITE}, path="acme/site/.github/workflows/build.yml@main")
    github.run(1, {"site": SITE})
    github.run(2, {"site": b"x"}, path=".github/workflows/other.yml")
    assert (await found(source, app_of(github, workflow="build.yml"))).sha256 == sha256(SITE)
    with pytest.raises(UserError, match=r"There is no http.*/workflows/gone\.yml/runs") as caught:
        await found(source, app_of(github, workflow="gone.yml"))
    assert "needs the permission “Actions: read” for acme/site" in caught.value.hint


async def test_all_pages_are_asked_within_limits(source: Artifacts, github: GitHub) -> None:
    github.run(1, {"site": SITE})
    for number in range(2, 62):
        github.run(number, conclusion="failure")
    assert (await found(source, app_of(github))).sha256 == sha256(SITE)
    assert github.count("/actions/runs") == 3
    for number in range(70, 70 + MOST_ASKED):
        github.run(number)
    sentence, _ = await refused(source, app_of(github))
    assert sentence.endswith(f"and {MOST_ASKED + 60 - 4} more.")
    assert github.count("/artifacts") == 1 + MOST_ASKED


async def test_an_expired_artifact_is_refused_unless_it_is_here(source: Artifacts, github: GitHub) -> None:
    github.run(7)
    artifact = github.artifact(7, "site", SITE, expired=True)
    app = app_of(github)
    assert await refused(source, app) == (
        "The artifact site of build.yml #7 expired on 2026-11-30.",
        "Run build.yml #7 again, then deploy.",
    )
    artifact["expired"] = False
    file = await found(source, app)
    artifact["expired"] = True
    with pytest.raises(UserError, match="it answers 410"):
        await source.packed(app, file)
    artifact["expired"] = False
    await source.packed(app, file)
    artifact["expired"] = True
    assert await found(source, app) == file


async def test_one_that_is_too_large_is_refused(source: Artifacts, github: GitHub, gitlab: GitLab) -> None:
    github.run(7, {"site": bytes(2000)})
    gitlab.run(7, {"build": bytes(2000)})
    for forge, what in (
        (github, "artifact site of build.yml #7"),
        (gitlab, "artifact of the job build of pipeline #7"),
    ):
        sentence, hint = await refused(source, app_of(forge, max_size=1000))
        assert sentence == f"The {what} has 2.0 kB, and `max_size` is 1.0 kB."
        assert hint == "Build a smaller one, or raise `max_size`."
    # A forge that says another size than the file has.
    gitlab.artifacts[7][0]["artifacts_file"] = {"size": 1}
    assert "has more than 1.0 kB" in (await refused(source, app_of(gitlab, max_size=1000)))[0]


@pytest.mark.parametrize(("status", "token"), [(401, "wrong"), (403, TOKEN), (404, TOKEN)])
async def test_a_token_without_the_rights_is_told(
    source: Artifacts, github: GitHub, gitlab: GitLab, status: int, token: str
) -> None:
    github.run(7, {"site": SITE})
    gitlab.run(7, {"build": SITE})
    rights = ("the permission “Actions: read”", "the scope read_api and the role Reporter")
    for forge, right in zip((github, gitlab), rights, strict=True):
        forge.status = status
        with pytest.raises((Unreachable, UserError)) as caught:
            await found(source, app_of(forge, token=token))
        assert f"it answers {status}" in str(caught.value)
        hint = getattr(caught.value, "hint", "")
        assert "the token of apps.site.forge" in hint
        assert right in hint
        assert token not in str(caught.value)


async def test_bytes_that_are_not_those_of_the_plan_are_refused(source: Artifacts, github: GitHub) -> None:
    github.run(7, {"site": SITE})
    app = app_of(github)
    file = await found(source, app)
    github.files[1000] = zip_of({"index.html": b"forged"})
    with pytest.raises(UserError, match="but its checksum is"):
        await source.packed(app, file)


@pytest.mark.parametrize("digest", [None, "sha512:ab", "sha256:ab", 7])
async def test_what_has_no_digest_is_hashed_before_the_plan(
    source: Artifacts, github: GitHub, tmp_path: Path, digest: object
) -> None:
    github.run(7)
    github.artifact(7, "site", SITE, digest=digest)
    app = app_of(github)
    files = await asyncio.gather(*(found(source, app) for _ in range(5)))
    assert {one.sha256 for one in files} == {sha256(SITE)}
    assert {one.name for one in files} == {"site.zip"}
    assert members(await source.packed(app, files[0])) == {"index.html": b"one"}
    assert len(github.storage.asked) == 1, "it is downloaded once"
    assert [*(tmp_path / "artifacts" / "site" / "incoming").iterdir()] == []


async def test_a_name_says_what_else_than_a_zip_it_is(source: Artifacts, github: GitHub, tmp_path: Path) -> None:
    """As upload-artifact stores it with `archive: false`."""
    github.run(7, {"site": tar_of({"a": b"1"})})
    app = app_of(github, name="site-{ref}.tar.gz")
    file = await found(source, app)
    assert file.name == "site-main.tar.gz"
    assert members(await source.packed(app, file)) == {"a": b"1"}
    kept = next((tmp_path / "artifacts" / "site").glob("*.tar.gz"))
    kept.unlink()
    with pytest.raises(UserError, match=r"site\.zip is refused: .*damaged, or not what its name says"):
        await source.packed(app_of(github), await found(source, app_of(github)))


async def test_gitlab_says_no_sha_256_so_the_file_is_hashed_before_the_plan(
    source: Artifacts, gitlab: GitLab, tmp_path: Path
) -> None:
    gitlab.run(6, {"build": b"old"})
    gitlab.run(7, {"lint": b"x", "build": SITE})
    app = app_of(gitlab)
    file = await found(source, app)
    assert (file.sha256, file.name, file.size) == (sha256(SITE), "build.zip", len(SITE))
    assert await found(source, app) == file
    assert members(await source.packed(app, file)) == {"index.html": b"one"}
    assert len(gitlab.storage.asked) == 1, "the next plan knows it by its address"
    # Once cleaned away, the same bytes are downloaded again.
    for path in (tmp_path / "artifacts" / "site").glob("*.tar.gz"):
        path.unlink()
    assert members(await source.packed(app, file)) == {"index.html": b"one"}
    assert len(gitlab.storage.asked) == 2


async def test_the_same_bytes_of_another_job_are_one_artifact(source: Artifacts, gitlab: GitLab) -> None:
    gitlab.run(6, {"build": SITE})
    app = app_of(gitlab)
    first = await found(source, app)
    gitlab.run(7, {"build": SITE})
    second = await found(source, app)
    assert (second, second.url.endswith(f"/jobs/1001/artifacts#{COMMIT}")) == (first, True)
    await found(source, app)
    assert len(gitlab.storage.asked) == 2


async def test_a_number_that_a_restored_forge_gives_again_is_another_file(
    source: Artifacts, github: GitHub, gitlab: GitLab
) -> None:
    github.run(6)
    github.artifact(6, "site", SITE, digest=None)
    gitlab.run(6, {"build": SITE})
    other, newer = "d" * 40, zip_of({"index.html": b"two"})
    for forge, key in ((github, "head_sha"), (gitlab, "sha")):
        app = app_of(forge)
        await found(source, app)
        forge.runs[0][key], forge.files[1000] = other, newer
        release = await source.resolve(app, "", Release(CommitSource(other)))
        assert release.id == f"artifact-{sha256(newer)}"


async def test_a_pipeline_of_another_commit_never_counts(source: Artifacts, gitlab: GitLab) -> None:
    """Even if the server filters nothing."""
    gitlab.filters = False
    gitlab.run(7, {"build": SITE}, sha="d" * 40)
    assert (await refused(source, app_of(gitlab)))[0].startswith("No run of cccccccccc counts")


async def test_a_file_that_is_refused_leaves_nothing(source: Artifacts, gitlab: GitLab, tmp_path: Path) -> None:
    gitlab.run(7, {"build": zip_of({"../x": b"x"})})
    sentence, _ = await refused(source, app_of(gitlab))
    assert sentence.startswith("build.zip is refused: ")
    folder = tmp_path / "artifacts" / "site"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("more", "sentence", "hint"),
    [
        ({"source": "merge_request_event"}, "No run of cccccccccc counts", "Push the commit, or run a pipeline"),
        ({"source": None}, "No run of cccccccccc counts", "Pipelines of merge requests do not count."),
        ({"status": "running"}, "pipeline #7 is running.", "Wait until pipeline #7 has ended, then deploy again."),
        ({"status": "manual"}, "pipeline #7 is manual.", "Wait until pipeline #7 has ended"),
        ({"status": "failed"}, "pipeline #7 ended with failed.", "Correct the build, or run it again."),
        ({}, "pipeline #7 does not have it.", "Check `job` of the app's artifact"),
    ],
)
async def test_pipelines_without_the_job_are_named(
    source: Artifacts, gitlab: GitLab, more: Row, sentence: str, hint: str
) -> None:
    gitlab.run(7, {"lint": SITE} if not more else {"build": SITE}, **more)
    said, advice = await refused(source, app_of(gitlab))
    assert sentence in said
    assert hint in advice


async def test_a_failed_job_and_one_without_files_do_not_count(source: Artifacts, gitlab: GitLab) -> None:
    gitlab.run(7)
    gitlab.job(7, "build", SITE, status="failed")
    assert "does not have it" in (await refused(source, app_of(gitlab)))[0]
    made = gitlab.job(7, "build", SITE, artifacts_file=None)
    assert "does not have it" in (await refused(source, app_of(gitlab)))[0]
    made["artifacts_expire_at"] = "2026-11-30T10:00:00.000Z"
    assert await refused(source, app_of(gitlab)) == (
        "The artifact of the job build of pipeline #7 expired on 2026-11-30, or were deleted.",
        "Run pipeline #7 again, then deploy.",
    )


async def test_a_forge_that_does_not_answer_is_given_up() -> None:
    class Silent:
        what = "artifact site"
        nothing = wanted = ""

        async def find(self, commit: str) -> tuple[()]:
            del commit
            await asyncio.Event().wait()
            return ()

    with pytest.raises(Unreachable, match="artifact site cannot be reached: the forge did not answer within"):
        await forge_file(Silent(), COMMIT, within=0.01)


async def test_an_answer_that_is_no_list_has_no_runs(source: Artifacts, github: GitHub, gitlab: GitLab) -> None:
    github.runs = [{"id": "x"}, {"head_sha": COMMIT}]
    gitlab.runs = [{"sha": COMMIT, "id": True, "source": "push"}]
    for forge in (github, gitlab):
        assert (await refused(source, app_of(forge)))[0].startswith("No run of cccccccccc counts")


async def test_the_ref_is_looked_up_in_the_repository(source: Artifacts, github: GitHub, tmp_path: Path) -> None:
    refs = FakeRefs(tmp_path / "refs", main=COMMIT)
    refs.branches = {"main": COMMIT}
    github.run(7, {"site": SITE})
    release = await Repositories(refs, source).resolve(app_of(github), "main")
    assert (release.id, release.ref) == (f"artifact-{sha256(SITE)}", "main")
