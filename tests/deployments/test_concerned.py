"""Whom the card of an automatic deployment mentions for the waiting ones that it replaced."""

from __future__ import annotations

from pathlib import Path

from deploybot.card import Mention
from deploybot.deployments.approval_card import approvers_and_concerned
from deploybot.deployments.card_mentions import Mentions
from deploybot.deployments.deployment_card import deployment_card
from deploybot.domain import Changes, CommitAuthor, Deployment, Identity, Kind, Plan, Release, State
from deploybot.ports import Tables
from tests.deployments.test_phone import deployment_of, plan_of, request_of
from tests.kit.bot import V1, V2, V3, BotUnderTest, Team, open_as, shop_settings

MANY: Team = {f"p{number}": [] for number in range(25)}
BEN = Mention(Identity("slack", "U1"), "ben")


def plan(release: Release, *authors: str) -> Plan:
    changes = Changes(total=len(authors), authors=tuple(CommitAuthor(one, f"{one}@example.com") for one in authors))
    return Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=release, servers=(), changes=changes)


async def test_at_most_twenty_people_are_mentioned_and_each_once(tmp_path: Path) -> None:
    async with open_as(BotUnderTest, tmp_path, shop_settings(tmp_path / "data"), team=MANY, chats=("slack",)) as bot:

        def add(tables: Tables, release: Release, *authors: str, skipped: tuple[int, ...] = ()) -> Deployment:
            return tables.deployments.add(
                plan(release, *authors),
                requester=bot.people["p0"],
                reason="",
                channel=None,
                now=1.0,
                trigger=1,
                skipped=skipped,
            )

        def mentioned(tables: Tables) -> tuple[list[str], tuple[Mention, ...]]:
            for name in MANY:
                tables.people.link(bot.people[name].id, Identity("git", f"{name}@example.com"))
            first = add(tables, V1, *[*MANY][:5], "stranger")
            second = add(tables, V2, *MANY)
            last = add(tables, V3, skipped=(first.number, second.number, 999))
            found = Mentions(bot.settings, bot.clock).replaced(tables, last)
            over = tables.deployments.move(last.number, State.CANCELLED, now=2.0)
            names = [one.name for one in found if one.identity.platform == "slack"]
            return names, Mentions(bot.settings, bot.clock).replaced(tables, over)

        names, afterwards = await bot.store.write(mentioned)
    assert (len(names), len({*names})) == (20, 20)
    assert {*names} <= {*MANY}
    assert afterwards == ()


def test_many_approvers_leave_room_for_those_who_are_concerned() -> None:
    approvers = tuple(Mention(Identity("slack", f"A{number}"), f"a{number}") for number in range(20))
    others = tuple(Mention(Identity("slack", f"C{number}"), f"c{number}") for number in range(7))
    found = approvers_and_concerned(approvers, (*others, approvers[3]))
    assert found[:20] == (*approvers[:15], *others[:5])
    assert sorted(one.name for one in found) == sorted(one.name for one in (*approvers, *others))
    assert approvers_and_concerned(approvers, ()) == approvers
    assert approvers_and_concerned(approvers[:2], others) == (*approvers[:2], *others)
    waiting = deployment_of(plan_of(), State.WAITING, needs_approval=True)
    card = deployment_card(waiting, (), request=request_of(), wakes=approvers, concerned=(BEN,))
    assert BEN in card.wakes[:20]


def test_a_card_mentions_nobody_twice() -> None:
    waiting = deployment_of(plan_of(), State.WAITING)
    assert deployment_card(waiting, (), concerned=(BEN, BEN)).wakes == (BEN,)
