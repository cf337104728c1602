"""What bot.toml's values become: URLs, SSH targets, paths, and what an environment takes from its app."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.errors import ConfigError
from deploybot.settings import Secret, Settings
from tests.config.conftest import APP, ENVIRONMENT, GOOD, SERVER, Write


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/healthz",
        "https://shop.example.com/health?x=1",
        "http://[::1]:8000/",
        "http://localhost",
        "http://web_1:80/",
        "http://10.0.0.1/",
        "http://[2001:db8::1]/x",
    ],
)
def test_ordinary_health_urls_are_taken(write: Write, url: str) -> None:
    settings = load(write(f"{GOOD}health = {{ http = '{url}' }}\n"), {})
    health = settings.apps["shop"].environments["production"].health
    assert health is not None
    assert health.http == url


@pytest.mark.parametrize(
    "repo",
    [
        "git@github.com:acme/shop.git",
        "ssh://git@example.com:2222/shop.git",
        "https://example.com/shop.git",
        "http://127.0.0.1:3000/shop.git",
        "/srv/git/shop.git",
        "file:///srv/git/shop.git",
    ],
)
def test_repositories_are_git_urls_or_paths(write: Write, repo: str) -> None:
    assert load(write(GOOD.replace("git@example.com:acme/shop.git", repo)), {}).apps["shop"].repo == repo


@pytest.mark.parametrize(
    "repo",
    [
        "https://me:secret@example.com/shop.git",
        "https://secret@example.com/shop.git",
        "ext::sh -c whoami",
        "ext::sh",
        "--upload-pack=x",
        "git@github.com:-oProxyCommand=x",
        "ssh://-oProxyCommand=x/shop",
        "ssh://me@-oProxyCommand=x/shop",
        "shop",
        "",
    ],
)
def test_other_repositories_and_passwords_in_them_are_refused(problems: Callable[..., list[str]], repo: str) -> None:
    found = problems(GOOD.replace("git@example.com:acme/shop.git", repo))
    assert len(found) == 1
    assert found[0].startswith("apps.shop.repo: should ")
    assert "secret" not in found[0]


@pytest.mark.parametrize(
    ("ssh", "parts"),
    [
        ("deploy@203.0.113.10", ("deploy", "203.0.113.10", 22)),
        ("d@web1.example.com:2222", ("d", "web1.example.com", 2222)),
        ("d@[2001:db8::1]", ("d", "2001:db8::1", 22)),
        ("d@[::1]:2200", ("d", "::1", 2200)),
    ],
)
def test_ssh_targets_are_read(write: Write, ssh: str, parts: tuple[str, str, int]) -> None:
    server = load(write(SERVER.replace("deploy@203.0.113.10", ssh)), {}).servers["web1"]
    assert (server.user, server.host, server.port) == parts


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"[bot\n", "line 1, column 5: not valid TOML: expected ']'"),
        (b"a = 1\na = 2\n", "line 2, column 6: not valid TOML: this key is defined twice"),
        (b"[http]\n[http]\n", "line 2, column 6: not valid TOML: [http] is defined twice"),
        (b"a = 1\nb = \xff\n", "line 2: is not UTF-8 text"),
        (b"a = ", "not valid TOML: invalid value; text must be in quotes"),
        (b"a = b\n", "line 1, column 5: not valid TOML: invalid value; text must be in quotes"),
        (b"", "the file is empty"),
        (b"# all of it was here\n", "the file is empty"),
    ],
)
def test_a_file_that_is_no_toml_says_where(tmp_path: Path, raw: bytes, problem: str) -> None:
    path = tmp_path / "bot.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert problem in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_open_to_all_is_refused(tmp_path: Path, write: Write) -> None:
    with pytest.raises(ConfigError, match="no such file; `deploybot init` writes one"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="is not a file"):
        load(tmp_path, {})
    path = write(GOOD)
    for outside in (True, False):
        path.chmod(0o660)
        with pytest.raises(ConfigError, match=r"its group may write to .*bot\.toml .*; run `chmod g-w"):
            load(path, {}, outside=outside)
        path.chmod(0o600)
        tmp_path.chmod(0o777)
        with pytest.raises(ConfigError, match="its group and everybody may write to the folder"):
            load(path, {}, outside=outside)
        tmp_path.chmod(0o700)
        load(path, {}, outside=outside)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "bot.toml"
    path.write_bytes(b"\xef\xbb\xbf[bot]\n")
    assert load(path, {}).bot.data == Path("/var/lib/deploybot")


def test_what_an_environment_leaves_out_is_taken_from_the_app(write: Write) -> None:
    text = f"""{SERVER}{APP}
env = {{ A = "1", B = "2" }}
secrets = {{ S = {{ env = "S" }}, T = {{ env = "T" }} }}
health = {{ tcp = "127.0.0.1:80" }}
{ENVIRONMENT}
env = {{ B = "3" }}
secrets = {{ T = {{ env = "U" }} }}
"""
    settings = load(write(text), {"S": "ssss", "T": "tttt", "U": "uuuu"})
    production = settings.apps["shop"].environments["production"]
    assert (production.app, production.name, production.directory) == ("shop", "production", "/srv/shop")
    assert production.env == {"A": "1", "B": "3"}
    assert {name: secret.reveal() for name, secret in production.secrets.items()} == {"S": "ssss", "T": "uuuu"}
    assert production.health is settings.apps["shop"].health
    assert settings.servers["web1"].name == "web1"
    assert settings.apps["shop"].name == "shop"


def test_relative_paths_start_from_the_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "key").chmod(0o600)
    text = f"[bot]\ndata = 'data'\n{SERVER}key = {{ file = 'key' }}\n{APP}{ENVIRONMENT}"
    text = text.replace("git@example.com:acme/shop.git", "./shop.git").replace("agent = true\n", "")
    settings = load(write(text), {})
    assert settings.bot.data == tmp_path / "data"
    key = settings.servers["web1"].key
    assert key is not None
    assert key.file == tmp_path / "key"
    assert settings.apps["shop"].repo == str(tmp_path / "shop.git")
    assert settings.path == tmp_path / "bot.toml"


def test_settings_cannot_be_changed(write: Write) -> None:
    settings = load(write(GOOD), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.bot = settings.bot
    assert isinstance(settings, Settings)
    assert pickle.loads(pickle.dumps(Secret(env="A"))) == Secret(env="A")  # noqa: S301  our own bytes
