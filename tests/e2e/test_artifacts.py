"""Artifacts, by the whole bot over a real sshd: from a URL with a checksum, and uploaded."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.cli import main
from deploybot.domain import State
from deploybot.webhooks.delivery_signatures import Standard
from tests.e2e.artifact_builds import BuildServer, build_server, sha256, tar_of
from tests.e2e.conftest import RunningBot, ended, open_running_bot, server_toml
from tests.e2e.test_approvals import process, say, type_in
from tests.lab import Sshd, free_port

APP = """
[apps.site]
strategy = "files"
directory = "{home}/site"
need_disk = "1MB"
restart = "cat index.html >>../../said"
artifact = {artifact}
[apps.site.environments.staging]
servers = ["web1"]
directory = "{home}/staging"
[apps.site.environments.live]
servers = ["web1"]
[apps.site.environments.shown]
servers = ["web1"]
directory = "{home}/shown"
after = "staging"
[apps.site.environments.guarded]
servers = ["web1"]
directory = "{home}/guarded"
approvals = 1
"""
PAGE = Path(__file__).parents[2] / "docs/artifacts.md"
SECRET = "0123456789abcdefABCDEFghijkl"


def site(text: str) -> bytes:
    return tar_of({"index.html": f"{text}\n".encode(), "assets/app.js": b"// app\n"})


@pytest.fixture
async def builds() -> AsyncIterator[BuildServer]:
    async with build_server() as made:
        yield made


def bot_toml(folder: Path, server: Sshd, artifact: str, more: str = "") -> Path:
    path = folder / "bot.toml"
    app = APP.format(home=server.home, artifact=artifact)
    path.write_text(f'[bot]\ndata = "{folder / "data"}"\n{more}\n{server_toml(server)}\n{app}')
    return path


def by_url(builds: BuildServer) -> str:
    url = f"{builds.url}/site-{{ref}}.tar.gz"
    return f'{{ url = "{url}", sha256 = "{url}.sha256" }}'


@pytest.fixture
async def running(make_sshd: Callable[..., Sshd], builds: BuildServer, tmp_path: Path) -> AsyncIterator[RunningBot]:
    server = make_sshd()
    async with open_running_bot(bot_toml(tmp_path, server, by_url(builds))) as made:
        yield made


def home(running: RunningBot) -> Path:
    return Path(running.settings.apps["site"].directory)


async def test_a_built_file_is_deployed_promoted_and_taken_back(running: RunningBot, builds: BuildServer) -> None:
    one, two = builds.publish("site-1.4.1.tar.gz", site("one")), builds.publish("site-1.4.2.tar.gz", site("two"))
    plan = await running.read("deploy site@1.4.1 to live --dry-run")
    assert "site-1.4.1.tar.gz" in plan
    assert builds.count("/site-1.4.1.tar.gz") == 0
    first = await running.deploy("deploy site@1.4.1 to live")
    ended(first, State.SUCCEEDED)
    assert (first.plan.release.id, first.plan.release.label) == (f"artifact-{one}", "1.4.1")
    assert (home(running) / "current/index.html").read_text() == "one\n"
    assert (home(running) / "current").readlink() == Path(f"releases/artifact-{one}")
    ended(await running.deploy("deploy site@1.4.2 to staging"), State.SUCCEEDED)
    promoted = await running.deploy("promote site to shown")
    ended(promoted, State.SUCCEEDED)
    assert (promoted.plan.release.id, promoted.plan.release.label) == (f"artifact-{two}", "1.4.2")
    ended(await running.deploy("deploy site@1.4.2 to live"), State.SUCCEEDED)
    assert (home(running) / "current/assets/app.js").read_text() == "// app\n"
    assert (home(running) / "said").read_text() == "one\ntwo\n"
    assert builds.count("/site-1.4.2.tar.gz") == 1, "downloaded once for all servers and environments"
    # What is served under the name is another file by now: the way back is to the one that ran.
    builds.publish("site-1.4.1.tar.gz", site("changed"))
    ended(await running.deploy("rollback site from live to 1.4.1"), State.SUCCEEDED)
    assert (home(running) / "current/index.html").read_text() == "one\n"
    assert await running.read("status site live")
    history = await running.read("history site")
    assert "1.4.1" in history
    ended(await running.deploy("deploy site@1.4.2 to live"), State.SUCCEEDED)
    ended(await running.deploy("rollback site from live to #1"), State.SUCCEEDED)
    assert (home(running) / "current").readlink() == Path(f"releases/artifact-{one}")
    ended(await running.deploy("deploy site@:current to live"), State.SUCCEEDED)
    difference = await running.read("diff site@1.4.2 live")
    assert "1.4.2" in difference


async def test_other_bytes_than_the_checksum_says_change_nothing(running: RunningBot, builds: BuildServer) -> None:
    builds.publish("site-1.4.1.tar.gz", site("one"))
    ended(await running.deploy("deploy site@1.4.1 to live"), State.SUCCEEDED)
    real = builds.publish("site-1.4.2.tar.gz", site("forged"), checksum="a" * 64)
    failed = await running.deploy("deploy site@1.4.2 to live")
    outcome = ended(failed, State.FAILED)
    assert real in outcome + await running.log_of(failed.number)
    assert "a" * 64 in outcome + await running.log_of(failed.number)
    assert (home(running) / "current/index.html").read_text() == "one\n"
    assert [path.name for path in (home(running) / "releases").iterdir()] == [f"artifact-{sha256(site('one'))}"]
    text = await running.read("deploy site@9.9 to live")
    assert "There is no" in text
    assert "site-9.9.tar.gz.sha256" in text
    assert "Which version of site?" in await running.read("deploy site to live")
    assert "is not a ref" in await running.read("deploy site@1/../2 to live")


async def test_an_approval_is_bound_to_the_bytes(running: RunningBot, builds: BuildServer) -> None:
    one = builds.publish("site-1.tar.gz", site("one"))
    assert "ben" in await running.read("allow ben approver")
    asked = await running.read("deploy site@1 to guarded because it is time")
    assert f"artifact-{one[:10]}" in asked
    assert f"site-1.tar.gz, {len(site('one'))} B" in asked
    two = builds.publish("site-1.tar.gz", site("two"))
    void = await running.read("approve #1", "ben")
    assert "#1 is void" in void
    assert f"`1` was artifact-{one[:10]}, now artifact-{two[:10]}" in " ".join(void.split())
    assert "waiting" in await running.read("deploy site@1 to guarded because it is time")
    await running.say("approve #2", "ben")
    ended(await running.end_of(2), State.SUCCEEDED)
    assert (home(running).parent / "guarded/current/index.html").read_text() == "two\n"


async def test_a_bad_archive_never_reaches_a_server(running: RunningBot, builds: BuildServer) -> None:
    builds.publish("site-1.tar.gz", tar_of({"../../evil": b"x"}))
    failed = await running.deploy("deploy site@1 to live")
    ended(failed, State.FAILED)
    assert "../../evil leads out of the release" in failed.outcome + await running.log_of(failed.number)
    assert not (home(running) / "incoming").exists() or not [*(home(running) / "incoming").iterdir()]


async def test_a_bot_that_is_killed_in_the_middle_of_a_download_deploys_after_all(
    make_sshd: Callable[..., Sshd], builds: BuildServer, tmp_path: Path
) -> None:
    server = make_sshd()
    path = bot_toml(tmp_path, server, by_url(builds))
    digest = builds.publish("site-1.tar.gz", tar_of({"index.html": os.urandom(1_000_000)}))
    builds.held = "/site-1.tar.gz"
    assert (await type_in(path, "allow", "ana", "deployer", "--identity", f"console:{os.getuid()}/ana"))[0] == 0
    async with process(path):
        code, said = await say(path, "ana", "deploy site@1 to live")
        assert code == 0, said
        async with asyncio.timeout(30):
            await builds.begun.wait()
    assert not (server.home / "site/releases").exists()
    builds.held = ""
    builds.go.set()
    async with process(path):
        current = server.home / "site/current"
        async with asyncio.timeout(60):
            while not current.is_symlink():  # noqa: ASYNC110 - a link, without an event
                await asyncio.sleep(0.1)
    assert current.readlink() == Path(f"releases/artifact-{digest}")
    assert sha256((current / "index.html").read_bytes())
    assert [*(tmp_path / "data/artifacts/site/incoming").iterdir()] == []


async def test_a_killed_bot_begins_the_download_anew(
    make_sshd: Callable[..., Sshd], builds: BuildServer, tmp_path: Path
) -> None:
    path = bot_toml(tmp_path, make_sshd(), by_url(builds))
    digest = builds.publish("site-1.tar.gz", site("one"))
    async with open_running_bot(path) as running:
        # A bot that died while it downloaded and packed left these.
        left = tmp_path / "data/artifacts/site/incoming"
        left.mkdir(parents=True)
        (left / f"{digest}.part").write_bytes(b"half")
        (left / f"{digest}.packing").write_bytes(b"half")
        ended(await running.deploy("deploy site@1 to live"), State.SUCCEEDED)
        assert [one.name for one in left.iterdir()] == []
        assert (home(running) / "current/index.html").read_text() == "one\n"


def signed(app: str, name: str, content: bytes, *, secret: str = SECRET, **more: object) -> dict[str, str]:
    """The headers of an upload."""
    described = {"app": app, "name": name, "size": len(content), "sha256": sha256(content), "method": "POST", **more}
    text = json.dumps(described)
    proof = Standard().sign(text.encode(), secret, delivery=os.urandom(8).hex(), at=time.time())
    return {"Artifact": text, **proof.headers}


def send(method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, dict[str, str], str]:
    made = urllib.request.Request(url, method=method, data=body, headers=headers)  # noqa: S310  our own
    try:
        with urllib.request.urlopen(made, timeout=30) as answer:  # noqa: S310  our own
            return answer.status, dict(answer.headers.items()), answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.code, dict(problem.headers.items()), problem.read().decode()


def takes_uploads(tmp_path: Path, server: Sshd, port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """bot.toml of a bot that takes signed uploads at a port of this machine."""
    monkeypatch.setenv("SITE_UPLOADS", SECRET)
    more = f'[http]\nlisten = "127.0.0.1:{port}"\nurl = "https://bot.example.com"'
    return bot_toml(tmp_path, server, '{ upload = true, secret = { env = "SITE_UPLOADS" } }', more)


async def test_an_upload_is_signed_resumed_and_deployed(
    make_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    path = takes_uploads(tmp_path, make_sshd(), port, monkeypatch)
    url, content = f"http://127.0.0.1:{port}/artifacts/site", site("one")
    ask = {"ref": "1.4.2"}
    async with open_running_bot(path) as running:
        forged = signed("site", "site.tar.gz", content, secret="another", **ask)
        assert (await asyncio.to_thread(send, "POST", url, forged, content))[0] == 403
        resumed = {**ask, "method": "PATCH"}
        headers = {**signed("site", "site.tar.gz", content, **resumed), "Upload-Offset": "0"}
        status, answer, _ = await asyncio.to_thread(send, "PATCH", url, headers, content[:100])
        assert (status, answer["Upload-Offset"]) == (204, "100")
        asked = signed("site", "site.tar.gz", content, **ask, method="HEAD")
        status, answer, _ = await asyncio.to_thread(send, "HEAD", url, asked)
        assert (status, answer["Upload-Offset"]) == (200, "100")
        headers = {**signed("site", "site.tar.gz", content, **resumed, offset=70), "Upload-Offset": "70"}
        status, answer, _ = await asyncio.to_thread(send, "PATCH", url, headers, content[70:])
        assert (status, answer["Upload-Offset"]) == (409, "100")
        assert "There is no artifact" in await running.read("deploy site@1.4.2 to live")
    # The bot was restarted in the middle.
    async with open_running_bot(path) as running:
        rest = {**signed("site", "site.tar.gz", content, **resumed, offset=100), "Upload-Offset": "100"}
        status, _, text = await asyncio.to_thread(send, "PATCH", url, rest, content[100:])
        assert (status, json.loads(text)["deploy"]) == (200, "deploy site@1.4.2")
        ended(await running.deploy("deploy site@1.4.2 to live"), State.SUCCEEDED)
        assert (home(running) / "current/index.html").read_text() == "one\n"
        # The same again is harmless, other bytes under the name are refused.
        again = signed("site", "site.tar.gz", content, **ask)
        assert (await asyncio.to_thread(send, "POST", url, again, content))[0] == 200
        assert (await asyncio.to_thread(send, "POST", url, again, content))[0] == 403
        other = site("other")
        status, _, text = await asyncio.to_thread(send, "POST", url, signed("site", "s.tar.gz", other, **ask), other)
        assert (status, "is already the artifact" in text) == (422, True)
        # Bytes that are not those of the header.
        status, _, text = await asyncio.to_thread(
            send, "POST", url, signed("site", "site.tar.gz", other, ref="2"), other[:-1] + b"!"
        )
        assert (status, sha256(other) in text) == (422, True)
        evil = tar_of({"/etc/passwd": b"x"})
        status, _, text = await asyncio.to_thread(send, "POST", url, signed("site", "e.tar.gz", evil, ref="3"), evil)
        assert (status, "/etc/passwd has an absolute name" in text) == (422, True)


@pytest.mark.needs("curl")
@pytest.mark.needs("openssl")
async def test_the_lines_of_the_page_upload_a_file(
    make_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    path = takes_uploads(tmp_path, make_sshd(), port, monkeypatch)
    content = tar_of({"index.html": b"one\n", "large": os.urandom(3_000_000)})
    (tmp_path / "site.tar.gz").write_bytes(content)
    (lines,) = (one for one in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL) if "openssl dgst" in one)
    async with open_running_bot(path) as running:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-euc", lines),
            cwd=tmp_path,
            env={**os.environ, "SECRET": SECRET, "BOT": f"http://127.0.0.1:{port}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said
        assert json.loads(said)["release"] == f"artifact-{sha256(content)}"
        ended(await running.deploy("deploy site@1.4.2 to live"), State.SUCCEEDED)


async def test_a_file_that_was_pushed_here_is_deployed(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    path = bot_toml(tmp_path, make_sshd(), "{ upload = true }")
    program = tmp_path / "server"
    program.write_bytes(b"#!/bin/sh\necho hello\n")
    text = path.read_text().replace('restart = "cat index.html >>../../said"', 'restart = "./server >../../said"')
    path.write_text(text)
    async with open_running_bot(path) as running:
        code = await asyncio.to_thread(_command, "-c", str(path), "push", str(program), "--app", "site", "--ref", "1.0")
        assert code == 0
        ended(await running.deploy("deploy site to live"), State.SUCCEEDED)
        assert (home(running) / "said").read_text() == "hello\n"
        assert (home(running) / "current/server").read_bytes() == program.read_bytes()
        ended(await running.deploy("deploy site to staging"), State.SUCCEEDED)
        # It can go nowhere else without the bot's file, and the plan says so.
        (tmp_path / f"data/artifacts/site/{sha256(program.read_bytes())}.tar.gz").unlink()
        text = await running.read("promote site to shown --dry-run")
        assert "is not on the bot any more, and not on web1" in text
        assert "is not on the bot any more" not in await running.read("deploy site@:current to live --dry-run")


def _command(*words: str) -> int:
    try:
        main(list(words), standalone_mode=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
