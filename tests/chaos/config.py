"""The bot.toml of a chaos world."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.app import Site
from tests.lab import Proxy, Sshd

TASK = "talk"
_ROLLOUT = """rollout = { canary = "web1", batch = 1, pause = "1s" }
watch = "1m"
veto = "1s"
before_switch = ["migrate"]
after_switch = [{ task = "warm", on = "each" }]"""
_GATE_SECONDS = 6
_BUILD_LINES = 4000
_APP = """
[apps.{app}]
repo = {repo}
strategy = {strategy}
directory = "/unused"
keep = 2
need_disk = "1MB"
step_timeout = "60s"
env = {{ BUILD_LINES = "{lines}" }}
restart = "./restart.sh"
tasks = {{ {task} = "./talk.sh", migrate = "./talk.sh migrate", warm = "./talk.sh warm" }}
{strategy_keys}
"""
_STRATEGY_KEYS = {
    "files": 'build = "./build.sh"\noutput = "site"',
    "script": 'script = "deploy.sh"',
}
_HEALTH = {
    "files": 'health = {{ http = "http://127.0.0.1:{port}/healthz", within = "{within}s" }}',
    "script": (
        'health = {{ command = "busybox wget -q -O /dev/null http://127.0.0.1:$PORT/healthz", within = "{within}s" }}'
    ),
}


@dataclass(frozen=True, slots=True)
class Way:
    """A server, and the network that leads the bot to it."""

    sshd: Sshd
    proxy: Proxy


def bot_toml(
    data: Path, repo: str, ways: Mapping[str, Way], sites: Iterable[Site], *, lines_built: int = _BUILD_LINES
) -> str:
    """The text of bot.toml; `lines_built` is how many lines a build prints."""
    lines = ["[bot]", f"data = {_quoted(data)}"]
    for name, way in ways.items():
        lines += [
            f"[servers.{name}]",
            f"ssh = {_quoted(f'{way.sshd.user}@{way.proxy.address}:{way.proxy.port}')}",
            f"key = {{ file = {_quoted(way.sshd.client_key)} }}",
            f"host_key = {_quoted(way.sshd.host_key)}",
        ]
    apps = {site.app: site.strategy for site in sites}
    lines += [_app(app, strategy, repo, lines_built) for app, strategy in apps.items()]
    lines += map(_environment, sites)
    return "\n".join(lines)


def _app(app: str, strategy: str, repo: str, lines_built: int) -> str:
    return _APP.format(
        app=app,
        repo=_quoted(repo),
        strategy=_quoted(strategy),
        lines=lines_built,
        task=TASK,
        strategy_keys=_STRATEGY_KEYS[strategy],
    )


def _environment(site: Site) -> str:
    return "\n".join(
        (
            f"[apps.{site.app}.environments.{site.environment}]",
            f"servers = {json.dumps(site.servers)}",
            f"directory = {_quoted(site.directory)}",
            f'env = {{ PORT = "{site.port}" }}',
            _HEALTH[site.strategy].format(port=site.port, within=_GATE_SECONDS),
            *([_ROLLOUT] if site.rolled else []),
        )
    )


def _quoted(text: object) -> str:
    # A TOML basic string of printable ASCII is written as JSON writes it.
    return json.dumps(str(text))
