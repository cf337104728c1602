"""How built files get onto a server: as an archive that the bot made, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import ArtifactSource, ImagesSource, Pin, Release, ServerFacts, UploadKind
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import App, ArtifactSettings
from deploybot.strategies import STRATEGIES
from deploybot.strategies.accepted_sources import insist_on_source
from tests.strategies.conftest import env_of, make_app, site_of

FILE = ArtifactSource("a" * 64, "site-1.tar.gz", "https://b.example.com/site-1.tar.gz", 7)
NEW, COMMIT = Release(FILE, ref="1", subject="Change the logo"), Release.of_commit("b" * 40, ref="v2")
IMAGES = Release(ImagesSource((Pin("web", "acme/web", "1", f"sha256:{'1' * 64}"),)))
FACTS = ServerFacts(home="/", server="web1", git=True, disk_free=10**10)
KINDS = {"files": {}, "script": {"script": "deploy.sh"}}


def app_of(strategy: str = "files", *, repo: str | None = None, **more: object) -> App:
    app = make_app(strategy, **{**KINDS[strategy], **more})
    return app.model_copy(update={"repo": repo, "artifact": ArtifactSettings(upload=True)})


@pytest.mark.parametrize("strategy", [*KINDS])
@pytest.mark.parametrize("git", [True, False])
def test_a_file_is_sent_as_an_archive_whether_the_server_has_git_or_not(strategy: str, *, git: bool) -> None:
    plan = STRATEGIES[strategy].deploy(site_of(app_of(strategy), replace(FACTS, git=git)), NEW, None)
    fetch, switch = plan.steps
    (upload,) = fetch.uploads
    assert (upload.kind, upload.commit, upload.have, upload.artifact) == (UploadKind.ARTIFACT, "", (), NEW.bare())
    assert upload.target == f"/srv/shop/incoming/artifact-{'a' * 64}.tar.gz"
    env = env_of(fetch)
    assert (env["DEPLOYBOT_FROM"], env["DEPLOYBOT_UPLOAD"]) == ("archive", upload.target)
    env = env_of(switch)
    assert (env["DEPLOYBOT_RELEASE"], env["DEPLOYBOT_COMMIT"], env["DEPLOYBOT_REF"]) == (NEW.id, "", "1")


def test_what_a_server_holds_is_not_sent_again() -> None:
    held = replace(FACTS, releases=(NEW.id,))
    site = site_of(app_of(), held)
    good = Site(app=site.app, environment=site.environment, facts=held, good=frozenset({NEW.id}))
    assert [step.name for step in STRATEGIES["files"].deploy(good, NEW, None).steps] == ["switch"]
    used = site_of(app_of(), replace(held, current=NEW.id))
    fetch, _ = STRATEGIES["files"].deploy(used, NEW, None).steps
    assert (fetch.uploads, env_of(fetch)["DEPLOYBOT_FROM"]) == ((), "have")
    fetch, _ = STRATEGIES["files"].deploy(site, NEW, None).steps
    assert fetch.uploads, "it never succeeded there, and is put there from scratch"


def test_a_server_needs_tar_and_gzip_and_no_git() -> None:
    bare = replace(FACTS, git=True, tools_missing=("tar", "gzip"))
    with pytest.raises(UserError) as caught:
        STRATEGIES["files"].deploy(site_of(app_of(), bare), NEW, None)
    assert caught.value.sentence == "web1 has no tar and no gzip, so no artifact can be unpacked there."
    assert caught.value.hint == "Install tar and gzip there."
    assert STRATEGIES["files"].deploy(site_of(app_of(), replace(FACTS, git=False)), NEW, None).steps


@pytest.mark.parametrize("strategy", [*KINDS])
def test_an_app_with_artifacts_takes_them_alone_and_commits_while_it_has_the_repository(strategy: str) -> None:
    one = STRATEGIES[strategy]
    insist_on_source(app_of(strategy), one, NEW)
    insist_on_source(app_of(strategy, repo="/srv/repo"), one, NEW)
    insist_on_source(app_of(strategy, repo="/srv/repo"), one, COMMIT)
    with pytest.raises(UserError, match=r"is a commit, and strategy .* of shop deploys an artifact.$") as caught:
        insist_on_source(app_of(strategy), one, COMMIT)
    assert caught.value.hint == "Name an artifact, or change apps.shop.strategy in bot.toml."
    with pytest.raises(UserError, match="is images, and strategy"):
        insist_on_source(app_of(strategy), one, IMAGES)
    with pytest.raises(UserError, match="is an artifact, and strategy"):
        insist_on_source(make_app(strategy, **KINDS[strategy]), one, NEW)
