"""Cards of code changes: pushes, pull and merge requests, tags and releases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploybot.card import Card, Line, Link, Tone
from deploybot.domain import Change, Published, Push, Tagged
from deploybot.events.watched_refs import environments_of, watched
from deploybot.notifications.event_buttons import code_buttons
from deploybot.notifications.event_cards import CardContext, CardState, Mood, Worth
from deploybot.notifications.event_subjects import COMMITS_SHOWN, rank
from deploybot.notifications.event_text import NAME, REF, count, one_line, page, paragraph, short, subject, who
from deploybot.notifications.failure_folding import overtaken
from deploybot.part_tables import sender_entry
from deploybot.ports import EventPart

_TONES: Final = {"merged": Tone.GOOD, "closed": Tone.WARN}


def push_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of a push: author, branch, size, and the newest commits."""
    part = parts[0]
    push = part.event
    assert isinstance(push, Push)  # noqa: S101  a thing of this kind holds pushes
    behind = bool(push.after) and overtaken(context, push.branch, push.after, part.arrived_at)
    card = Card(
        title=_push_title(push, who(push.by, context.persons)),
        text="! The branch was rewritten: some of its commits are gone." if push.forced and push.after else "",
        lines=_commits(push),
        links=_links(("compare", push.compare), ("repository", push.url if not push.compare else "")),
        buttons=() if behind else code_buttons(context, push, push.after, branch=push.branch),
        footer="overtaken by a newer push" if behind else "",
    )
    return CardState(
        card=card,
        worth=Worth.USUAL if watched(context.app, push.branch) else Worth.ASKED,
        kinds=frozenset({"push"}),
        branches=frozenset({push.branch}),
        environments=environments_of(context.app, push.branch),
    )


def _push_title(push: Push, by: str) -> str:
    branch = one_line(push.branch, REF) or "a branch"
    by = f" by {by}" if by else ""
    if not push.after:
        return f"branch {branch} was deleted{by}"
    total = max(push.total, len(push.commits))
    commits = f"more than {count(total, 'commit')}" if push.more else count(total, "commit")
    if not push.before:
        return f"new branch {branch}{by}" + (f", {commits}" if total else "")
    if not total:
        return f"{branch} is at {short(push.after)} now{by}"
    return f"{commits} to {branch}{by}"


def _commits(push: Push) -> tuple[Line, ...]:
    shown = push.commits[:COMMITS_SHOWN]
    lines = [Line(short(one.sha), _commit(one.message, one.author), url=page(one.url)) for one in shown]
    left = max(push.total, len(push.commits)) - len(shown)
    if left > 0 or push.more:
        many = f"at least {left:,} older commits" if left > 0 else "older commits"
        older = many if push.more else count(left, "older commit")
        lines.append(Line("…", f"and {older}" if shown else count(left, "commit")))
    return tuple(lines)


def _commit(message: str, author: str) -> str:
    name = one_line(author, NAME)
    return f"{subject(message)} — {name}" if name else subject(message)


def _links(*pages: tuple[str, str]) -> tuple[Link, ...]:
    return tuple(Link(text, url) for text, url in pages if url)


def change_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return the card of a pull or merge request that was opened, merged or closed."""
    changes = [one.event for one in parts if isinstance(one.event, Change)]
    change = max(reversed(changes), key=rank)
    open_now = change.what in {"opened", "reopened", "updated"}
    word = "draft" if open_now and change.draft else "open" if change.what == "updated" else change.what
    card = Card(
        title=f"{_number(change)} {one_line(change.title) or '(no title)'} — {word}",
        tone=_TONES.get(change.what, Tone.PLAIN),
        lines=(Line("branch", f"{one_line(change.branch, REF)} → {one_line(change.into, REF)}"),),
        links=_links(("show", change.url)),
        footer=_by(who(change.by, context.persons)),
    )
    return CardState(
        card=card,
        worth=_worth(changes),
        kinds=frozenset({"change"}),
        branches=frozenset({change.into}),
        environments=environments_of(context.app, change.into),
    )


def _number(change: Change) -> str:
    """Return the number as its sender writes it: `!12` for GitLab, `#12` for most others."""
    return f"{sender_entry(change.sender).change}{change.number}"


def _worth(changes: Sequence[Change]) -> Worth:
    """Return the worth of a request: none for drafts, and no new message for updates unless it was a draft before."""
    ready = {one.what for one in changes if not one.draft}
    if any(one.what == "merged" for one in changes) or ready - {"updated"}:
        return Worth.USUAL
    if not ready:
        return Worth.NOTHING
    return Worth.USUAL if len(changes) > len(ready) else Worth.ASKED


def _by(name: str) -> str:
    return f"by {name}" if name else ""


def tag_story(context: CardContext, parts: Sequence[EventPart]) -> CardState:
    """Return one card for a tag and the release published under its name."""
    tagged = next((one.event for one in parts if isinstance(one.event, Tagged)), None)
    release = next((one.event for one in parts if isinstance(one.event, Published)), None)
    event = release or tagged
    assert event is not None  # noqa: S101  a thing has at least one part
    tag, commit = one_line(event.tag, REF), tagged.commit if tagged else ""
    gone = tagged is not None and not tagged.commit
    withdrawn = release is not None and release.gone
    name = one_line(release.name) if release else ""
    title = f"tag {tag} was deleted" if gone else _released(release, tag) if release else f"new tag {tag}"
    by = _by(who(event.by, context.persons))
    card = Card(
        title=f"{title} {by}".strip() + (f": {name}" if name and name != tag and not gone else ""),
        text=paragraph(release.text) if release and not (gone or withdrawn) else "",
        lines=(Line("commit", short(commit)),) if commit else (),
        links=_links(("release" if release else "tag", event.url)),
        buttons=() if withdrawn else code_buttons(context, event, commit, tag=event.tag, built=True),
    )
    kinds = {"tag"} if tagged else set()
    return CardState(
        card=card,
        mood=Mood.PLAIN,
        kinds=frozenset(kinds | ({"release"} if release else set())),
        environments=environments_of(context.app, "", event.tag),
    )


def _released(release: Published, tag: str) -> str:
    early = " (early)" if release.early else ""
    return f"release {tag}{early} was {'deleted' if release.gone else 'published'}"
