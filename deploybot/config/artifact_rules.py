"""Rules about artifacts: which keys of `artifact` go together, and what an app with artifacts cannot have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from deploybot.config.config_errors import Path, Problem
from deploybot.settings import App, ArtifactSettings, Settings
from deploybot.settings.artifact_settings import is_refused_by_name

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


def check_artifact(path: Path, app: App, settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule about an app's artifacts. `path` is the app's."""
    asks = app.artifact
    if asks is None:
        return
    here = (*path, "artifact")
    yield from _by_url(here, asks, has_repo=bool(app.repo))
    yield from _by_upload(here, asks, has_server=settings.http is not None)
    yield from _by_branch(path, app, asks)
    for where, part, keys in (
        (path, app, _OF_THE_APP),
        *(((*path, "environments", name), one, _OF_AN_ENVIRONMENT) for name, one in app.environments.items()),
    ):
        for key, what in keys.items():
            if getattr(part, key):
                text = f"{what}, but apps.{path[1]} deploys artifacts: remove `{key}`, or remove `artifact`"
                yield Problem((*where, key), text)
    for name in (name for name, one in app.environments.items() if one.branch and not app.repo):
        yield Problem((*path, "environments", name, "branch"), "needs a repository: remove it, or set `repo`")


def _by_url(here: Path, asks: ArtifactSettings, *, has_repo: bool) -> Iterator[Problem]:
    if not asks.url:
        for key in ("sha256", "token"):
            if asks.upload and getattr(asks, key):
                yield Problem((*here, key), "is for `url` only: uploads bring their own SHA-256")
        return
    if not asks.sha256:
        yield Problem((*here, "sha256"), "is missing: give the address of a checksum file, or the SHA-256 itself")
    elif "/" not in asks.sha256 and "{" in asks.url:
        yield Problem(
            (*here, "sha256"), "is one SHA-256, but `url` has many files: give the address of a checksum file"
        )
    elif "{" in asks.sha256 and "{" not in asks.url:
        yield Problem((*here, "sha256"), "has many addresses, but `url` has one: put {ref} or {sha} into `url`, too")
    name = urlsplit(asks.url).path.rpartition("/")[2]
    if not name:
        yield Problem((*here, "url"), "has no file name: its path should end in one, such as site-{ref}.tar.gz")
    elif is_refused_by_name(name):
        yield Problem((*here, "url"), "is an archive that the bot does not unpack: publish .tar.gz, .tgz, .tar or .zip")
    if "{sha}" in f"{asks.url}{asks.sha256}" and not has_repo:
        yield Problem(
            (*here, "url"), "has {sha}, the commit of a ref, but there is no `repo` to look it up: set `repo`"
        )


def _by_branch(path: Path, app: App, asks: ArtifactSettings) -> Iterator[Problem]:
    """Yield each branch that nothing asks for: it means a commit, and only `{sha}` in an address needs one."""
    if not app.repo or "{sha}" in f"{asks.url}{asks.sha256}":
        return
    branches = {path: app.branch, **{(*path, "environments", n): one.branch for n, one in app.environments.items()}}
    for where in (where for where, branch in branches.items() if branch):
        yield Problem((*where, "branch"), "has no effect without {sha} in the artifact's `url`: remove it")


def _by_upload(here: Path, asks: ArtifactSettings, *, has_server: bool) -> Iterator[Problem]:
    if asks.secret and not asks.upload:
        yield Problem((*here, "secret"), "is for `upload = true` only: it signs uploads")
    elif asks.secret and not has_server:
        yield Problem((*here, "secret"), "needs the HTTP server for uploads: add [http] with listen and url")
