"""Rules about artifacts: which keys of `artifact` go together, and what an app with artifacts cannot have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from deploybot.config.config_errors import Path, Problem
from deploybot.net.address_guard import is_loopback
from deploybot.settings import App, ArtifactSettings, Settings
from deploybot.settings.artifact_settings import is_refused_by_name
from deploybot.settings.forge_settings import api_of

_OF_THE_APP: Mapping[str, str] = MappingProxyType(
    {"forge": "reports deployments of commits", "warn_paths": "compares commits", "images": "pins images"}
)
_OF_AN_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "refs": "limits which commits may run",
        "signed": "checks signatures of commits",
        "approvals_exclude": "is about the authors of commits",
        "warn_paths": "compares commits",
        "auto": "deploys commits and images",
    }
)

_UNPACKED = "is an archive that the bot does not unpack: publish .tar.gz, .tgz, .tar or .zip"
_FORGES: Mapping[str, str] = MappingProxyType({"actions": "github", "job": "gitlab"})


def check_artifact(path: Path, app: App, settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule about an app's artifacts. `path` is the app's."""
    asks = app.artifact
    if asks is None:
        return
    here = (*path, "artifact")
    yield from _by_url(here, asks, has_repo=bool(app.repo))
    yield from _by_upload(here, asks, has_server=settings.http is not None)
    yield from _by_forge(path, app, asks)
    yield from _by_branch(path, app, asks)
    for where, part, keys in (
        (path, app, _OF_THE_APP),
        *(((*path, "environments", name), one, _OF_AN_ENVIRONMENT) for name, one in app.environments.items()),
    ):
        for key, what in keys.items():
            if getattr(part, key) and not (key == "forge" and asks.on_forge):
                text = f"{what}, but apps.{path[1]} deploys artifacts: remove `{key}`, or remove `artifact`"
                yield Problem((*where, key), text)
    for name in (name for name, one in app.environments.items() if one.branch and not app.repo):
        yield Problem((*path, "environments", name, "branch"), "needs a repository: remove it, or set `repo`")


def _by_url(here: Path, asks: ArtifactSettings, *, has_repo: bool) -> Iterator[Problem]:
    if not asks.url:
        yield from _without_url(here, asks)
        return
    if not asks.sha256:
        yield Problem((*here, "sha256"), "is missing: give the address of a checksum file, or the SHA-256 itself")
    elif "/" not in asks.sha256 and "{" in asks.url:
        yield Problem(
            (*here, "sha256"), "is one SHA-256, but `url` has many files: give the address of a checksum file"
        )
    elif "{" in asks.sha256 and "{" not in asks.url:
        yield Problem((*here, "sha256"), "has many addresses, but `url` has one: put {ref} or {sha} into `url`, too")
    yield from _by_name(here, asks, asks.url)
    if asks.needs_commit and not has_repo:
        yield Problem(
            (*here, "url"), "has {sha}, the commit of a ref, but there is no `repo` to look it up: set `repo`"
        )


def _by_name(here: Path, asks: ArtifactSettings, url: str) -> Iterator[Problem]:
    """Yield what is wrong with the name of the file at an address: the name decides how the file is read."""
    name = asks.name or urlsplit(url).path.rpartition("/")[2]
    if not name:
        yield Problem((*here, "url"), 'has no file name at its end: add `name`, such as name = "site.tar.gz"')
    elif is_refused_by_name(name):
        yield Problem((*here, "name" if asks.name else "url"), _UNPACKED)
    elif asks.name and "{" in name and "{" not in url:
        yield Problem((*here, "name"), "has many names, but `url` has one file: remove {ref} and {sha} from `name`")


def _without_url(here: Path, asks: ArtifactSettings) -> Iterator[Problem]:
    """Yield keys that only files from an address have."""
    own = "uploads bring their own" if asks.upload else f"`{_key(asks)}` uses the app's forge"
    for key in ("sha256", "token"):
        if (asks.upload or asks.on_forge) and getattr(asks, key):
            yield Problem((*here, key), f"is for `url` only: {own}{' SHA-256' if asks.upload else ''}")
    if asks.name and is_refused_by_name(asks.name):
        yield Problem((*here, "name"), _UNPACKED)
    elif asks.name and (asks.upload or asks.job):
        why = f"{own} name" if asks.upload else "the artifacts of a job are a zip"
        yield Problem((*here, "name"), f"is for `url` and `actions` only: {why}")


def _by_branch(path: Path, app: App, asks: ArtifactSettings) -> Iterator[Problem]:
    """Yield each branch that nothing asks for: it means a commit, and only `{sha}` in an address needs one."""
    if not app.repo or asks.needs_commit:
        return
    branches = {path: app.branch, **{(*path, "environments", n): one.branch for n, one in app.environments.items()}}
    for where in (where for where, branch in branches.items() if branch):
        yield Problem((*where, "branch"), "has no effect without {sha} in the artifact's `url`: remove it")


def _by_upload(here: Path, asks: ArtifactSettings, *, has_server: bool) -> Iterator[Problem]:
    if asks.secret and not asks.upload:
        yield Problem((*here, "secret"), "is for `upload = true` only: it signs uploads")
    elif asks.secret and not has_server:
        yield Problem((*here, "secret"), "needs the HTTP server for uploads: add [http] with listen and url")


def _by_forge(path: Path, app: App, asks: ArtifactSettings) -> Iterator[Problem]:
    """Yield what is missing to find a commit's artifacts on a forge: the repository, and the forge with its token."""
    here, key = (*path, "artifact"), _key(asks)
    if asks.workflow and not asks.actions:
        yield Problem((*here, "workflow"), "is for `actions` only: it is a workflow of GitHub Actions")
    if not key:
        return
    if not app.repo:
        yield Problem((*here, key), "is what was built from a commit, but there is no `repo` to look it up: set `repo`")
    if app.forge is None or app.forge.kind != _FORGES[key]:
        kind = f'add [apps.{path[1]}.forge] with kind = "{_FORGES[key]}"'
        yield Problem((*here, key), f"needs the forge and its token: {kind} and a token that may read it")
        return
    url = urlsplit((api_of(app, app.forge) or ("", ""))[0])
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield Problem((*path, "forge"), "has an API without TLS, so anybody on the way can replace files: set api_url")


def _key(asks: ArtifactSettings) -> str:
    """Return the key by which an artifact is found on a forge; empty if it is elsewhere."""
    return "actions" if asks.actions else "job" if asks.job else ""
