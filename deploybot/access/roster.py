"""List people with their roles and accounts, since when they have them, and who gave them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from deploybot.access.account_syntax import identity_text
from deploybot.access.grants import end_text
from deploybot.card import Card, Table, narrow_rows
from deploybot.domain import EVERY, Account, Grant, Person, target_name
from deploybot.policy import covers, holds
from deploybot.units import show_time

COLUMNS = ("person", "role", "where", "since", "by", "accounts")


def roster_card(
    people: Iterable[Person],
    grants: Iterable[Grant],
    accounts: Collection[Account],
    targets: Collection[tuple[str, str]],
    *,
    app: str,
    now: float,
) -> Card:
    """Return one row for each grant that applies in one of `targets`, the environments that the sender may see.

    `app` limits them to one app, if it is not empty.
    """
    names = {person.id: person.name for person in people}
    seen = [target for target in targets if app in {"", target[0]}]
    counting = [one for one in grants if holds(one, now) and any(covers(one, *target) for target in seen)]
    counting.sort(key=lambda one: (names[one.person], one.app, one.environment, one.until))
    rows = [_row(one, names, accounts) for one in counting]
    where = f" on {app}" if app else ""
    return Card(
        title=_title(rows, where),
        table=Table(COLUMNS, tuple(rows), narrow=_narrow(counting, names)),
        private=True,
    )


def _title(rows: list[tuple[str, ...]], where: str) -> str:
    count = len({row[0] for row in rows})
    return f"{count} {'person has' if count == 1 else 'people have'} a role{where}."


def _row(grant: Grant, names: dict[int, str], accounts: Iterable[Account]) -> tuple[str, ...]:
    mine = [_account(one) for one in accounts if one.person == grant.person]
    return (
        names[grant.person],
        f"{grant.role}{end_text(grant.until)}",
        target_name(grant.app, grant.environment),
        show_time(grant.since) if grant.since else "unknown",
        grant.by or "unknown",
        ", ".join(mine) or "none",
    )


def _narrow(grants: Sequence[Grant], names: dict[int, str]) -> tuple[str, ...]:
    """Return a line for each grant, for phones, and one below it with the end of a role that ends."""
    rows = narrow_rows([[names[one.person], one.role, _short_target(one)] for one in grants])
    ends = ([f" {end_text(one.until)}"] if one.until else [] for one in grants)
    return tuple(line for row, end in zip(rows, ends, strict=True) for line in (row, *end))


def _short_target(grant: Grant) -> str:
    """Return a grant's target so that its app is not cut off."""
    every = grant.environment == EVERY != grant.app
    return f"all of {grant.app}" if every else target_name(grant.app, grant.environment)


def _account(account: Account) -> str:
    """Return an account as text, with since when and by whom if known."""
    by = f" by {account.by}" if account.by else ""
    since = f" (since {show_time(account.since)}{by})" if account.since else ""
    return f"{identity_text(account.identity)}{since}"
