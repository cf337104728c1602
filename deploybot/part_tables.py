"""Every extension point: the tables of senders, strategies and reporters, as plain data that imports none of them.

A new part is an entry here and its own file or folder. docs/extending.md shows how to add one of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class SenderEntry:
    """What the bot knows of a sender without importing its file.

    `title` is its name for people; by default its own, with a capital. A `forge` hosts repositories: a bare name in
    `checks` means one of its builds. `host` is the public host of such repositories. With `releases` it reports
    published releases. `change` is the sign before the number of a change, such as `#12`.
    """

    title: str = ""
    forge: bool = False
    host: str = ""
    releases: bool = False
    change: str = "#"


SENDER_TABLE: Final[Mapping[str, SenderEntry]] = {
    "github": SenderEntry("GitHub", forge=True, host="github.com", releases=True),
    "gitlab": SenderEntry("GitLab", forge=True, host="gitlab.com", releases=True, change="!"),
    "gitea": SenderEntry(forge=True, releases=True),
    "forgejo": SenderEntry(forge=True, host="codeberg.org", releases=True),
    "bitbucket": SenderEntry(forge=True, host="bitbucket.org"),
    "gitee": SenderEntry(forge=True, host="gitee.com", releases=True),
    "dockerhub": SenderEntry("Docker Hub"),
    "ghcr": SenderEntry(),
    "harbor": SenderEntry(),
    "registry": SenderEntry(),
    "acr": SenderEntry(),
    "jenkins": SenderEntry(),
    "argocd": SenderEntry("Argo CD"),
    "prometheus": SenderEntry(),
    "event": SenderEntry(releases=True),
}
"""All senders that may call, by the last part of their URL."""
SENDERS: Final[tuple[str, ...]] = tuple(SENDER_TABLE)


def sender_entry(name: str) -> SenderEntry:
    """Return what is known of a sender. Events in the database may name one that is gone; nothing is known of it."""
    return SENDER_TABLE.get(name, SenderEntry())


def sender_title(name: str) -> str:
    """Return the name that people use for a sender."""
    return sender_entry(name).title or name.capitalize()


@dataclass(frozen=True, slots=True)
class StrategyEntry:
    """What the bot knows of a strategy without importing it.

    `module` is in `deploybot.strategies` and has the strategy as `STRATEGY`. With `own_table`, it also has the type of
    the table `[apps.APP.STRATEGY]` as `SETTINGS`. `about` describes it for people, and `example` are the lines that
    `deploybot init` writes for it. With `containers`, its apps run in containers of a Compose project. `keys` are keys
    of `[apps.APP]` that not every strategy takes; `needs` are those that it requires, with the rest of the sentence
    that says so.
    """

    module: str
    about: str
    example: tuple[str, ...] = ()
    containers: bool = False
    own_table: bool = False
    keys: frozenset[str] = frozenset()
    needs: Mapping[str, str] = field(default_factory=dict)


STRATEGY_TABLE: Final[Mapping[str, StrategyEntry]] = {
    "compose": StrategyEntry(
        "compose",
        "docker compose, built from the repository on the server",
        example=(
            (
                'health = { docker = true, within = "2m" }   '
                '# the containers\' own checks; or http = "http://127.0.0.1:8000/"'
            ),
            'logs = { docker = "*" }                     # all services',
        ),
        containers=True,
        keys=frozenset({"compose", "images"}),
    ),
    "files": StrategyEntry(
        "files_strategy",
        "a static site or a binary: release folders and a link",
        example=(
            '# build = "npm ci && npm run build"    # runs on the server in the new release',
            '# output = "dist"                      # what the build leaves',
            '# restart = "sudo systemctl reload x"  # after the switch',
            '# health = { http = "http://127.0.0.1:8080/" }   # as seen from the server',
            '# logs = { journald = "x.service" }',
        ),
        keys=frozenset({"build", "output", "restart"}),
    ),
    "script": StrategyEntry(
        "script_strategy",
        "the repository's own deploy script",
        example=(
            'script = "deploy.sh"                   # in the repository; gets DEPLOYBOT_RELEASE in its environment',
            '# health = { http = "http://127.0.0.1:8080/" }   # as seen from the server',
            '# logs = { file = "/var/log/app.log" }',
        ),
        keys=frozenset({"restart", "script"}),
        needs={"script": "the path of the script in the repository"},
    ),
}
"""All strategies, by their names in bot.toml."""


def has_containers(strategy: str) -> bool:
    """Return whether apps of a strategy run in containers of a Compose project. An unknown one has none."""
    entry = STRATEGY_TABLE.get(strategy)
    return entry is not None and entry.containers


def keys_of_strategies() -> dict[str, list[str]]:
    """Return the keys of `[apps.APP]` that not every strategy takes, and the strategies that do."""
    found: dict[str, list[str]] = {}
    for name, entry in STRATEGY_TABLE.items():
        for key in sorted(entry.keys | ({name} if entry.own_table else set())):
            found.setdefault(key, []).append(name)
    return found


@dataclass(frozen=True, slots=True)
class ReporterEntry:
    """What the bot knows of a reporter without importing it.

    `module` is in `deploybot.reporting` and has the reporter as `REPORTER`. If it has an own table `[REPORTER]` in
    bot.toml (`one`), or tables `[REPORTER.NAME]` (`many`), it also has their type as `SETTINGS`.
    """

    module: str
    tables: Literal["none", "one", "many"] = "none"


REPORTER_TABLE: Final[Mapping[str, ReporterEntry]] = {
    "forge": ReporterEntry("forge_reporter"),
    "outgoing": ReporterEntry("outgoing_reporter", "many"),
    "otel": ReporterEntry("otel_reporter", "one"),
}
"""All reporters, by the names of their tables in bot.toml."""


@dataclass(frozen=True, slots=True)
class ForgeEntry:
    """What the bot knows of a forge that shows deployments, without importing it.

    `module` is in `deploybot.reporting` and makes its `ReportTarget` with `forge`. `api` is the path of the API on a
    self-hosted forge. `hosts` are public hosts whose API is elsewhere, with its URL.
    """

    module: str
    api: str
    hosts: Mapping[str, str] = field(default_factory=dict)


FORGE_TABLE: Final[Mapping[str, ForgeEntry]] = {
    "github": ForgeEntry("github_reporter", "/api/v3", {"github.com": "https://api.github.com"}),
    "gitlab": ForgeEntry("gitlab_reporter", "/api/v4"),
    "gitea": ForgeEntry("gitea_reporter", "/api/v1"),
    "forgejo": ForgeEntry("gitea_reporter", "/api/v1"),
}
"""All forges that show deployments, by their `kind` in bot.toml. The paths are from the documentation of each."""
