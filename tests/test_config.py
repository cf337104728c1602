"""bot.toml: what is wrong is told all at once, secrets never show, what is left out is filled in."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.config import load, secrets_of
from deploybot.config.config_tables import tables
from deploybot.config.validation_text import LATER
from deploybot.errors import ConfigError
from deploybot.settings import Secret, Settings

Write = Callable[[str], Path]
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm+aGXaJpJuPDizobQ/nP0kxVnjDf6sVXUpFW4WK2Jc"
SERVER = '[servers.web1]\nssh = "deploy@203.0.113.10"\nagent = true\n'
APP = '[apps.shop]\nrepo = "git@example.com:acme/shop.git"\nstrategy = "compose"\ndirectory = "/srv/shop"\n'
ENVIRONMENT = '[apps.shop.environments.production]\nservers = ["web1"]\n'
GOOD = SERVER + APP + ENVIRONMENT


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes bot.toml."""

    def put(text: str) -> Path:
        path = tmp_path / "bot.toml"
        path.write_text(text)
        return path

    return put


@pytest.fixture
def problems(write: Write) -> Callable[..., list[str]]:
    """Return a function that gives what is wrong with a file's text."""

    def find(text: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(write(text), environ)
        return [*caught.value.problems]

    return find


def test_five_different_mistakes_are_all_reported_with_their_paths(problems: Callable[..., list[str]]) -> None:
    text = (
        SERVER
        + APP
        + 'kepe = 3\nkeep = "two"\nsecrets = { KEY = { env = "NOT_THERE" } }\n'
        + '[apps.shop.environments.production]\nservers = ["wbe1"]\nfreeze = 1\n'
    )
    assert problems(text) == [
        'apps.shop.kepe: unknown key, did you mean "keep"?',
        'apps.shop.keep: should be a whole number, got "two"',
        "apps.shop.secrets.KEY: the variable NOT_THERE is not set; set it where the bot is started",
        'apps.shop.environments.production.servers: unknown server "wbe1", did you mean "web1"?',
        "apps.shop.environments.production.freeze: is not supported in this version of deploybot; remove it",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[bot]\nlog_level = "inf"', 'log_level: should be "debug", "info", "warning" or "error", got "inf", did you'),
        (
            '[bot]\ntimezone = "Asia/Shangai"',
            'timezone: should be a time zone such as "Asia/Shanghai", got "Asia/Shangai"',
        ),
        ('[bot]\ntimezone = "../UTC"', 'timezone: should be a time zone such as "UTC", got "../UTC"'),
        ("[bot]\ntimezone = 2", 'timezone: should be a time zone such as "Europe/Berlin", got 2'),
        ("[bot]\nkeep_logs = 1.5", 'keep_logs: should be a size such as "500MB" or "2GiB", got 1.5'),
        ("[bot]\ndata = 5", "data: should be a path in quotes, got 5"),
        ("[bot]\nplugins = 'none'", "plugins: folder not found"),
        ("bot = 1", "bot: should be a table, got 1"),
        ("servers = []", "servers: should be a table, got an empty list"),
        (f"hooks = 1.5\n{APP}", "hooks: should be a table, got 1.5"),
        ("[apps.shop]\nname = 'x'", "apps.shop.name: unknown key; the name belongs in the table's heading"),
        ("path = 'x'", "path: unknown key"),
        (
            "nonsense = 1979-05-27",
            "nonsense: unknown key; known keys: bot, servers, apps, http, hooks, registries, signers, audit, slack",
        ),
        ("[apps.shop]", "apps.shop.repo: is missing"),
        (
            APP.replace('"compose"', '"script"'),
            'apps.shop.script: is missing: strategy "script" needs the path of the script in the repository',
        ),
        (
            APP.replace('"compose"', '"composer"'),
            'apps.shop.strategy: should be "compose", "files" or "script", got "composer", did you mean "compose"?',
        ),
        (f"{APP}[apps.shop.hooks.githb]", 'got "githb", did you mean "github"?'),
        (f"{APP}health = 'http://x'", 'health: should be a table such as { http = "http://127.0.0.1:8000/healthz",'),
        (
            f"{APP}[apps.shop.notify]\nkinds = ['push']",
            "should be a table, such as [apps.shop.notify.NAME], got",
        ),
        (
            f"{APP}[hooks.shop.github]",
            "hooks.shop: is an app: for the webhooks of one app, write [apps.shop.hooks.SENDER]",
        ),
        (f"{APP}[apps.shop.forge]\nkind = 'githb'", 'or "forgejo", got "githb", did you mean "github"?'),
        ("[apps.'my shop']", 'apps."my shop": should be a name: up to 40 of a-z, 0-9'),
        (f"{APP}servers = ['web1']", "servers: unknown key here; it belongs in [apps.NAME.environments.NAME]"),
        (f"{APP}[apps.shop.environments]", "apps.shop.environments: should not be empty"),
        (f"{APP}keep = true", "apps.shop.keep: should be a whole number, got true"),
        (f"{APP}keep = 0", "apps.shop.keep: should be at least 1, got 0"),
        (f"{APP}keep = 101", "apps.shop.keep: should be at most 100, got 101"),
        (f"{APP}env = {{ PORT = 8000 }}", "apps.shop.env.PORT: should be text in quotes, got 8000"),
        (f"{APP}env = {{ 'A-B' = 'x' }}", "apps.shop.env.A-B: should be the name of an environment variable"),
        (f"{APP}env = {{ DEPLOYBOT_X = 'x' }}", "env.DEPLOYBOT_X: DEPLOYBOT_… is reserved for the bot: "),
        (f"{APP}env = {{ UID = 'x' }}", "env.UID: is reserved by the shell and cannot be set: choose another name"),
        (f"{APP}tasks = {{ go = ' ' }}", 'apps.shop.tasks.go: should be a command, not empty, got " "'),
        (f"{APP}warn_paths = ['ok/**', '/etc']", "warn_paths[1]: should be a pattern such as"),
        (f"{APP}warn_paths = 'x'", 'apps.shop.warn_paths: should be a list, got "x"'),
        (f"{APP}step_timeout = 0", "step_timeout: should be more than 0 seconds, got 0"),
        (f"{APP}branch = '-x'", 'apps.shop.branch: should be a branch name, such as "main", got "-x"'),
        (f"{APP}script = 'x'", 'apps.shop.script: is for strategy = "script" only; this one is "compose"'),
        (f"{APP}restart = 'make'", 'restart: is for strategy = "files" or "script" only; this one is "compose"'),
        (f"{APP}build = 'make'", 'apps.shop.build: is for strategy = "files" only; this one is "compose"'),
        (f"{APP}health = {{ within = '5s' }}", "should have exactly one of http, tcp, docker and command, has nothing"),
        (f"{APP}health = {{ tcp = 'a:1', docker = true }}", "apps.shop.health: should have exactly one of"),
        (f"{APP}health = {{ tcp = 'a' }}", 'health.tcp: should be "host:port", got "a"'),
        (f"{APP}health = {{ tcp = 'a:0' }}", "health.tcp: should have a port from 1 to 65535"),
        (f"{APP}logs = {{ file = 'log' }}", "logs.file: should be an absolute path without `..`"),
        (f"{APP}logs = {{}}", "apps.shop.logs: should have exactly one of docker, file, journald and command"),
        (
            f"{APP}logs = {{ file = '/log', timezone = 'Europe/Berlim' }}",
            'timezone: should be a time zone such as "Eur',
        ),
        (f"{APP}logs = {{ docker = '*', timezone = 'UTC' }}", "logs.timezone: is for `file` and `command` only"),
        (f"{APP}repo_token = {{ env = 'X' }}", "apps.shop.repo_token: is for a repo with https:// only"),
        (f"{APP}compose = {{ files = ['../x'] }}", "compose.files[0]: should be a relative path without `..`"),
        (f"{APP}compose = {{ env_file = '-x' }}", "compose.env_file: should be a relative path without `..`"),
        (f"{APP}compose = {{ env_file = '/' }}", "compose.env_file: should be a path below `/`"),
        (f"{SERVER}certificate = {{ file = 'x' }}", "servers.web1.certificate: needs key, which is not set"),
        (f"{SERVER}key = {{ file = 'x' }}", "servers.web1.agent: cannot be combined with key"),
        (f"{SERVER}jump = 'web2'", 'servers.web1.jump: unknown server "web2", did you mean "web1"?'),
        (f"{SERVER}jump = 'web1'", "servers.web1.jump: forms a cycle: web1 → web1"),
        (f"{SERVER}docker = 'var/run'", 'servers.web1.docker: should be "/path" (a socket on the server)'),
        (f"{SERVER}docker = 'tcp://10.0.0.1:2375'", "servers.web1.docker: needs docker_tls"),
        (f"{SERVER}docker_tls = {{ ca='a', cert='b', key='c' }}", 'docker_tls: is for docker = "tcp://host:port" only'),
        (f"{SERVER}host_key = 'SHA256:abc'", "servers.web1.host_key: should be an OpenSSH public key line"),
        (f"{SERVER}host_key = ['{HOST_KEY[:40]}']", "servers.web1.host_key[0]: should be a complete `ssh-ed25519`"),
        (
            f"{SERVER}host_key = '{HOST_KEY.replace('ed25519', 'rsa')}'",
            "host_key: should be a complete `ssh-rsa` public key",
        ),
        (f"{SERVER}key = 'x'", "servers.web1.key: should name a file: write { file ="),
        ('[servers.a]\nssh = "u@h"', "servers.a: has no way to log in: give key, password or agent = true"),
        ('[servers.a]\nssh = "h"', 'servers.a.ssh: should be "user@host" or "user@host:port", got "h"'),
        ('[servers.a]\nssh = "u@::1"', "servers.a.ssh: should have its IPv6 address in brackets"),
        ('[servers.a]\nssh = "u@h:99999"', "servers.a.ssh: should have a port from 1 to 65535"),
        ('[servers.a]\nssh = "-oProxyCommand=x@h"', 'servers.a.ssh: should be "user@host"'),
    ],
)
def test_each_mistake_has_its_sentence(problems: Callable[..., list[str]], text: str, problem: str) -> None:
    found = problems(text)
    assert [one for one in found if problem in one], found


def test_keys_of_the_design_that_come_later_are_refused(problems: Callable[..., list[str]]) -> None:
    for part, keys in LATER.items():
        heading = next(".".join(path) for path, table in tables() if table is part)
        for key in keys:
            assert not {key} & part.known_keys().keys()
            text = f"[{heading.replace('NAME', 'x')}]\n{key} = 1\n" if heading else f"{key} = 1\n"
            assert any(f"{key}: is not supported in this version" in problem for problem in problems(text))


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ('servers = ["web1"]\ndefault = true', "staging.default: production is already the default; keep one of them"),
        ('servers = ["web1", "web1"]', 'staging.servers: "web1" is listed more than once'),
        ('servers = ["web1"]\ndirectory = "/srv//first/"', "staging: uses the directory /srv/first on web1"),
        ('servers = ["twin"]\ndirectory = "/srv/first"', "staging: uses the directory /srv/first on twin"),
        ('servers = ["web1", "twin"]', "staging.servers: web1 and twin are the same machine, 203.0.113.10:22"),
        ('servers = ["web1"]\nsecrets = { A = { env = "A" } }\n', "secrets.A: is also in apps.shop.env, in plain text"),
        ('servers = ["web1"]\nenv = { B = "b" }\n', "env.B: is also in apps.shop.secrets"),
    ],
)
def test_environments_keep_out_of_each_others_way(
    problems: Callable[..., list[str]], second: str, problem: str
) -> None:
    twin = '[servers.twin]\nssh = "root@203.0.113.10:22"\nagent = true\n'
    names = 'env = { A = "a" }\nsecrets = { B = { env = "A" } }\n'
    first = ENVIRONMENT + "default = true\ndirectory = '/srv/first'\n"
    found = problems(f"{SERVER}{twin}{APP}{names}{first}[apps.shop.environments.staging]\n{second}\n", A="abcd")
    assert len(found) == 1, found
    assert problem in found[0]


def test_two_environments_never_share_a_compose_project(problems: Callable[..., list[str]]) -> None:
    text = f"{GOOD}directory = '/srv/a'\n[apps.shop.environments.staging]\nservers = ['web1']\n"
    text += "[apps.shop.compose]\nproject = 'shop'\n"
    assert (
        "staging: uses the Compose project shop on web1, and so does apps.shop.environments.production"
        in problems(text)[0]
    )


def test_circles_of_jump_hosts_are_reported_once(problems: Callable[..., list[str]]) -> None:
    servers = "".join(
        f'[servers.{name}]\nssh = "u@{name}"\nagent = true\njump = "{jump}"\n'
        for name, jump in ("ab", "bc", "ca", "da")
    )
    assert problems(servers) == ["servers.a.jump: forms a cycle: a → b → c → a"]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.1.1:80/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://169.254.169.254./",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1::a9fe:a9fe]/",
        "http://[::169.254.169.254]/",
        "http://[::ffff:0:a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://metadata.google.internal/",
        "http://METADATA.google.internal./",
        "http://169。254。169。254/",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1@169.254.169.254/",
        "http://127.0.0.1\\@169.254.169.254/",
        "http://169%2e254%2e169%2e254/",
        "http:///healthz",
        "http://",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://a b/",
        "http://a\nb/",
        "http://[::1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "127.0.0.1:80",
        "//127.0.0.1/",
        "http://127.0.0.1/#x",
        "",
    ],
)
def test_health_urls_that_lead_elsewhere_are_refused(problems: Callable[..., list[str]], url: str) -> None:
    found = problems(f"{GOOD}health = {{ http = {json.dumps(url)} }}\n")
    assert len(found) == 1
    assert found[0].startswith("apps.shop.environments.production.health.http: should ")
    assert "password" not in found[0] or "user and password" in found[0]


PRODUCTION = "apps.shop.environments.production"


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("approvals = 21", ["approvals: should be at most 20, got 21"]),
        ("approvals = -1", ["approvals: should be at least 0, got -1"]),
        ('approvals = "two"', ['approvals: should be a whole number, got "two"']),
        (
            'approvers = "admin"\napproval_code = "totp"\napproval_within = "1h"\napprovals_exclude = "authors"',
            [
                f"{key}: has no effect without `approvals`: set it, too"
                for key in ("approvers", "approval_code", "approval_within", "approvals_exclude")
            ],
        ),
        (
            "approvals = 1\ndefault = true",
            ["default: is not allowed with `approvals`: such an environment must always be named; remove it"],
        ),
        (
            'approvals = 2\napprovers = ["@ana", "@ana"]',
            ["approvers: names 1 person, but 2 must approve"],
        ),
        (
            'approvals = 3\napprovers = ["@ana", "@ben"]',
            ["approvers: names 2 persons, but 3 must approve"],
        ),
        (
            'approvals = 1\napprovers = "deployer"',
            ['approvers: should be "approver", "admin", or names such as ["@ana", "@ben"], got "deployer"'],
        ),
        (
            'approvals = 1\napprovers = ["ana"]',
            ['approvers: should be "approver", "admin", or names such as ["@ana", "@ben"], got ["ana"]'],
        ),
        (
            "approvals = 1\napprovers = []",
            ['approvers: should be "approver", "admin", or names such as ["@ana", "@ben"], got an empty list'],
        ),
        ('approvals = 1\napproval_code = "sms"', ['approval_code: should be "totp", got "sms"']),
        ('after = "stagign"', ['after: unknown environment of shop: "stagign", did you mean "staging"?']),
        ('after = "production"', ["after: forms a cycle: production → production"]),
        ("aprovals = 1", ['aprovals: unknown key, did you mean "approvals"?']),
    ],
)
def test_rules_of_an_environment(problems: Callable[..., list[str]], keys: str, found: list[str]) -> None:
    staging = '[apps.shop.environments.staging]\nservers = ["web1"]\ndirectory = "/srv/staging"\n'
    text = f'{SERVER}{APP}{staging}[{PRODUCTION}]\nservers = ["web1"]\n{keys}\n'
    assert problems(text) == [f"{PRODUCTION}.{one}" for one in found]


def test_a_circle_is_reported_once(problems: Callable[..., list[str]]) -> None:
    places = "".join(
        f'[apps.shop.environments.{name}]\nservers = ["web1"]\ndirectory = "/srv/{name}"\nafter = "{after}"\n'
        for name, after in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    )
    assert problems(f"{SERVER}{APP}{places}") == ["apps.shop.environments.a.after: forms a cycle: a → b → c → a"]


def test_good_rules_of_an_environment(write: Write) -> None:
    keys = 'approvals = 2\napprovers = ["@ana", "@ben"]\napproval_within = "30m"\napproval_code = "totp"\n'
    settings = load(write(f'{SERVER}{APP}[{PRODUCTION}]\nservers = ["web1"]\n{keys}'), {})
    production = settings.apps["shop"].environments["production"]
    assert (production.approvals, production.approvers) == (2, ("@ana", "@ben"))
    assert (production.approval_within, production.approval_code) == (1800.0, "totp")


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
        (b"a = ", "not valid TOML: invalid value"),
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


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (b"hunter22\n", 0o644, "mode 0644); run `chmod 600 {file}`"),
        (b"hunter22\n", 0o640, "others can read {file} (owner"),
        (b"hunter22\n", 0o620, "its group may write to {file} (owner"),
        (b"\n", 0o600, "the file {file} is empty"),
        (b"abc\n", 0o600, "has fewer than 4 characters: too short to be masked in logs"),
        (b"\xff\xfe12345", 0o600, "{file} is not UTF-8 text"),
        (b"ab\0cd", 0o600, "contains a NUL byte"),
        (b"x" * 1_000_001, 0o600, "{file} is larger than 1 MB"),
        (None, 0o600, "file not found: {file}"),
    ],
)
def test_a_secret_file_must_be_private_and_whole(
    problems: Callable[..., list[str]], tmp_path: Path, content: bytes | None, mode: int, problem: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    assert problems(f"{APP}secrets = {{ S = {{ file = 'secret' }} }}\n{ENVIRONMENT}{SERVER}") == [
        f"apps.shop.secrets.S: {problem.format(file=file)}"
    ] or problem.format(file=file) in str(problems(f"{APP}secrets.S.file = 'secret'\n{ENVIRONMENT}{SERVER}"))


def test_a_folder_is_no_secret(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    assert f"{tmp_path} is not a file" in problems(f"{SERVER}passphrase = {{ file = '.' }}")[1]


@pytest.mark.parametrize(("value", "problem"), [("", "is empty"), ("abc", "fewer than 4 characters")])
def test_a_secret_variable_must_hold_something(problems: Callable[..., list[str]], value: str, problem: str) -> None:
    found = problems(f"{APP}secrets = {{ S = {{ env = 'S' }} }}\n{ENVIRONMENT}{SERVER}", S=value)
    assert found == [f"apps.shop.secrets.S: the variable S {found[0].partition('variable S ')[2]}"]
    assert problem in found[0]


def test_private_keys_of_servers_repositories_and_engines_are_looked_at(
    problems: Callable[..., list[str]], tmp_path: Path
) -> None:
    for name in ("open", "ca", "cert"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    text = (
        SERVER.replace("agent = true\n", "")
        + "key = { file = 'open' }\ncertificate = { file = 'none' }\ndocker = 'tcp://127.0.0.1:2376'\n"
    )
    found = problems(text + "docker_tls = { ca = 'ca', cert = 'cert', key = 'open' }\n")
    assert [problem.partition(":")[0] for problem in found] == [
        "servers.web1.key",
        "servers.web1.certificate",
        "servers.web1.docker_tls.key",
    ]


CANARY = "c4n4ry-Value-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"{SERVER}password = '{CANARY}'",
        f"{SERVER}password = ['{CANARY}']",
        f"{APP}secrets = {{ S = '{CANARY}' }}\n{ENVIRONMENT}{SERVER}",
        f"{APP}repo_token = '{CANARY}'\n{ENVIRONMENT}{SERVER}",
        f"{SERVER}key = '{CANARY}'",
        f"{SERVER}host_key = '{CANARY}'",
    ],
)
def test_a_secret_written_into_the_file_is_refused_and_not_repeated(
    problems: Callable[..., list[str]], text: str
) -> None:
    found = problems(text)
    assert len(found) == 1
    assert CANARY not in found[0]
    assert "which bot.toml must not contain" in found[0] or "file = " in found[0] or "public key" in found[0]


@pytest.mark.parametrize(
    "value",
    ["ghp_" + "a1B2" * 9, "xoxb-1234567890-abcdef", "AKIA" + "A1B2C3D4" * 2, "postgres://app:pa55word@db/x"],
)
def test_what_looks_like_a_secret_is_refused_anywhere(problems: Callable[..., list[str]], value: str) -> None:
    found = problems(f"{APP}env = {{ TOKEN = '{value}' }}\ntasks = {{ x = 'go {value}' }}\n{ENVIRONMENT}{SERVER}")
    assert [problem.partition(": ")[0] for problem in found] == ["apps.shop.env.TOKEN", "apps.shop.tasks.x"]
    assert all("looks like a secret" in problem and value not in problem for problem in found)


def test_a_url_with_variables_for_user_and_password_is_no_secret(write: Write) -> None:
    load(write(f'{APP}tasks = {{ x = "psql postgres://$USER:${{PASS}}@db/x" }}\n{ENVIRONMENT}{SERVER}'), {})


def test_secrets_show_nowhere_but_where_they_are_used(write: Write) -> None:
    settings = load(write(f"{APP}secrets = {{ S = {{ env = 'S' }} }}\n{ENVIRONMENT}{SERVER}"), {"S": CANARY})
    secret = settings.apps["shop"].secrets["S"]
    assert secret.reveal() == CANARY
    assert secrets_of(settings) == (CANARY,)
    shown = [repr(settings), str(settings), f"{secret} {secret!r} {secret:}", settings.model_dump_json()]
    shown += [str(settings.model_dump()), str(settings.model_json_schema()), str(vars(secret)), str([*secret])]
    assert not [text for text in shown if CANARY in text]
    assert str(secret) == "Secret(env S)"


def test_secrets_do_not_show_in_problems_either(problems: Callable[..., list[str]]) -> None:
    found = problems(f"{APP}keep = '{CANARY}'\nsecrets = {{ S = {{ env = 'S' }} }}\n{ENVIRONMENT}{SERVER}", S=CANARY)
    assert found == ['apps.shop.keep: should be a whole number, got "•••"']


def test_settings_cannot_be_changed(write: Write) -> None:
    settings = load(write(GOOD), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.bot = settings.bot
    assert isinstance(settings, Settings)
    assert pickle.loads(pickle.dumps(Secret(env="A"))) == Secret(env="A")  # noqa: S301  our own bytes


def test_long_values_are_cut(problems: Callable[..., list[str]]) -> None:
    assert len(problems(f"[bot]\nlog_level = '{'x' * 10_000}'")[0]) < 200
