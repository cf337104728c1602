"""The question which release to roll back to: short lines about each choice, which fit a phone; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploybot.deployments.card_details import Mask, counted
from deploybot.deployments.phone_rows import ROW, short
from deploybot.domain import Changes, Release, RollbackChoice, RollbackChoices
from deploybot.units import show_time

SUBJECTS_SHOWN = 3
PATHS_SHOWN = 2
_LABEL = 16
_NAMES = 22
_INDENT = "  "


def choice_label(choice: RollbackChoice) -> str:
    """Return the label of a choice's button: `v1.3 · #41`."""
    label = choice.release.label
    return label if choice.ref in {label, ""} else f"{label} · {choice.ref}"


def choices_text(found: RollbackChoices, mask: Mask) -> str:
    """Return what runs, and for each choice when it ran, whose it was, and what a rollback to it would take away.

    `mask` masks a text before it is cut.
    """
    rows = [*_runs(found, mask)]
    may_wait = any(choice.approvals for choice in found.choices)
    for choice in found.choices:
        rows += _choice(choice, found.base, mask)
        rows += [_indented(_approvals(choice))] if may_wait else []
    return "\n".join(rows)


def _runs(found: RollbackChoices, mask: Mask) -> Iterator[str]:
    """Yield what runs now; each server, if they differ."""
    releases = dict.fromkeys(runs for _, runs in found.runs)
    if len(releases) == 1:
        yield short(f"runs now: {mask(next(iter(releases)))}", ROW)
        return
    for runs in releases:
        names = [server for server, one in found.runs if one == runs]
        yield short(f"runs now: {short(mask(runs), _LABEL)} on {_servers(names)}", ROW)


def _choice(choice: RollbackChoice, base: Release | None, mask: Mask) -> Iterator[str]:
    end = f" · {choice.ref}" if choice_label(choice) != choice.release.label else ""
    yield f"{short(mask(choice.release.label), ROW - len(end))}{end}"
    yield _indented(f"{show_time(choice.at)} by {mask(choice.by)}")
    if base is not None and choice.release.id == base.id and choice.lost == Changes():
        yield _indented("the same images, other settings")
    else:
        yield from map(_indented, _lost(choice.lost, mask(base.label) if base is not None else "", mask))
    yield from _warnings(choice.lost, mask)
    yield from map(_indented, _held(choice.held))


def _approvals(choice: RollbackChoice) -> str:
    """Return how many approvals a choice needs, and why as many as a deployment."""
    needs = f"needs {counted(choice.approvals, 'approval')}" if choice.approvals else "needs no approvals"
    return f"{needs}: {choice.forward}" if choice.forward else needs


def skipping_the_plan(choice: RollbackChoice) -> str:
    """Return what a person does who types the command of a choice: `To roll back at once`."""
    return "To skip the plan" if choice.approvals else "To roll back at once"


def _indented(text: str) -> str:
    return f"{_INDENT}{short(text, ROW - len(_INDENT))}"


def _lost(lost: Changes, base: str, mask: Mask) -> Iterator[str]:
    """Yield how many commits would be lost, and the subjects of the newest."""
    if not lost.known:
        yield "lost commits: unknown"
        return
    if not lost.total and not lost.removed:
        yield "loses no commits: other images"
        return
    yield f"loses {counted(lost.total, 'commit')} of {base}"
    if lost.removed:  # the choice has commits that what runs lacks
        yield f"brings {counted(lost.removed, 'other commit')}"
    yield from (f"- {mask(one.subject)}" for one in lost.commits[:SUBJECTS_SHOWN])
    more = lost.total - min(len(lost.commits), SUBJECTS_SHOWN)
    if lost.commits and more > 0:
        yield f"- and {more} more"


def _warnings(lost: Changes, mask: Mask) -> Iterator[str]:
    """Yield the paths of `warn_paths` that lie between, such as migrations; of a long one, its end."""
    head = "! between: "
    for path in map(mask, lost.warnings[:PATHS_SHOWN] if lost.known else ()):
        room = ROW - len(head)
        yield f"{head}{path if len(path) <= room else f'…{path[1 - room :]}'}"
    if lost.known and len(lost.warnings) > PATHS_SHOWN:
        yield f"{head}{len(lost.warnings) - PATHS_SHOWN} more of warn_paths"


def _held(held: Sequence[tuple[str, bool | None]]) -> Iterator[str]:
    """Yield which servers still have the release."""
    if held and all(has for _, has in held):
        yield "still on every server" if len(held) > 1 else f"still on {held[0][0]}"
        return
    for state, words in ((True, "still on"), (False, "no longer on"), (None, "unknown on")):
        if names := [server for server, has in held if has is state]:
            yield f"{words} {_servers(names)}"


def _servers(names: Sequence[str]) -> str:
    """Return `web1, web2`, or how many there are if their names do not fit."""
    text = ", ".join(names)
    return text if len(text) <= _NAMES else f"{len(names)} servers"
