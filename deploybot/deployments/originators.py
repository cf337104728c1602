"""The people behind a deployment: whose push, tag, release or image caused it, and who wrote what is new in it.

Everything is looked up again each time: a webhook may arrive late, and an account may be linked later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deploybot.domain import (
    Author,
    AutoRule,
    Changes,
    CommitAuthor,
    Deployment,
    Identity,
    Kind,
    Plan,
    Trigger,
    image_key,
    ref_key,
    release_key,
)
from deploybot.ports import People, Tables

NAMES_SHOWN = 3
_NOREPLY = (
    (re.compile(r"([0-9]{1,20})\+[^@]*@users\.noreply\.github\.com"), "github"),
    (re.compile(r"([0-9]{1,20})-[^@]*@users\.noreply\.gitlab\.com"), "gitlab"),
)


def originators_of(tables: Tables, deployment: Deployment) -> tuple[int, ...]:
    """Return the people who caused an automatic deployment; empty if a person requested it."""
    trigger = _trigger(tables, deployment)
    if trigger is None:
        return ()
    people = (_person(tables.people, author) for author in _behind(tables, trigger, deployment.plan))
    return tuple(dict.fromkeys(number for number in people if number is not None))


def late_givers_of(tables: Tables, deployment: Deployment) -> tuple[int, ...]:
    """Return the people who gave the accounts of originators, if they did so after it was triggered.

    Nothing shows whose account it was before: they could have used it themselves, and given it to anybody then.
    """
    trigger = _trigger(tables, deployment)
    if trigger is None:
        return ()
    identities = (
        author.identity for author in _behind(tables, trigger, deployment.plan) if author.identity is not None
    )
    accounts = (account for account in map(tables.people.account, identities) if account and not account.detached)
    late = (one for one in accounts if one.after >= deployment.number or one.since >= trigger.made)
    return tuple(dict.fromkeys(number for one in late for number in one.givers))


def triggered_at(tables: Tables, deployment: Deployment) -> float:
    """Return when an automatic deployment was triggered; 0.0 if a person requested it."""
    trigger = _trigger(tables, deployment)
    return trigger.made if trigger else 0.0


def unknown_cause(tables: Tables, deployment: Deployment) -> str:
    """Return what is unknown about who caused an automatic deployment; empty if everything is known.

    Only a webhook about this exact commit on this exact branch or tag, or about this exact image under its tag, counts.
    A person who pushed the same commit elsewhere did not cause it here. A release has a publisher besides its tagger.
    """
    trigger = _trigger(tables, deployment)
    if trigger is None:
        return ""
    reported = [tables.triggers.authors(trigger.app, (key,)) for key in _keys(trigger, deployment.plan)]
    published = tables.triggers.authors(trigger.app, (trigger.source,))
    everybody = (*published, *(author for authors in reported for author in authors))
    strangers = [author for author in everybody if _person(tables.people, author) is None]
    named = [author.name for author in strangers if author.name or author.identity]
    if named:
        return f"{_listed(named)} triggered it from an unknown account"
    return "" if all(reported) and not strangers else "no webhook reported who triggered it"


def authors_of(tables: Tables, plan: Plan) -> tuple[tuple[int, ...], str]:
    """Return the people who wrote what is new in a plan, and what is unknown about that."""
    if plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK} or not _is_new(plan.changes):
        return (), ""
    if plan.changes.authors is None or len({part.replaces for part in plan.servers}) > 1:
        return (), "the authors of the change are unknown"
    found = [(one, _writer(tables.people, one)) for one in plan.changes.authors]
    strangers = [str(one) for one, number in found if number is None]
    persons = tuple(dict.fromkeys(number for _, number in found if number is not None))
    return persons, f"{_listed(strangers)} wrote part of it from an unknown address" if strangers else ""


def _is_new(changes: Changes) -> bool:
    """Return whether anything may be new; unknown changes count as new."""
    return not changes.known or changes.total > 0


def _trigger(tables: Tables, deployment: Deployment) -> Trigger | None:
    return tables.triggers.get(deployment.trigger)  # there is no trigger 0


def _behind(tables: Tables, trigger: Trigger, plan: Plan) -> tuple[Author, ...]:
    """Return everybody who may have caused it, as webhooks reported them."""
    digests = (pin.digest for pin in plan.release.images)
    keys = dict.fromkeys(filter(None, (plan.release.code, trigger.source, *digests, *_keys(trigger, plan))))
    return tables.triggers.authors(trigger.app, keys)


def _keys(trigger: Trigger, plan: Plan) -> Iterator[str]:
    """Yield the keys of the records that show who caused it; each must exist."""
    if trigger.rule is not AutoRule.IMAGE:
        yield ref_key(trigger.source, plan.release.code or "")  # no webhook reports a push without a commit
        if trigger.rule is AutoRule.RELEASE:
            yield release_key(trigger.source)
        return
    before = {pin.digest for part in plan.servers if part.replaces for pin in part.replaces.images}
    yield from (image_key(pin.image, pin.tag, pin.digest) for pin in plan.release.images if pin.digest not in before)


def _person(people: People, author: Author) -> int | None:
    found = people.of(author.identity) if author.identity is not None else None
    return found.id if found else None


def _writer(people: People, author: CommitAuthor) -> int | None:
    """Return the person with a commit's address: one from an admin, or a forge's no-reply one with their account id."""
    email = author.email.lower()
    matches = ((pattern.fullmatch(email), platform) for pattern, platform in _NOREPLY)
    identities = [Identity("git", email), *(Identity(platform, match[1]) for match, platform in matches if match)]
    found = next(filter(None, map(people.of, identities)), None)
    return found.id if found else None


def _listed(names: Iterable[str]) -> str:
    """Return `ada`, or `ada and 2 more`, for people."""
    known = [*dict.fromkeys(name or "somebody" for name in names)]
    more = f" and {len(known) - NAMES_SHOWN} more" if len(known) > NAMES_SHOWN else ""
    return f"{', '.join(known[:NAMES_SHOWN])}{more}"
