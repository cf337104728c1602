"""Buttons on event cards: the commands that a reader might type next. None where the bot can't deploy the event."""

from __future__ import annotations

from itertools import islice
from typing import Final

from deploybot.card import Button
from deploybot.domain import Event, ImagePushed, canonical_image
from deploybot.domain.image_tags import TagPattern, TagRule
from deploybot.events.app_matching import is_of
from deploybot.events.watched_refs import environments_of, fits
from deploybot.notifications.event_cards import CardContext
from deploybot.notifications.event_text import full_sha
from deploybot.settings import App, Environment

MOST: Final = 4
_DEPLOYS: Final = 2
_DIGEST: Final = 71


def code_buttons(
    context: CardContext, event: Event, commit: str, *, branch: str = "", tag: str = "", built: bool = False
) -> tuple[Button, ...]:
    """Return buttons to deploy, to promote and to show a diff.

    Promotion is offered only if `built`, and if the environment before it runs the commit.
    """
    app, sha = context.app, full_sha(commit)
    if not sha or not is_of(app, event):
        return ()
    automatic = {name for name in environments_of(app, branch, tag) if not _asks(app.environments[name])}
    open_to = [one for one in app.environments.values() if not _guarded(one) and one.name not in automatic]
    buttons = [*islice((_deploy(app, one, sha) for one in open_to if not _there(context, one.name, sha)), _DEPLOYS)]
    if built:
        guarded = [one for one in app.environments.values() if _guarded(one)]
        ready = (one for one in guarded if _ready(context, one, sha) and not _there(context, one.name, sha))
        promote = (_deploy(app, one, _tried(context, one, sha), "Promote to") for one in ready)
        buttons += islice(promote, MOST - 1 - len(buttons))
    return (*buttons, Button("Show diff", f"diff {app.name}@{sha} {_last(app).name}"))


def image_buttons(context: CardContext, event: ImagePushed) -> tuple[Button, ...]:
    """Return buttons to deploy an image that bot.toml pins.

    They are left out where approval is needed, and where `auto` deploys the image.
    """
    app = context.app
    if not is_digest(event.digest):
        return ()
    environments = [
        one
        for one in app.environments.values()
        if any(_same(of.image, event.image) for of in app.at(one).images.values())
        and not _guarded(one)
        and not (one.auto and one.auto.image and not one.auto.ask)
    ]
    return tuple(_deploy(app, one, event.digest) for one in environments[:MOST])


def retry_buttons(context: CardContext, event: Event, environment: str, commit: str) -> tuple[Button, ...]:
    """Return buttons to deploy the failed release again, and to show the logs."""
    app, sha = context.app, full_sha(commit)
    if environment not in app.environments:
        return ()
    retry = (Button("Retry", f"deploy {app.name}@{sha} to {environment}"),) if sha and is_of(app, event) else ()
    return (*retry, logs_button(app, environment))


def logs_button(app: App, environment: str) -> Button:
    """Return a button that shows the logs of an environment."""
    return Button("Logs", f"logs {app.name} from {environment}")


def is_digest(text: str) -> bool:
    """Return whether a text is `sha256:` and 64 hex digits."""
    return len(text) == _DIGEST and text.startswith("sha256:") and set(text[7:]) <= {*"0123456789abcdef"}


def _deploy(app: App, environment: Environment, ref: str, label: str = "Deploy to") -> Button:
    return Button(f"{label} {environment.name}", f"deploy {app.name}@{ref} to {environment.name}")


def _guarded(environment: Environment) -> bool:
    """Return whether deploying there requires approvals or another environment first."""
    return bool(environment.approvals or environment.after)


def _asks(environment: Environment) -> bool:
    return bool(environment.auto and environment.auto.ask)


def _ready(context: CardContext, environment: Environment, sha: str) -> bool:
    """Return whether the environment before it runs the commit and is healthy."""
    return environment.after is None or _there(context, environment.after, sha)


def _tried(context: CardContext, environment: Environment, sha: str) -> str:
    """Return the ref to promote: the commit, or for apps with images the deployment that was tried before.

    By now, tags may mean other images than those that were tried.
    """
    if not context.app.at(environment).images or environment.after is None:
        return sha
    return f"#{max(row.deployment for row in context.running(environment.after))}"


def _there(context: CardContext, environment: str, sha: str) -> bool:
    """Return whether all servers of an environment run the commit and are healthy."""
    rows = {row.server: row for row in context.running(environment)}
    found = (rows.get(name) for name in context.app.environments[environment].servers)
    return all(row is not None and row.healthy and row.release.is_from(sha) for row in found)


def _last(app: App) -> Environment:
    """Return the last guarded environment, or the last of all."""
    environments = [*app.environments.values()]
    return next((one for one in reversed(environments) if _guarded(one)), environments[-1])


def wanted_tag(app: App, event: ImagePushed) -> bool:
    """Return whether bot.toml pins this image by this tag, by a matching pattern, or by a range that may match.

    That depends on the environment: pass the app as it is there (`App.at`).
    """
    return any(_same(one.image, event.image) and _may_mean(one.tag, event.tag) for one in app.images.values())


def _may_mean(wanted: str | TagPattern, tag: str) -> bool:
    rule = TagRule.of(wanted)
    if rule is None:
        return wanted == tag
    return not rule.why_not(tag) or (rule.range is not None and _is_version(tag))


def _same(image: str, other: str) -> bool:
    return canonical_image(image) == canonical_image(other)


def _is_version(tag: str) -> bool:
    return tag.removeprefix("v")[:1].isdigit() and fits("*.*", tag)
