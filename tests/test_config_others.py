"""bot.toml's tables about others: forges, outgoing addresses, traces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.errors import ConfigError
from deploybot.settings import App, ForgeSettings, Secret
from deploybot.settings.forge_settings import api_of

SERVER = '[servers.web1]\nssh = "deploy@203.0.113.10"\nagent = true\n'
APP = '[apps.shop]\nrepo = "{repo}"\nstrategy = "compose"\ndirectory = "/srv/shop"\n'
ENVIRONMENT = '[apps.shop.environments.production]\nservers = ["web1"]\n'
FORGE = '[apps.shop.forge]\nkind = "github"\ntoken = { env = "T" }\n'
OUTGOING = '[outgoing.board]\nurl = "https://board.example.com/hook"\nsecret = { env = "T" }\n'


@pytest.fixture
def problems(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return a function that gives what is wrong with a file's text; nothing where all is well."""

    def find(text: str) -> list[str]:
        path = tmp_path / "bot.toml"
        path.write_text(text)
        try:
            load(path, {"T": "a-secret-of-enough-letters"})
        except ConfigError as error:
            return [*error.problems]
        return []

    return find


def bot(repo: str = "git@github.com:acme/shop.git") -> str:
    return SERVER + APP.format(repo=repo) + ENVIRONMENT


def test_what_is_complete_is_well(problems: Callable[[str], list[str]]) -> None:
    assert problems(bot() + FORGE + OUTGOING + 'apps = ["shop"]\n') == []


@pytest.mark.parametrize("repo", ["/srv/git/shop.git", "git@github.com:shop.git"])
def test_a_forge_that_cannot_be_known_is_reported(problems: Callable[[str], list[str]], repo: str) -> None:
    (found,) = problems(bot(repo) + FORGE)
    assert found.startswith("apps.shop.forge: needs more than `repo`")
    assert problems(bot(repo) + FORGE + 'api_url = "https://git.example.com/api/v3"\nrepository = "acme/shop"\n') == []


def test_an_app_that_is_not_there_is_reported(problems: Callable[[str], list[str]]) -> None:
    assert problems(bot() + OUTGOING + 'apps = "shpo"\n') == [
        'outgoing.board.apps: unknown app "shpo", did you mean "shop"?'
    ]


AUDIT = """
[audit]
file = "/var/log/deploybot/audit.jsonl"
syslog = "tcp://logs.example.com:514"
call = { url = "https://siem.example.com/hook", secret = { env = "T" } }
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (AUDIT, ""),
        ("[audit]\n", "audit: has no destination: give file, syslog or call"),
        ('[audit]\nsyslog = "remote"\n', 'audit.syslog: should be "local", "unix:///path", "udp://host:514"'),
        ('[audit]\nfile = "data/../data/audit.jsonl"\n[bot]\ndata = "data"\n', "audit.file: is in the data folder"),
        (AUDIT.replace('{ env = "T" }', '"x"'), "audit.call.secret: is a secret"),
        (AUDIT.replace("siem.example.com", "169.254.169.254"), "audit.call.url: should not be a link-local"),
        (AUDIT.replace("logs.example.com", "169.254.169.254"), "audit.syslog: should not be a link-local"),
    ],
)
def test_where_the_audit_goes(problems: Callable[[str], list[str]], text: str, problem: str) -> None:
    found = problems(bot() + text)
    assert len(found) == bool(problem)
    assert "".join(found).startswith(problem)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal", "2852039166"])
def test_addresses_that_are_never_called_are_refused_in_each_place(
    problems: Callable[[str], list[str]], host: str
) -> None:
    url = f"http://{host}/latest"
    text = bot() + FORGE + f'api_url = "{url}"\n' + OUTGOING.replace("https://board.example.com/hook", url)
    found = problems(text + f'[otel]\nendpoint = "{url}"\n')
    assert [one.partition(":")[0] for one in found] == [
        "apps.shop.forge.api_url",
        "outgoing.board.url",
        "otel.endpoint",
    ]


@pytest.mark.parametrize(
    ("kind", "repo", "url", "repository"),
    [
        ("github", "git@github.com:acme/shop.git", "https://api.github.com", "acme/shop"),
        ("github", "https://github.com/acme/shop", "https://api.github.com", "acme/shop"),
        ("github", "ssh://git@ghe.example.com:22/acme/shop.git", "https://ghe.example.com/api/v3", "acme/shop"),
        ("gitlab", "git@gitlab.com:acme/web/shop.git", "https://gitlab.com/api/v4", "acme/web/shop"),
        ("gitlab", "https://git.example.com:8443/acme/shop.git", "https://git.example.com:8443/api/v4", "acme/shop"),
        ("gitea", "http://git.lan:3000/acme/shop.git", "http://git.lan:3000/api/v1", "acme/shop"),
        ("forgejo", "ssh://git@codeberg.org/acme/shop.git", "https://codeberg.org/api/v1", "acme/shop"),
    ],
)
def test_where_a_forge_is_and_what_it_calls_the_repository(kind: str, repo: str, url: str, repository: str) -> None:
    forge = ForgeSettings.model_validate({"kind": kind, "token": Secret(env="T")})
    app = App.model_validate(
        {
            "repo": repo,
            "strategy": "files",
            "directory": "/srv/shop",
            "environments": {"production": {"servers": ["web1"]}},
        }
    )
    assert api_of(app, forge) == (url, repository)
