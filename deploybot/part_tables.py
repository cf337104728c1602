"""Every extension point: the tables of senders, strategies, reporters and chats, as data that imports none of them.

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
    that says so. `without_repo` is True if it also deploys apps whose own files are on the servers.
    """

    module: str
    about: str
    example: tuple[str, ...] = ()
    containers: bool = False
    without_repo: bool = False
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
        without_repo=True,
        keys=frozenset({"compose", "images"}),
    ),
    "files": StrategyEntry(
        "files_strategy",
        "a static site or a binary: release folders and a link",
        example=(
            '# build = "npm ci && npm run build"    # runs on the server in the new release',
            '# output = "dist"                      # the folder that the build creates',
            '# restart = "sudo systemctl reload x"  # after the switch',
            '# health = { http = "http://127.0.0.1:8080/" }   # as seen from the server',
            '# logs = { journald = "x.service" }',
        ),
        keys=frozenset({"artifact", "build", "output", "restart"}),
    ),
    "script": StrategyEntry(
        "script_strategy",
        "the repository's own deploy script",
        example=(
            'script = "deploy.sh"                   # in the repository; gets DEPLOYBOT_RELEASE in its environment',
            '# health = { http = "http://127.0.0.1:8080/" }   # as seen from the server',
            '# logs = { file = "/var/log/app.log" }',
        ),
        keys=frozenset({"artifact", "restart", "script"}),
        needs={"script": "the path of the script in the repository or artifact"},
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


@dataclass(frozen=True, slots=True)
class ChatEntry:
    """What the bot knows of a chat without importing it.

    `title` is its name for people. `channels` is the form of its channels' ids, `channel` says what they are, and
    `example` is one. `accounts` is the form of its accounts, with the groups `user` and perhaps `team`; `account` says
    what they are. `module` is in `deploybot.chat` and has the chat as `CHAT`, and the type of its table `[CHAT]` as
    `SETTINGS`; the console is always there and has none. `way_in` is how the bot gets into a channel. With `direct`, a
    person's id is also the id of their direct channel. Without `direct_buttons`, buttons do not work there.
    """

    title: str
    channels: str
    channel: str
    example: str
    accounts: str
    account: str
    module: str = ""
    way_in: str = "Let the bot post there"
    direct: bool = False
    direct_buttons: bool = True


CHAT_TABLE: Final[Mapping[str, ChatEntry]] = {
    "console": ChatEntry(
        "the console",
        channels="console",
        channel="the console",
        example="console",
        accounts=r"(?P<user>[0-9]{1,20}(?:/[a-z0-9][a-z0-9_-]{0,39})?)",
        account="a number. On console, people are identified by number, not by name",
    ),
    "slack": ChatEntry(
        "Slack",
        channels=r"[CGD][A-Z0-9]{5,30}",
        channel="a channel of Slack by its id",
        example="slack:C0123456789",
        accounts=r"(?P<team>[A-Z0-9][A-Z0-9.-]{0,63})/(?P<user>[A-Z0-9]{2,32})",
        account="a Slack id such as T012/U345. Names are not accepted",
        module="slack.slack_part",
        way_in="Invite the bot there (`/invite @deploybot`)",
        direct=True,
        direct_buttons=False,
    ),
    "telegram": ChatEntry(
        "Telegram",
        channels=r"-?[1-9][0-9]{0,15}(?:/[1-9][0-9]{0,9})?",
        channel="a chat of Telegram by its number",
        example="telegram:-1001234567890",
        accounts=r"(?P<user>[0-9]{1,20})",
        account="a number. On telegram, people are identified by number, not by name",
        module="telegram.telegram_part",
        way_in="Add the bot to that chat and let it post there",
        direct=True,
    ),
}
"""All chats, by the names of their tables in bot.toml."""
