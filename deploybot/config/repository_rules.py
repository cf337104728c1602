"""Rules about an app's repository: how the bot reaches it, and what an app without one cannot have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from deploybot.config.config_errors import Path, Problem
from deploybot.net.address_guard import is_loopback
from deploybot.part_tables import STRATEGY_TABLE
from deploybot.settings import App, Environment
from deploybot.wording import listed

_OF_THE_APP: Mapping[str, str] = MappingProxyType(
    {
        "repo_key": "needs a repository",
        "repo_host_key": "needs a repository",
        "repo_token": "needs a repository",
        "forge": "reports deployments of commits",
    }
)
_ANYWHERE: Mapping[str, str] = MappingProxyType(
    {
        "branch": "needs a repository",
        "shared": "links paths into folders of releases, which only apps with a repository have",
        "warn_paths": "compares commits",
    }
)
_OF_AN_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "refs": "limits which commits may run",
        "signed": "checks signatures of commits",
        "approvals_exclude": "is about the authors of commits",
    }
)
_OF_AUTO: Mapping[str, str] = MappingProxyType(
    {
        "branch": "deploys commits",
        "tag": "deploys commits",
        "release": "deploys commits",
        "after": "waits for builds of commits",
        "checks": "waits for builds of commits",
        "paths": "compares commits",
    }
)


def check_repository(path: Path, app: App) -> Iterator[Problem]:
    """Yield every broken rule about an app's repository. `path` is the app's."""
    if "repo" not in app.model_fields_set:
        yield from _without(path, app)
        return
    repo = app.repo or ""
    web = repo.startswith(("http://", "https://"))
    ssh = repo.startswith("ssh://") or ("@" in repo and not web)
    if repo and app.repo_token and not (repo.startswith("https://") or (web and _loopback(repo))):
        yield Problem((*path, "repo_token"), "is for a repo with https:// only")
    for key in ("repo_key", "repo_host_key"):
        if repo and getattr(app, key) and not ssh:
            yield Problem((*path, key), "is for a repo reached by SSH only, such as git@github.com:acme/shop.git")


def _loopback(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def _without(path: Path, app: App) -> Iterator[Problem]:
    """Yield what an app without a repository cannot have: its strategy, and the keys that are about commits."""
    entry = STRATEGY_TABLE.get(app.strategy)
    if entry is None:
        return
    if app.artifact is not None:
        keys = ("repo_key", "repo_host_key", "repo_token", "branch")
        yield from _given(path, app, dict.fromkeys(keys, "needs a repository"))
        return
    if not entry.without_repo:
        able = listed((f'"{name}"' for name, one in STRATEGY_TABLE.items() if one.without_repo), "or")
        yield Problem(
            (*path, "repo"), f'is missing: strategy "{app.strategy}" needs a repository; only {able} works without one'
        )
        return
    yield from _given(path, app, {**_OF_THE_APP, **_ANYWHERE})
    if app.compose.source == "build" and "source" in app.compose.model_fields_set:
        yield _no_build((*path, "compose", "source"), path)
    for name, environment in app.environments.items():
        yield from _in_environment((*path, "environments", name), path, environment)


def _in_environment(here: Path, path: Path, environment: Environment) -> Iterator[Problem]:
    yield from (
        Problem((*here, key), _words(what, path, key)) for key, what in _ANYWHERE.items() if _has(environment, key)
    )
    yield from (
        Problem((*here, key), _words(what, path, key))
        for key, what in _OF_AN_ENVIRONMENT.items()
        if _has(environment, key)
    )
    if (auto := environment.auto) is not None:
        yield from (
            Problem((*here, "auto", key), _words(what, path, key)) for key, what in _OF_AUTO.items() if _has(auto, key)
        )
    compose = environment.compose
    if compose is not None and compose.source == "build" and "source" in compose.model_fields_set:
        yield _no_build((*here, "compose", "source"), path)


def _given(path: Path, app: App, keys: Mapping[str, str]) -> Iterator[Problem]:
    yield from (Problem((*path, key), _words(what, path, key)) for key, what in keys.items() if _has(app, key))


def _has(part: object, key: str) -> bool:
    return bool(getattr(part, key))


def _words(what: str, path: Path, key: str) -> str:
    return f"{what}, but apps.{path[1]} has no `repo`: remove `{key}`, or set `repo`"


def _no_build(where: Path, path: Path) -> Problem:
    return Problem(
        where, f'is "build", but apps.{path[1]} has no `repo`, so nothing is built: remove `source`, or set `repo`'
    )
