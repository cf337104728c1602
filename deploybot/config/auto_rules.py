"""Rules about the keys of `auto`, and about what they need elsewhere in bot.toml."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.config.config_errors import Path, Problem
from deploybot.part_tables import sender_entry
from deploybot.settings import App, Auto, Settings
from deploybot.settings.build_senders import check_of, forge_named

_LEAST_POLL = 10.0


def check_autos(path: Path, app: App, settings: Settings) -> Iterator[Problem]:
    """Yield every broken rule about an app's automatic deployments. `path` is the app's."""
    autos = {name: one.auto for name, one in app.environments.items() if one.auto is not None}
    for name, auto in autos.items():
        path_of_auto = (*path, "environments", name, "auto")
        yield from _causes(path_of_auto, auto, app.at(name))
        yield from _conditions(path_of_auto, auto)
        yield from _callers(path_of_auto, auto, {*app.hooks, *settings.hooks})
        yield from _named(path_of_auto, auto, forge_named(app, settings.hooks), {*app.hooks, *settings.hooks})
    if "poll" in app.model_fields_set and not autos:
        yield Problem((*path, "poll"), "sets how often `auto` checks for changes, but no environment has `auto`")
    elif app.poll < _LEAST_POLL:
        yield Problem((*path, "poll"), 'should be at least "10s", because forges and registries limit requests')


def _causes(path: Path, auto: Auto, app: App) -> Iterator[Problem]:
    if not (auto.branch or auto.tag or auto.release or auto.image):
        yield Problem(path, "has no trigger: give branch, tag, release or image")
    if auto.image and not app.has_images:
        yield Problem((*path, "image"), f"needs images, but apps.{path[1]}.images is empty")


def _conditions(path: Path, auto: Auto) -> Iterator[Problem]:
    if auto.after and auto.checks:
        yield Problem((*path, "checks"), 'is redundant beside after = "ci", which requires all checks; keep one')
    if auto.image and not (auto.branch or auto.tag or auto.release):
        for key in ("after", "checks", "paths"):
            if getattr(auto, key):
                yield Problem(
                    (*path, key), "applies to commits, but this `auto` has no trigger except image; remove it"
                )


def _callers(path: Path, auto: Auto, hooks: set[str]) -> Iterator[Problem]:
    """Yield problems with missing senders. The bot learns of builds and releases only from webhooks."""
    hook = f"[apps.{path[1]}.hooks.SENDER]"
    if (auto.after or auto.checks) and not hooks:
        key = "after" if auto.after else "checks"
        yield Problem((*path, key), f"waits for builds, but no webhook reports them: add {hook}")
    if auto.release and not any(sender_entry(hook).releases for hook in hooks):
        yield Problem((*path, "release"), f"waits for releases, but no forge's webhook reports them: add {hook}")


def _named(path: Path, auto: Auto, forge: str, hooks: set[str]) -> Iterator[Problem]:
    """Yield problems with `checks`: each needs a sender that may call."""
    for check in (check_of(text, forge) for text in auto.checks if hooks):
        if not check.sender:
            example = f"{min(hooks)}:{check.name}"
            yield Problem((*path, "checks"), f'names no sender for {check.name}: write, for example, "{example}"')
        elif check.sender not in hooks:
            hook = f"[apps.{path[1]}.hooks.{check.sender}]"
            why = f"waits for {check}, but {check.sender} has no webhook: add {hook}"
            yield Problem((*path, "checks"), f"{why}, or name another sender")
