"""Whom the messages of a deployment mention: those who can approve it, and who asked for it."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.card import Mention
from deploybot.deployments.policy_questions import PolicyQuestions
from deploybot.domain import Deployment, Place
from deploybot.policy import who_may
from deploybot.ports import Clock, Tables
from deploybot.settings import Settings

_MENTIONED = 20


class Mentions:
    """Finds people in the database, with their accounts; keeps nothing."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Take bot.toml and the clock."""
        self._questions = PolicyQuestions(settings, clock)

    def approvers(self, tables: Tables, deployment: Deployment) -> tuple[Mention, ...]:
        """Give everybody who could approve a request now and has not, by each of their accounts."""
        names = who_may(self._questions.may_decide(tables, deployment.requester, deployment, "approve"))
        people = filter(None, map(tables.people.named, names[:_MENTIONED]))
        return _accounts(tables, ((one.id, one.name) for one in people))

    @staticmethod
    def requester(tables: Tables, deployment: Deployment) -> tuple[Mention, ...]:
        """Give who asked for a deployment, by each of their accounts."""
        return _accounts(tables, [(deployment.requester, deployment.requester_name)])


def _accounts(tables: Tables, people: Iterable[tuple[int, str]]) -> tuple[Mention, ...]:
    return tuple(Mention(account, name) for number, name in people for account in tables.people.identities(number))


def for_place(wakes: tuple[Mention, ...], place: Place) -> tuple[Mention, ...]:
    """Keep the mentions that work in a place: of its platform, and none where only one person reads."""
    return () if place.private else tuple(one for one in wakes if one.identity.platform == place.platform)


def is_heard(wakes: tuple[Mention, ...], place: Place) -> bool:
    """Whether a message that is there to notify one of these does so in a place; at the console nothing does."""
    return place.platform != "console" and any(one.identity.platform == place.platform for one in wakes)
