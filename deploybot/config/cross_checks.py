"""Rules about several keys of bot.toml. All rules are always checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from deploybot.chat.chat_port import chat_parts
from deploybot.config.artifact_rules import check_artifact
from deploybot.config.auto_rules import check_autos
from deploybot.config.channel_rules import check_channels, check_routes
from deploybot.config.config_errors import Path, Problem, dotted
from deploybot.config.config_tables import within
from deploybot.config.environment_rules import check_images
from deploybot.config.report_rules import check_others
from deploybot.config.repository_rules import check_repository
from deploybot.config.signing_rules import check_signing
from deploybot.config.task_rules import check_switch_tasks
from deploybot.config.watch_rules import check_watch
from deploybot.domain import canonical_image
from deploybot.net.address_guard import is_loopback
from deploybot.part_tables import STRATEGY_TABLE, has_containers, keys_of_strategies
from deploybot.settings import (
    EVERY_APP,
    App,
    ArtifactSettings,
    Environment,
    HealthSettings,
    Hook,
    Logs,
    Secret,
    Server,
    Settings,
    project_name,
)
from deploybot.wording import listed, meant

_ONE_OF: dict[type, tuple[str, ...]] = {
    Secret: ("env", "file"),
    HealthSettings: ("http", "tcp", "docker", "command"),
    Logs: ("docker", "file", "journald", "command"),
    ArtifactSettings: ("url", "upload", "actions", "job"),
}
_RESERVED = "DEPLOYBOT_"
_SHELLS_OWN = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "OPTIND", "PPID", "SHELLOPTS", "UID"})


def check(settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule."""
    yield from _exactly_one(settings)
    yield from _logs(settings)
    for name, server in settings.servers.items():
        yield from _server(("servers", name), server, settings)
    yield from _jumps(settings)
    for name, app in settings.apps.items():
        path = ("apps", name)
        yield from _strategy(path, app)
        yield from check_repository(path, app)
        yield from check_artifact(path, app, settings)
        yield from _names((*path, "env"), app.env, app.secrets)
        yield from _defaults(path, app)
        for inner, environment in app.environments.items():
            yield from _environment((*path, "environments", inner), app, environment, settings)
            yield from _approvals((*path, "environments", inner), environment)
            yield from check_images((*path, "environments", inner), app, environment)
        yield from check_switch_tasks(path, app)
        yield from _order(path, app)
        yield from check_autos(path, app, settings)
        yield from check_routes(path, app)
    yield from _registries(settings)
    yield from _shared(settings)
    yield from _chats(settings)
    yield from check_channels(settings)
    yield from _hooks(settings)
    yield from check_others(settings)
    yield from check_signing(settings)


def _hooks(settings: Settings) -> Iterator[Problem]:
    """Yield webhooks without the HTTP server that receives them."""
    if settings.http is None:
        for path, part in within(settings):
            if isinstance(part, Hook):
                yield Problem(path, "needs the HTTP server for webhooks: add [http] with listen and url")


def _registries(settings: Settings) -> Iterator[Problem]:
    """Yield problems with registries: user and password go together, and each registry has one table."""
    first: dict[str, str] = {}
    for name, registry in settings.registries.items():
        path: Path = ("registries", name)
        if bool(registry.user) != bool(registry.password):
            yield Problem(path, "should have both user and password, or neither")
        if registry.user and ":" in registry.user:
            yield Problem((*path, "user"), "should not contain a colon")
        for app in registry.apps:
            if app not in settings.apps and app != EVERY_APP:
                yield Problem((*path, "apps"), f'unknown app "{app}"{meant(app, settings.apps)}')
        host = canonical_image(f"{registry.host}/x").partition("/")[0]
        other = first.setdefault(host, name)
        if other != name:
            yield Problem((*path, "host"), f"is also the host of registries.{other}; keep one of them")


def _chats(settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule of a chat."""
    for _, chat in chat_parts(settings):
        yield from (Problem(path, text) for path, text in chat.problems(settings))


def _exactly_one(settings: Settings) -> Iterator[Problem]:
    for path, part in within(settings):
        if keys := _ONE_OF.get(type(part)):
            given = [key for key in keys if getattr(part, key)]
            if len(given) != 1:
                yield Problem(path, f"should have exactly one of {listed(keys)}, has {listed(given)}")


def _logs(settings: Settings) -> Iterator[Problem]:
    for path, logs in within(settings):
        if isinstance(logs, Logs) and logs.timezone and not (logs.file or logs.command):
            yield Problem((*path, "timezone"), "is for `file` and `command` only: containers and journald log in UTC")


def _server(path: Path, server: Server, settings: Settings) -> Iterator[Problem]:
    if not (server.key or server.password or server.agent):
        yield Problem(path, "has no way to log in: give key, password or agent = true")
    if server.key and server.agent:
        yield Problem((*path, "agent"), "cannot be combined with key; keep one of them")
    for key in ("passphrase", "certificate"):
        if getattr(server, key) and not server.key:
            yield Problem((*path, key), "needs key, which is not set")
    if server.jump and server.jump not in settings.servers:
        yield Problem((*path, "jump"), _no_server(server.jump, settings))
    docker = server.docker or ""
    if server.docker_tls and not docker.startswith("tcp://"):
        yield Problem((*path, "docker_tls"), 'is for docker = "tcp://host:port" only')
    if docker.startswith("tcp://") and not server.docker_tls and not _loopback(docker):
        yield Problem((*path, "docker"), "needs docker_tls: without TLS, anybody on the network can become root there")


def _loopback(url: str) -> bool:
    """Return whether a URL that was found valid before points to this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def _no_server(name: str, settings: Settings) -> str:
    return f'unknown server "{name}"{meant(name, settings.servers)}'


def _jumps(settings: Settings) -> Iterator[Problem]:
    """Yield cycles of jump hosts, each once."""
    reported: set[str] = set()
    for start in settings.servers:
        way = _way(start, settings)
        if way[-1] == start and len(way) > 1 and start not in reported:
            reported.update(way)
            yield Problem(("servers", start, "jump"), f"forms a cycle: {' → '.join(way)}")


def _way(start: str, settings: Settings) -> list[str]:
    """Return the servers that a connection from `start` passes, up to the first repeated one."""
    way = [start]
    while way[-1] in settings.servers and (jump := settings.servers[way[-1]].jump):
        way.append(jump)
        if jump in way[:-1]:
            break
    return way


def _strategy(path: Path, app: App) -> Iterator[Problem]:
    entry = STRATEGY_TABLE.get(app.strategy)
    if entry is None:
        return
    tables = [(path, app.model_fields_set)]
    tables += [((*path, "environments", name), one.model_fields_set) for name, one in app.environments.items()]
    for key, strategies in keys_of_strategies().items():
        for where in (where for where, given in tables if key in given and app.strategy not in strategies):
            only = listed((f'"{name}"' for name in strategies), "or")
            yield Problem((*where, key), f'is for strategy = {only} only; this one is "{app.strategy}"')
    for key, what in entry.needs.items():
        lack = [(*path, "environments", name) for name in app.environments if not app.at(name).value(key)]
        for where in lack if app.value(key) or len(lack) < len(app.environments) else [path]:
            yield Problem((*where, key), f'is missing: strategy "{app.strategy}" needs {what}')


def _names(path: Path, env: dict[str, str], secrets: dict[str, Secret]) -> Iterator[Problem]:
    """Yield problems with variable names in `env` (whose path is given) and in `secrets` beside it."""
    for table, names in ((path, env), ((*path[:-1], "secrets"), secrets)):
        for name in names:
            if name.startswith(_RESERVED):
                yield Problem((*table, name), f"{_RESERVED}… is reserved for the bot: choose another name")
            if name in _SHELLS_OWN:
                yield Problem((*table, name), "is reserved by the shell and cannot be set: choose another name")
    for name in env.keys() & secrets.keys():
        yield Problem((*path, name), "is in both env and secrets; keep one")
    for name, value in env.items():
        if "\0" in value:
            yield Problem((*path, name), "should be text without NUL bytes")


def _defaults(path: Path, app: App) -> Iterator[Problem]:
    first, *more = [name for name, environment in app.environments.items() if environment.default] or [""]
    for name in more:
        yield Problem((*path, "environments", name, "default"), f"{first} is already the default; keep one of them")


def _approvals(path: Path, environment: Environment) -> Iterator[Problem]:
    """Yield keys that need approvals but have none, and approvals that can never be reached."""
    if not environment.approvals:
        for key in ("rollback_approvals", "approvers", "approval_code", "approval_within", "approvals_exclude"):
            if key in environment.model_fields_set:
                yield Problem((*path, key), "has no effect without `approvals`: set it, too")
        return
    if environment.default:
        yield Problem(
            (*path, "default"),
            "is not allowed with `approvals`: such an environment must always be named; remove it",
        )
    if (environment.rollback_approvals or 0) > environment.approvals:
        text = f"should be at most `approvals`, which is {environment.approvals}: a deployment would need fewer"
        yield Problem((*path, "rollback_approvals"), text)
    names = [name for name in environment.approvers if name.startswith("@")]
    if names and len(names) < environment.approvals:
        few = f"{len(names)} person{'' if len(names) == 1 else 's'}"
        yield Problem((*path, "approvers"), f"names {few}, but {environment.approvals} must approve")


def _order(path: Path, app: App) -> Iterator[Problem]:
    """Yield unknown environments in `after`, and cycles, each once."""
    reported: set[str] = set()
    for start, environment in app.environments.items():
        if environment.after and environment.after not in app.environments:
            near = meant(environment.after, app.environments)
            text = f'unknown environment of {path[1]}: "{environment.after}"{near}'
            yield Problem((*path, "environments", start, "after"), text)
        way = [start]
        while (before := app.environments.get(way[-1])) and before.after and way.count(way[-1]) == 1:
            way.append(before.after)
        if way[-1] == start and len(way) > 1 and start not in reported:
            reported.update(way)
            yield Problem((*path, "environments", start, "after"), f"forms a cycle: {' → '.join(way)}")


def _environment(path: Path, app: App, environment: Environment, settings: Settings) -> Iterator[Problem]:
    for name in environment.servers:
        if name not in settings.servers:
            yield Problem((*path, "servers"), _no_server(name, settings))
    for name in sorted({name for name in environment.servers if environment.servers.count(name) > 1}):
        yield Problem((*path, "servers"), f'"{name}" is listed more than once')
    canary = environment.rollout.canary if environment.rollout else ()
    for name in canary if isinstance(canary, tuple) else ():
        if name not in environment.servers:
            text = f'"{name}" is not one of its servers{meant(name, environment.servers)}'
            yield Problem((*path, "rollout", "canary"), text)
    yield from check_watch(path, app, environment)
    yield from _names((*path, "env"), environment.env, environment.secrets)
    yield from _crossed(path, app, environment)
    health = environment.health or app.health
    if health and health.docker and app.strategy in STRATEGY_TABLE and not has_containers(app.strategy):
        where = (*path, "health") if environment.health else (*path[:2], "health")
        able = listed((f'"{name}"' for name in STRATEGY_TABLE if has_containers(name)), "or")
        yield Problem((*where, "docker"), f"is for strategy = {able} only")


def _crossed(path: Path, app: App, environment: Environment) -> Iterator[Problem]:
    """Yield names that are plain in the app and secret in the environment, or the other way round."""
    for name in environment.env.keys() & app.secrets.keys():
        yield Problem((*path, "env", name), f"is also in apps.{path[1]}.secrets; keep one")
    for name in environment.secrets.keys() & app.env.keys():
        yield Problem((*path, "secrets", name), f"is also in apps.{path[1]}.env, in plain text; keep one")


class _UsedResource(NamedTuple):
    """Something on a machine that only one environment may use."""

    host: str
    port: int
    what: str


def _shared(settings: Settings) -> Iterator[Problem]:
    """Yield conflicts: two environments with the same directory or Compose project on one machine."""
    first: dict[_UsedResource, tuple[Path, str]] = {}
    for app_name, app in settings.apps.items():
        for name, environment in app.environments.items():
            path: Path = ("apps", app_name, "environments", name)
            for server, used in _used_resources(app, environment, settings):
                other, twin = first.setdefault(used, (path, server))
                if other != path:
                    yield Problem(
                        path, f"uses {used.what} on {server}, and so does {dotted(other)}; use a different one for each"
                    )
                elif twin != server:
                    yield Problem(
                        (*path, "servers"), f"{twin} and {server} are the same machine, {used.host}:{used.port}"
                    )


def _used_resources(app: App, environment: Environment, settings: Settings) -> Iterator[tuple[str, _UsedResource]]:
    directory = app.at(environment).directory
    for name in environment.servers:
        server = settings.servers.get(name)
        if server and server.ssh and directory:
            yield name, _UsedResource(server.host.lower(), server.port, f"the directory {directory}")
        if server and server.ssh and has_containers(app.strategy):
            yield (
                name,
                _UsedResource(
                    server.host.lower(), server.port, f"the Compose project {project_name(app, environment)}"
                ),
            )
