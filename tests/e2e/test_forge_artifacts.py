"""What a forge built from a commit, by the whole bot over a real sshd and a real repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.e2e.artifact_builds import sha256
from tests.e2e.conftest import ended, open_running_bot, server_toml
from tests.lab import Repo, Sshd
from tests.sources.forges import TOKEN, Forge, GitHub, GitLab, forge_of, zip_of

APP = """
[apps.site]
repo = "{repo}"
branch = "main"
strategy = "files"
directory = "{home}/site"
need_disk = "1MB"
artifact = {artifact}
forge = {{ kind = "{kind}", token = {{ file = "{token}" }}, api_url = "{url}", repository = "acme/site" }}
[apps.site.environments.live]
servers = ["web1"]
[apps.site.environments.guarded]
servers = ["web1"]
directory = "{home}/guarded"
approvals = 1
"""


def bot_toml(folder: Path, server: Sshd, repo: Repo, forge: Forge) -> Path:
    token, path = folder / "token", folder / "bot.toml"
    token.write_text(TOKEN)
    token.chmod(0o600)
    kind = "github" if isinstance(forge, GitHub) else "gitlab"
    artifact = '{ actions = "site" }' if kind == "github" else '{ job = "site" }'
    app = APP.format(repo=repo.url, home=server.home, artifact=artifact, kind=kind, token=token, url=forge.url)
    path.write_text(f'[bot]\ndata = "{folder / "data"}"\n{server_toml(server)}\n{app}')
    return path


def built(text: str) -> bytes:
    return zip_of({"index.html": f"{text}\n".encode()})


@pytest.mark.parametrize("kind", [GitHub, GitLab])
async def test_what_was_built_from_the_commit_is_deployed(
    make_sshd: Callable[..., Sshd], make_repo: Callable[..., Repo], tmp_path: Path, kind: type[GitHub | GitLab]
) -> None:
    server, repo = make_sshd(), make_repo("site")
    one = repo.commit({"index.html": "the source"})
    async with (
        forge_of(kind) as forge,
        open_running_bot(bot_toml(tmp_path, server, repo, forge)) as running,
    ):
        assert isinstance(forge, GitHub | GitLab)
        name = "head_sha" if kind is GitHub else "sha"
        refused = await running.read("deploy site to live")
        assert f"No run of {one[:10]} counts" in refused
        forge.run(1, {"site": built("one")}, **{name: one})
        first = await running.deploy("deploy site to live")
        ended(first, State.SUCCEEDED)
        assert first.plan.release.id == f"artifact-{sha256(built('one'))}"
        page = server.home / "site/current/index.html"
        assert page.read_text() == "one\n"
        two = repo.commit({"index.html": "the newer source"}, "Say two")
        forge.run(2, {"site": built("two")}, **{name: two})
        ended(await running.deploy("deploy site@main to live"), State.SUCCEEDED)
        assert page.read_text() == "two\n"
        ended(await running.deploy(f"deploy site@{one[:9]} to live"), State.SUCCEEDED)
        assert page.read_text() == "one\n"
        ended(await running.deploy("rollback site from live to main"), State.SUCCEEDED)
        assert page.read_text() == "two\n"
        # Another run of the commit makes another release, which nobody has approved.
        assert "ben" in await running.read("allow ben approver")
        asked = await running.read("deploy site@main to guarded")
        assert "Say two" in asked
        forge.run(3, {"site": built("again")}, **{name: two})
        assert "is void" in await running.read("approve #5", "ben")
        assert not (server.home / "guarded/current").exists()
        assert TOKEN not in await running.read("history site")
        assert {given for _, _, given in forge.storage.asked} == {""}
