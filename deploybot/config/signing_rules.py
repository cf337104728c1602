"""Rules about `refs`, `signed` and `[signers]`."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.config.config_errors import Path, Problem
from deploybot.domain.ref_globs import fits
from deploybot.settings import Environment, Settings

_PATTERN = frozenset("*?")


def check_signing(settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule."""
    yield from _signers(settings)
    for app_name, app in settings.apps.items():
        for name, environment in app.environments.items():
            path: Path = ("apps", app_name, "environments", name)
            if environment.signed and not settings.signers:
                yield Problem((*path, "signed"), "requires signatures, but there are no signers: add [signers.NAME]")
            yield from _automatic(path, environment)


def _signers(settings: Settings) -> Iterator[Problem]:
    """Yield problems with signers: each needs a key, each key has one signer, and `since` is before `until`."""
    first: dict[str, str] = {}
    for name, signer in settings.signers.items():
        path: Path = ("signers", name)
        if not signer.ssh and signer.gpg is None:
            yield Problem(path, "has no key: give ssh or gpg")
        for key in signer.ssh:
            other = first.setdefault(key, name)
            if other != name:
                yield Problem((*path, "ssh"), f"has a key of signers.{other}; keep it in one of them")
        if signer.since and signer.until and signer.until < signer.since:
            yield Problem((*path, "until"), f"is before `since`, {signer.since}")


def _automatic(path: Path, environment: Environment) -> Iterator[Problem]:
    """Yield branches and tags of `auto` (without a pattern) that `refs` does not allow."""
    if environment.auto is None or not environment.refs:
        return
    for key in ("branch", "tag"):
        name = getattr(environment.auto, key)
        if not name or _PATTERN & set(name):
            continue
        if not any(fits(getattr(rule, key), name) for rule in environment.refs):
            yield Problem((*path, "auto", key), f"deploys {name}, which `refs` of this environment does not allow")
