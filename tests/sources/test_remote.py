"""Private repositories: deploy keys over a real sshd, tokens over HTTP with git's own server behind it."""

from __future__ import annotations

import asyncio
import base64
import http.server
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploybot.errors import HostKeyMismatch, Unreachable, UserError
from deploybot.masking import Redactor
from deploybot.settings import App
from deploybot.sources.git_remote import KNOWN_HOSTS, remote_of
from deploybot.sources.git_source import GitSource
from tests.lab import Repo, Sshd, free_port, until
from tests.lab.run import run

MakeApp = Callable[..., App]
TOKEN = "token-cs93kd02mzq81"


def processes_that_say(word: str) -> list[str]:
    """Command lines of the machine that hold a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Forge:
    """`git http-backend` behind Basic authentication; see git-http-backend(1)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.users: list[str] = []
        self.leaks: list[str] = []
        self.redirect = ""
        forge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                forge.answer(self)

            def do_POST(self) -> None:
                forge.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.leaks += processes_that_say(TOKEN)
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if self.redirect:
            request.send_response(301)
            request.send_header("Location", self.redirect + request.path)
            request.end_headers()
            return
        said = request.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(said).decode().partition(":")
        self.users.append(user)
        if password != TOKEN:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="forge"')
            request.end_headers()
            return
        url = urlsplit(request.path)
        env = os.environ | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": user,
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        request.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def make_forge(tmp_path: Path) -> Iterator[Callable[[], Forge]]:
    made: list[Forge] = []

    def make() -> Forge:
        made.append(Forge(tmp_path))
        return made[-1]

    yield make
    for forge in made:
        forge.close()


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    return make_repo("shop")


@pytest.mark.parametrize(
    ("secret", "user"),
    [(TOKEN, "x-token-auth"), (f"gitlab+deploy-1:{TOKEN}", "gitlab+deploy-1")],
    ids=["alone", "with a user"],  # a worker's title names its test, and would leak the token
)
async def test_token(
    source: GitSource, make_app: MakeApp, make_forge: Callable[[], Forge], repo: Repo, *, secret: str, user: str
) -> None:
    commit = repo.commit({"a": "1"})
    forge = make_forge()
    app = make_app(f"{forge.url}/shop.git", token=secret)
    assert (await source.resolve(app, "main")).id == commit
    assert user in forge.users
    assert not forge.leaks
    kept = [path for path in source._data.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert not kept


async def test_wrong_token(source: GitSource, make_app: MakeApp, make_forge: Callable[[], Forge], repo: Repo) -> None:
    repo.commit({"a": "1"})
    forge = make_forge()
    for app in (make_app(f"{forge.url}/shop.git", token="wrong-93kd02mzq81"), make_app(f"{forge.url}/shop.git")):
        with pytest.raises(Unreachable, match="rejected the token") as caught:
            await source.resolve(app, "main")
        assert "repo_token" in caught.value.hint
        assert "wrong-93" not in repr(caught.value.args) + caught.value.hint


async def test_a_redirect_elsewhere_does_not_get_the_token(
    source: GitSource, make_app: MakeApp, make_forge: Callable[[], Forge], repo: Repo
) -> None:
    repo.commit({"a": "1"})
    here, elsewhere = make_forge(), make_forge()
    here.redirect = elsewhere.url
    with pytest.raises(Unreachable, match="rejected the token"):
        await source.resolve(make_app(f"{here.url}/shop.git", token=TOKEN), "main")
    assert elsewhere.users
    assert not any(elsewhere.users)


async def test_token_in_the_clear_is_refused(source: GitSource, make_app: MakeApp) -> None:
    with pytest.raises(UserError, match="sent unencrypted"):
        await source.resolve(make_app("http://git.example.com/shop.git", token=TOKEN), "main")


async def test_unknown_repository_and_host(
    source: GitSource, make_app: MakeApp, make_forge: Callable[[], Forge]
) -> None:
    forge = make_forge()
    with pytest.raises(Unreachable, match="the repository was not found there"):
        await source.resolve(make_app(f"{forge.url}/nothing.git", token=TOKEN), "main")
    with pytest.raises(Unreachable, match="its host name is unknown"):
        await source.resolve(make_app("https://nothing.invalid/shop.git"), "main")
    with pytest.raises(Unreachable, match="the repository was not found there"):
        await source.resolve(make_app("/nothing/here.git"), "main")
    with pytest.raises(Unreachable, match="nothing listens there"):
        await source.resolve(make_app(f"http://127.0.0.1:{free_port()}/shop.git"), "main")


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/silent-{os.getpid()}.git"


async def test_no_answer_ends_at_the_deadline_and_leaves_nothing(
    tmp_path: Path, make_app: MakeApp, silent: str
) -> None:
    source = GitSource(tmp_path, Redactor(), ask_within=0.5)
    with pytest.raises(Unreachable, match="no answer within"):
        await source.resolve(make_app(silent), "main")
    assert not processes_that_say(silent)


async def test_cancelling_leaves_nothing(source: GitSource, make_app: MakeApp, silent: str) -> None:
    task = asyncio.create_task(source.resolve(make_app(silent), "main"))
    await asyncio.to_thread(until, lambda: len(processes_that_say(silent)) > 1, within=20, what="git at work")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not processes_that_say(silent)


@pytest.fixture
def private(sshd: Sshd) -> Iterator[Repo]:
    """A repository in the home of a server's user."""
    repo = Repo(sshd.home / "it's private.git")
    repo.commit({"a": "1"}, "Behind a key")
    give(repo.path, sshd)
    yield repo
    shutil.rmtree(repo.path)


def give(path: Path, sshd: Sshd) -> None:
    for one in (path, *path.rglob("*")):
        shutil.chown(one, sshd.box.account.uid)


def address(sshd: Sshd, repo: Repo) -> str:
    return f"ssh://{sshd.user}@{sshd.address}:{sshd.port}{str(repo.path).replace(' ', '%20')}"


async def test_deploy_key(source: GitSource, make_app: MakeApp, sshd: Sshd, private: Repo, tmp_path: Path) -> None:
    key = tmp_path / "a key's 100% file"
    shutil.copy(sshd.client_key, key)
    key.chmod(0o600)
    app = make_app(address(sshd, private), key=key, host_key=sshd.host_key)
    release = await source.resolve(app, "main")
    assert release.subject == "Behind a key"
    assert (await source.archive(app, release.id)).stat().st_size


def test_scp_like_addresses(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app("git@github.com:acme/shop.git")
    command = remote_of(app, tmp_path).env["GIT_SSH_COMMAND"]
    (known,) = tmp_path.glob("known_hosts-*")
    assert known.read_text() == f"deploybot {KNOWN_HOSTS['github.com']}\n"
    assert str(known) in command
    assert command.startswith("ssh -F none ")


async def test_wrong_host_key_sends_nothing(
    source: GitSource, make_app: MakeApp, sshd: Sshd, sshds: Callable[[int], list[Sshd]], private: Repo
) -> None:
    other = sshds(1)[0].host_key
    with pytest.raises(HostKeyMismatch, match="is not the pinned one"):
        await source.resolve(make_app(address(sshd, private), key=sshd.client_key, host_key=other), "main")


async def test_host_key_must_be_pinned(source: GitSource, make_app: MakeApp, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"host key of git\.example\.com.* is not pinned") as caught:
        await source.resolve(make_app("git@git.example.com:acme/shop.git"), "main")
    assert "ssh-keyscan git.example.com" in caught.value.hint
    with pytest.raises(UserError, match="was not found"):
        await source.resolve(make_app("git@github.com:acme/shop.git", key=tmp_path / "none"), "main")


async def test_refused_and_readable_keys(
    source: GitSource, make_app: MakeApp, sshd: Sshd, private: Repo, tmp_path: Path
) -> None:
    key, readable = tmp_path / "key", tmp_path / "readable"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    with pytest.raises(Unreachable, match="rejected the deploy key"):
        await source.resolve(make_app(address(sshd, private), key=key, host_key=sshd.host_key), "main")
    shutil.copy(sshd.client_key, readable)
    readable.chmod(0o644)
    with pytest.raises(UserError, match=r"shop's repository is not used: others can read .*; run `chmod 600"):
        await source.resolve(make_app(address(sshd, private), key=readable, host_key=sshd.host_key), "main")


async def test_server_that_hangs_or_is_down(tmp_path: Path, make_app: MakeApp, sshd: Sshd, private: Repo) -> None:
    source = GitSource(tmp_path / "data", Redactor(), ask_within=1.0)
    app = make_app(address(sshd, private), key=sshd.client_key, host_key=sshd.host_key)
    sshd.pause()
    with pytest.raises(Unreachable, match="no answer within"):
        await source.resolve(app, "main")
    sshd.resume()
    sshd.stop()
    with pytest.raises(Unreachable, match="nothing listens there"):
        await source.resolve(app, "main")
    assert not processes_that_say(private.path.name)


@pytest.mark.parametrize("url", ["ext::sh -c touch% x", "fd::17", "file+ext:///x"])
async def test_other_transports_run_nothing(
    source: GitSource, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app("/srv/x.git").model_copy(update={"repo": url})
    with pytest.raises((Unreachable, UserError)):
        await source.resolve(app, "main")
    assert "x" not in names_in(tmp_path)


async def test_a_repository_that_begins_with_a_dash_is_no_option(
    source: GitSource, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app("/srv/x.git").model_copy(update={"repo": "--upload-pack=touch dash"})
    with pytest.raises(Unreachable):
        await source.resolve(app, "main")
    assert "dash" not in names_in(tmp_path)
