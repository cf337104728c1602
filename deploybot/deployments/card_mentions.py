"""The people whom a deployment's messages mention: who can approve it, whose changes it has, and the requester."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.card import Mention
from deploybot.deployments.originators import authors_of, originators_of
from deploybot.deployments.policy_lookup import PolicyQuestions
from deploybot.domain import Channel, Deployment
from deploybot.policy import who_may
from deploybot.ports import Clock, Tables
from deploybot.settings import Settings

_MENTIONED = 20


class Mentions:
    """Finds people and their accounts in the database; stores nothing."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Take bot.toml and the clock."""
        self._questions = PolicyQuestions(settings, clock)

    def approvers(self, tables: Tables, deployment: Deployment) -> tuple[Mention, ...]:
        """Return every person who could approve a request now and has not, by each of their accounts."""
        names = who_may(self._questions.may_decide(tables, deployment.requester, deployment, "approve"))
        people = filter(None, map(tables.people.named, names[:_MENTIONED]))
        return _accounts(tables, ((one.id, one.name) for one in people))

    @staticmethod
    def replaced(tables: Tables, deployment: Deployment) -> tuple[Mention, ...]:
        """Return the people behind the newest deployments that this one replaced: its release has their changes, too.

        These are the people who caused them, and the known authors of their changes.
        """
        if deployment.state.ended:
            return ()
        rows = filter(None, map(tables.deployments.get, deployment.skipped[-_MENTIONED:]))
        found = [number for one in rows for number in (*originators_of(tables, one), *authors_of(tables, one.plan)[0])]
        names = {one.id: one.name for one in tables.people.everybody()} if found else {}
        concerned = [number for number in dict.fromkeys(reversed(found)) if number in names]
        return _accounts(tables, ((number, names[number]) for number in concerned[:_MENTIONED]))

    @staticmethod
    def requester(tables: Tables, deployment: Deployment) -> tuple[Mention, ...]:
        """Return the requester of a deployment, by each of their accounts."""
        return _accounts(tables, [(deployment.requester, deployment.requester_name)])


def _accounts(tables: Tables, people: Iterable[tuple[int, str]]) -> tuple[Mention, ...]:
    return tuple(Mention(account, name) for number, name in people for account in tables.people.identities(number))


def for_channel(wakes: tuple[Mention, ...], channel: Channel) -> tuple[Mention, ...]:
    """Return the mentions that work in a channel: those of its platform, and none in a private one."""
    return () if channel.private else tuple(one for one in wakes if one.identity.platform == channel.platform)


def can_notify(wakes: tuple[Mention, ...], channel: Channel) -> bool:
    """Return whether a message in a channel can notify any of these people; at the console none does."""
    return channel.platform != "console" and any(one.identity.platform == channel.platform for one in wakes)
