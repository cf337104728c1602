"""Report once the events that do not fit bot.toml, so that no sender is ignored unnoticed for long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploybot.domain import Event
from deploybot.ports import Delivery, Tables
from deploybot.setup_notices import Notice, NoticeBoard

NO_INTEREST: Final = "of no interest"
NO_APP: Final = "there is no app "
ABOUT: Final = "about "
UNREADABLE: Final = "cannot be read: "
BROKEN: Final = "reading it failed: "
_PASSED_OVER: Final = (NO_INTEREST, NO_APP, ABOUT)
_PING: Final = "a ping"
_IN_A_ROW: Final = 5
_LOOKED_AT: Final = 50


async def no_report(notice: Notice) -> None:
    """Report nothing: there is no chat."""
    del notice


def too_large_notice(path: str, app: str, size: str, most: str) -> Notice:
    """Return a notice about a body that was refused with 413. A different `max_body` has a different notice."""
    return Notice(
        key=f"too large {path} {most}",
        app=app,
        title=f"A webhook to {path} was refused: its body has {size}, and `max_body` is {most}.",
        text="I did not read it, so I do not know whether its sender is authentic. Its content is lost.",
        fix="Raise `max_body` in [http] of bot.toml, and the limit of the reverse proxy in front of the bot.",
    )


def renamed_notice(app: str, own: str, sender: str, named: str) -> Notice:
    """Return a notice that a sender of an app names another repository or image."""
    return Notice(
        key=f"renamed {app} {sender} {own}",
        app=app,
        title=f"{sender} sends events about {named} to {app}'s webhook, but bot.toml has {own}.",
        text="Such events are accepted and ignored: nothing is posted or deployed because of them.",
        fix=f"If it was renamed, set `repo` in [apps.{app}], or `repository` in [apps.{app}.forge]; "
        f"`image` in [apps.{app}.images]. If not, send this webhook to another app.",
    )


def unreadable_notice(app: str, sender: str, why: str, day: str) -> Notice:
    """Return a notice that an authentic delivery could not be read. A sender of an app has at most one a `day`."""
    path = _path(app, sender)
    fix = (
        "Correct what the sender sends: docs/webhooks.md describes it. The bot's log has any further failures of today."
    )
    if why.startswith(BROKEN):
        fix = "This is a mistake of deploybot: please report it, with the lines in the bot's log."
    return Notice(
        key=f"unreadable {path} {day}",
        app=app,
        title=f"{sender} sent something to {path} that cannot be read.",
        text=f"{_sentence(why)}\nIt was accepted and ignored: nothing is posted or deployed because of it.",
        fix=fix,
    )


def _sentence(why: str) -> str:
    """Return the reason without the words that the title has already."""
    text = why.removeprefix(UNREADABLE)
    return text if text.endswith((".", "?")) else f"{text}."


def _path(app: str, sender: str) -> str:
    return "/".join(filter(None, ("/hooks", app, sender)))


def ignored_notice(app: str, sender: str, made: str) -> Notice:
    """Return a notice about a sender whose events are all ignored."""
    path = _path(app, sender)
    return Notice(
        key=_ignored(app, sender),
        app=app,
        title=f"All events that {sender} sends to {path} are ignored.",
        text=f"The last was {made}.",
        fix="Select the events that `deploybot hooks` lists, add the app to bot.toml, "
        "or delete the webhook at the sender.",
    )


def _ignored(app: str, sender: str) -> str:
    return f"ignored {app} {sender}".replace("  ", " ")


def named_by(event: Event) -> str:
    """Return the name of the image, repository or application that an event is about."""
    return str(getattr(event, "image", "") or event.repository or getattr(event, "application", ""))


def look_at_ends(tables: Tables, board: NoticeBoard, done: Sequence[tuple[Delivery, str]]) -> None:
    """Report senders that are ignored again and again. Close the notice once one of their events is used."""
    latest = {(delivery.app, delivery.sender): made for delivery, made in done if made != _PING}
    for (app, sender), made in latest.items():
        if not made.startswith(_PASSED_OVER):
            board.close(tables, _ignored(app, sender))
            continue
        if app and made.startswith(ABOUT):
            continue  # that is reported by its name
        last = [one for one in tables.deliveries.last_made(app, sender, _LOOKED_AT) if one != _PING]
        if len(last) >= _IN_A_ROW and all(one.startswith(_PASSED_OVER) for one in last):
            board.report(tables, ignored_notice(app, sender, made))
