"""Each mistake in bot.toml has its sentence, with the path of the key."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.config.conftest import APP, ENVIRONMENT, GOOD, SERVER

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm+aGXaJpJuPDizobQ/nP0kxVnjDf6sVXUpFW4WK2Jc"


def test_five_different_mistakes_are_all_reported_with_their_paths(problems: Callable[..., list[str]]) -> None:
    text = (
        SERVER
        + APP
        + 'kepe = 3\nkeep = "two"\nsecrets = { KEY = { env = "NOT_THERE" } }\n'
        + '[apps.shop.environments.production]\nservers = ["wbe1"]\nrollout = 1\n'
    )
    assert problems(text) == [
        'apps.shop.kepe: unknown key, did you mean "keep"?',
        'apps.shop.keep: should be a whole number, got "two"',
        "apps.shop.secrets.KEY: the variable NOT_THERE is not set; set it where the bot is started",
        'apps.shop.environments.production.servers: unknown server "wbe1", did you mean "web1"?',
        "apps.shop.environments.production.rollout: should be a table, got 1",
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
        ("[apps.shop]", "apps.shop.strategy: is missing"),
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
        (f"{APP}warn_paths = 'x'", 'apps.shop.warn_paths: should be a list such as ["x"], got "x"'),
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


def test_long_values_are_cut(problems: Callable[..., list[str]]) -> None:
    assert len(problems(f"[bot]\nlog_level = '{'x' * 10_000}'")[0]) < 200
