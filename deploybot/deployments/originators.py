"""Who brought a deployment about: whose push, tag, release or image it came of, and who wrote what is new in it.

All of it is looked up again each time: a webhook may come late, and an account may be linked later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deploybot.domain import (
    Author,
    Changes,
    CommitAuthor,
    Deployment,
    Identity,
    Kind,
    Plan,
    Trigger,
    image_key,
    ref_key,
)
from deploybot.ports import People, Tables

NAMES_SHOWN = 3
_IMAGES = "images"
_NOREPLY = (
    (re.compile(r"([0-9]{1,20})\+[^@]*@users\.noreply\.github\.com"), "github"),
    (re.compile(r"([0-9]{1,20})-[^@]*@users\.noreply\.gitlab\.com"), "gitlab"),
)


def brought_by(tables: Tables, deployment: Deployment) -> tuple[int, ...]:
    """The persons who brought an automatic deployment about; nobody for one that a person asked for."""
    wish = _wish(tables, deployment)
    if wish is None:
        return ()
    plan = deployment.plan
    digests = (pin.digest for pin in plan.release.images)
    whats = dict.fromkeys((plan.release.commit, wish.source, *digests, *_keys(wish, plan)))
    people = (_person(tables.people, author) for author in tables.wishes.brought(wish.app, whats))
    return tuple(dict.fromkeys(number for number in people if number is not None))


def unknown_cause(tables: Tables, deployment: Deployment) -> str:
    """What is not known about who brought an automatic deployment about; empty where it is known.

    Known is only what a webhook said of this very commit on this very branch or tag, or of this very image under its
    tag: who pushed the same commit elsewhere did not bring it here.
    """
    wish = _wish(tables, deployment)
    if wish is None:
        return ""
    told = [tables.wishes.brought(wish.app, (key,)) for key in _keys(wish, deployment.plan)]
    published = tables.wishes.brought(wish.app, (wish.source,))
    everybody = (*published, *(author for authors in told for author in authors))
    strangers = [author.name for author in everybody if _person(tables.people, author) is None]
    if strangers:
        return f"{_listed(strangers)}, who brought it about, is no account that I know"
    return "" if all(told) else "no webhook reported who triggered it"


def authors_of(tables: Tables, plan: Plan) -> tuple[tuple[int, ...], str]:
    """The persons who wrote what is new in a plan, and what is not known about that."""
    if plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK} or not _is_new(plan.changes):
        return (), ""
    if plan.changes.authors is None or len({part.replaces for part in plan.servers}) > 1:
        return (), "it is not known who wrote the change"
    found = [(one, _writer(tables.people, one)) for one in plan.changes.authors]
    strangers = [str(one) for one, number in found if number is None]
    persons = tuple(dict.fromkeys(number for _, number in found if number is not None))
    return persons, f"{_listed(strangers)} wrote part of it, whom I do not know" if strangers else ""


def _is_new(changes: Changes) -> bool:
    """Whether anything may be new; what cannot be told may."""
    return not changes.known or changes.total > 0


def _wish(tables: Tables, deployment: Deployment) -> Trigger | None:
    return tables.wishes.get(deployment.wish) if deployment.wish else None


def _keys(wish: Trigger, plan: Plan) -> Iterator[str]:
    """The notes by which it is known who brought it about: each has to be there."""
    if wish.source != _IMAGES:
        yield ref_key(wish.source, plan.release.commit)
        return
    before = {pin.digest for part in plan.servers if part.replaces for pin in part.replaces.images}
    yield from (image_key(pin.image, pin.tag, pin.digest) for pin in plan.release.images if pin.digest not in before)


def _person(people: People, author: Author) -> int | None:
    found = people.of(author.identity) if author.identity is not None else None
    return found.id if found else None


def _writer(people: People, author: CommitAuthor) -> int | None:
    """The person of a commit's address: one that an admin gave them, or a forge's own that holds their number there."""
    email = author.email.lower()
    matches = ((pattern.fullmatch(email), platform) for pattern, platform in _NOREPLY)
    identities = [Identity("git", email), *(Identity(platform, match[1]) for match, platform in matches if match)]
    found = next(filter(None, map(people.of, identities)), None)
    return found.id if found else None


def _listed(names: Iterable[str]) -> str:
    """`ada`, `ada and 2 more`, for people."""
    known = [*dict.fromkeys(name or "somebody" for name in names)]
    more = f" and {len(known) - NAMES_SHOWN} more" if len(known) > NAMES_SHOWN else ""
    return f"{', '.join(known[:NAMES_SHOWN])}{more}"
