"""What `deploybot check` tries, and the cure beside each failure."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploybot.check import CheckState, Row, check
from deploybot.config import load
from deploybot.domain import JobState, Plan, Release, ServerFacts
from deploybot.domain.missing_content import MissingContent
from deploybot.errors import EngineError, HostKeyMismatch, StepFailed, StillFetching, Unreachable
from deploybot.settings import App, Environment, ImageOf, Settings
from deploybot.testing import FakeEngine, FakeHost, FakeImages, FakeRefs, FakeServers, Outcome
from tests.kit.settings import bot_settings

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm+aGXaJpJuPDizobQ/nP0kxVnjDf6sVXUpFW4WK2Jc"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BOT = f"""
[bot]
data = "data"
[servers.web1]
ssh = "deploy@203.0.113.10"
agent = true
host_key = "{HOST_KEY}"
docker = "/var/run/docker.sock"
[servers.web2]
ssh = "deploy@203.0.113.11"
agent = true
host_key = "{HOST_KEY}"
[apps.shop]
repo = "git@example.com:acme/shop.git"
strategy = "compose"
directory = "/srv/shop"
need_memory = "1GB"
environments.production.servers = ["web1"]
[apps.site]
repo = "https://example.com/site.git"
strategy = "files"
directory = "/srv/site"
environments.production.servers = ["web2"]
"""


class Links(FakeServers):
    """Fake servers whose connections can be dropped; `end` is what becomes of the job then."""

    dropped: tuple[str, ...] = ()
    end: JobState = JobState.DONE

    async def drop(self, name: str) -> None:
        """Note it; then the job ends."""
        self.dropped += (name,)
        host = self[name]
        job = host.started[-1].job
        if self.end is JobState.DONE:
            host.write(job, b"survived\n")
        host.finish(job, state=self.end)


class Hanging(FakeHost):
    """A server that takes the connection and says nothing."""

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:  # noqa: ARG002  the port's signature
        """Never come back."""
        await asyncio.Event().wait()
        raise AssertionError


class Failing(FakeHost):
    """A server that answers with an error."""

    error: Exception = Unreachable("", "")

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:  # noqa: ARG002  the port's signature
        """Fail."""
        raise self.error


def _host(name: str, **facts: object) -> FakeHost:
    usual = FakeHost(name).server_facts
    known: Mapping[str, object] = {
        "docker": "27.0.0",
        "compose": ("docker", "compose"),
        "compose_version": "2.26.1",
        **facts,
    }
    host = FakeHost(name, dataclasses.replace(usual, **known))  # type: ignore[arg-type]
    host.script("survive", Outcome(hold=True))
    return host


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two servers and two apps."""
    (tmp_path / "bot.toml").write_text(BOT)
    return load(tmp_path / "bot.toml", {})


@pytest.fixture
def refs(tmp_path: Path) -> FakeRefs:
    """A repository with one branch."""
    return FakeRefs(tmp_path, main=COMMIT)


def _links(web1: FakeHost | None = None, web2: FakeHost | None = None, engine: FakeEngine | None = None) -> Links:
    return Links([web1 or _host("web1"), web2 or _host("web2")], {"web1": engine or FakeEngine()})


def _failed(rows: tuple[Row, ...]) -> list[tuple[str, str, str, str]]:
    return [(row.subject, row.what, row.text, row.fix) for row in rows if row.state == "failed"]


async def test_all_is_well(settings: Settings, refs: FakeRefs) -> None:
    links = _links()
    rows = await check(settings, links, refs)
    assert not _failed(rows)
    assert [(row.subject, row.what) for row in rows] == [
        ("bot", "data folder"),
        ("bot", "files"),
        *(
            ("server web1", what)
            for what in (
                "connection",
                "user",
                "tools",
                "room",
                "Docker",
                "Compose",
                "shop/production",
                "detached job",
            )
        ),
        *(("server web2", what) for what in ("connection", "user", "tools", "room", "site/production", "detached job")),
        ("app shop", "repository"),
        ("app site", "repository"),
    ]
    assert sorted(links.dropped) == ["web1", "web2"]
    assert rows[-1].text == "https://example.com/site.git: main (0123456789)"


async def test_a_server_that_hangs_costs_only_its_own_row(settings: Settings, refs: FakeRefs) -> None:
    started = time.monotonic()
    rows = await check(settings, _links(web1=Hanging("web1")), refs, within=2.0)
    assert time.monotonic() - started < 20
    assert [row[:3] for row in _failed(rows)] == [("server web1", "answer", "no answer within 2.0 s")]
    assert any(row.subject == "server web2" and row.what == "detached job" and row.state == "ok" for row in rows)


@pytest.mark.parametrize(
    ("error", "says", "fix"),
    [
        (Unreachable("web1", "connection refused"), "connection refused", "Try `ssh -p 22 deploy@203.0.113.10`"),
        (Unreachable("web1", "no route", hint="Look there."), "no route", "Look there."),
        (HostKeyMismatch("web1", "another key"), "another key", "`deploybot trust web1` shows the new fingerprint"),
        (StepFailed("web1", "probe", 3), "step `probe` failed on web1 with exit code 3", ""),
    ],
)
async def test_a_server_that_cannot_be_reached_has_a_cure(
    settings: Settings, refs: FakeRefs, error: Exception, says: str, fix: str
) -> None:
    host = Failing("web1")
    host.error = error
    failed = _failed(await check(settings, _links(web1=host), refs))
    assert len(failed) == 1
    assert failed[0][2] == says
    assert fix in failed[0][3]


async def test_secrets_in_what_others_say_are_masked(settings: Settings, refs: FakeRefs) -> None:
    host = Failing("web1")
    host.error = Unreachable("web1", "no login with hunter22", hint="Not with hunter22.")
    rows = await check(settings, _links(web1=host), refs, mask=lambda text: text.replace("hunter22", "•••"))
    assert _failed(rows)[0][2:] == ("no login with •••", "Not with •••.")


async def test_a_server_without_a_pinned_key_has_to_be_trusted_first(settings: Settings, refs: FakeRefs) -> None:
    server = settings.servers["web1"].model_copy(update={"host_key": ()})
    settings = settings.model_copy(update={"servers": {**settings.servers, "web1": server}})
    host = Failing("web1")
    host.error = HostKeyMismatch("web1", "no host key is pinned")
    (failed,) = _failed(await check(settings, _links(web1=host), refs))
    assert failed[3].startswith("`deploybot trust web1` shows")


@pytest.mark.parametrize(
    ("facts", "what", "words"),
    [
        ({"tools_missing": ("setsid", "sha256sum")}, "tools", ("missing: setsid, sha256sum", "Install")),
        ({"git": False, "tools_missing": ("tar",)}, "tools", ("missing: tar", "Install")),
        ({"writable": False}, "shop/production", ("deploy cannot write to /srv/shop on web1", "-o deploy /srv/shop")),
        ({"disk_free": 10**8}, "shop/production", ("web1 is low on disk space: 100 MB free", "need_disk")),
        ({"memory_available": 10**8}, "shop/production", ("web1 is low on memory", "need_memory")),
        ({"compose": ()}, "shop/production", ("web1 has no Docker Compose", "docker-compose-plugin")),
        ({"docker": ""}, "shop/production", ("web1 has no Docker that deploy can use", "usermod -aG docker deploy")),
    ],
)
async def test_what_a_server_lacks_has_a_cure(
    settings: Settings, refs: FakeRefs, facts: dict[str, object], what: str, words: tuple[str, str]
) -> None:
    failed = _failed(await check(settings, _links(web1=_host("web1", **facts)), refs))
    (found,) = [row for row in failed if row[:2] == ("server web1", what)]
    assert words[0] in found[2]
    assert words[1] in found[3]


async def test_a_server_without_git_but_with_tar_is_fine(settings: Settings, refs: FakeRefs) -> None:
    assert not _failed(await check(settings, _links(web1=_host("web1", git=False)), refs))
    assert not _failed(await check(settings, _links(web1=_host("web1", tools_missing=("tar", "gzip"))), refs))


async def test_unknown_sizes_are_no_failure(settings: Settings, refs: FakeRefs) -> None:
    rows = await check(settings, _links(web1=_host("web1", disk_free=-1, memory_available=-1)), refs)
    assert not _failed(rows)
    assert "unknown of memory available" in str(rows)


class Old(FakeEngine):
    """An Engine that is too old."""

    async def version(self) -> str:
        """Refuse."""
        raise EngineError("client version 1.24 is too old")


async def test_an_engine_that_does_not_answer_has_a_cure(settings: Settings, refs: FakeRefs) -> None:
    engine = FakeEngine()
    engine.down = "permission denied on /var/run/docker.sock"
    (failed,) = _failed(await check(settings, _links(engine=engine), refs))
    assert failed[1:3] == ("Docker", "permission denied on /var/run/docker.sock")
    assert "usermod -aG docker deploy" in failed[3]
    (failed,) = _failed(await check(settings, _links(engine=Old()), refs))
    assert failed[3] == "The bot works with Docker 20.10 and later."


@pytest.mark.parametrize("state", [JobState.ORPHAN, JobState.LOST, JobState.CANCELLED])
async def test_a_server_that_kills_what_a_session_left_is_found(
    settings: Settings, refs: FakeRefs, state: JobState
) -> None:
    links = _links()
    links.end = state
    failed = _failed(await check(settings, links, refs))
    assert [row[:3] for row in failed] == [
        (f"server {name}", "detached job", f"after the connection was cut, the job is {state}")
        for name in ("web1", "web2")
    ]
    assert all("loginctl enable-linger" in row[3] for row in failed)


async def test_a_job_that_cannot_be_started_or_ends_at_once_is_reported(settings: Settings, refs: FakeRefs) -> None:
    host = _host("web1")
    host.script("survive", Outcome(code=1))
    (failed,) = _failed(await check(settings, _links(web1=host), refs))
    assert failed[2] == "right after its start, the job is done"


async def test_a_repository_that_cannot_be_read_has_a_cure(settings: Settings, refs: FakeRefs) -> None:
    refs.down = "permission denied (publickey)"
    failed = _failed(await check(settings, _links(), refs))
    assert [row[:2] for row in failed] == [("app shop", "repository"), ("app site", "repository")]
    assert "repo_key or repo_token" in failed[0][3]
    refs.down = ""
    refs.known.clear()
    failed = _failed(await check(settings, _links(), refs))
    assert failed[0][2] == "shop has no ref ``"


async def test_what_a_repository_has_elsewhere_is_named_and_is_no_failure(settings: Settings, refs: FakeRefs) -> None:
    commit = (await refs.resolve(settings.apps["shop"], "")).id
    refs.missing[commit] = MissingContent(submodules=("lib",))
    found = await check(settings, _links(), refs)
    rows = [row for row in found if (row.subject, row.what) == ("app shop", "files")]
    words = "submodule lib stays an empty folder: the bot does not fetch submodules"
    assert [(row.state, row.text) for row in rows] == [(CheckState.SKIPPED, words)]
    assert rows[0].fix


class _Fetching(FakeRefs):
    """A repository that another process is fetching."""

    async def resolve(self, app: App, ref: str) -> Release:  # noqa: ARG002  the port's signature
        raise StillFetching(f"The repository of {app.name}", "1.2 GB")


async def test_a_repository_that_the_bot_is_fetching_is_no_failure(settings: Settings, tmp_path: Path) -> None:
    refs = _Fetching(tmp_path)

    async def plan(app: App, environment: Environment) -> Plan:
        await refs.resolve(app, environment.name)
        raise AssertionError

    rows = await check(settings, _links(), refs, plans=plan)
    assert not _failed(rows)
    skipped = [row for row in rows if row.state is CheckState.SKIPPED and "fetching" in row.text]
    assert {row.what.partition(" ")[0] for row in skipped if row.subject == "app shop"} == {"repository", "plan"}
    assert all("fetching it, 1.2 GB so far" in row.text for row in skipped)


async def test_every_image_is_asked_for(settings: Settings, refs: FakeRefs) -> None:
    images = FakeImages()
    images.known["acme/shop"] = {"1.4.2": f"sha256:{'1' * 64}"}
    app = next(iter(settings.apps.values()))
    app.images.update(web=ImageOf(image="acme/shop", tag="^1"), side=ImageOf(image="acme/side"))
    rows = {row.what: row for row in await check(settings, _links(), refs, images=images) if "image" in row.what}
    assert rows["image web"].text == "acme/shop, ^1: 1.4.2 sha256:1111111111"
    assert (rows["image side"].state, rows["image side"].text) == (CheckState.FAILED, "acme/side has no tag `latest`.")
    images.down = "it is being moved"
    failed = _failed(await check(settings, _links(), refs, images=images))
    assert [says for _, _, says, _ in failed] == ["the registry cannot be reached: it is being moved"] * 2
    assert all(fix for _, _, _, fix in failed)


async def test_docker_is_checked_where_only_an_environment_has_its_log_in_containers(refs: FakeRefs) -> None:
    for logs, checked in (({"logs": {"docker": "*"}}, True), ({}, False)):
        rows = await check(bot_settings(apps={"shop": {"environments": {"staging": logs}}}), _links(), refs)
        assert any((row.subject, row.what) == ("server web1", "Docker") for row in rows) is checked


async def test_what_environments_follow_instead_has_rows_of_its_own(refs: FakeRefs) -> None:
    refs.known |= {"main": "a" * 40, "develop": "b" * 40}
    own = {"directory": "/srv/staging", "branch": "develop", "images": {"web": {"tag": "develop"}}}
    shop = {
        "strategy": "compose",
        "branch": "main",
        "images": {"web": {"image": "acme/shop", "tag": "main"}, "side": {"image": "acme/side"}},
        "environments": {"staging": own, "preview": {"directory": "/srv/preview"}, "production": {}},
    }
    images = FakeImages()
    images.known["acme/shop"] = {"main": f"sha256:{'1' * 64}", "develop": f"sha256:{'2' * 64}"}
    images.known["acme/side"] = {"latest": f"sha256:{'3' * 64}"}
    rows = await check(bot_settings(apps={"shop": shop}), _links(), refs, images=images)
    found = {row.what: row.text for row in rows if row.what.startswith(("repository", "image"))}
    assert found == {
        "repository staging": "git@example.com:acme/shop.git: develop (bbbbbbbbbb)",
        "repository preview production": "git@example.com:acme/shop.git: main (aaaaaaaaaa)",
        "image web staging": "acme/shop, develop: develop sha256:2222222222",
        "image web preview production": "acme/shop, main: main sha256:1111111111",
        "image side": "acme/side, latest: latest sha256:3333333333",
    }


async def test_a_data_folder_that_cannot_be_is_reported(settings: Settings, refs: FakeRefs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bot = settings.bot.model_copy(update={"data": tmp_path / "file" / "data"})
    (failed,) = _failed(await check(settings.model_copy(update={"bot": bot}), _links(), refs))
    assert failed[:2] == ("bot", "data folder")
    assert "install -d -m 700" in failed[3]
