"""Break glass: in an emergency an admin bypasses approvals, `after` and locks, and all other admins are notified.

The policy decides whether they may. This module requires a reason, and a one-time code if the admin has enrolled, and
sends the messages that notify the others.
"""

from __future__ import annotations

from deploybot.card import Card, Mention, Tone
from deploybot.command import Context
from deploybot.deployments.card_titles import headline
from deploybot.deployments.one_time_codes import CodeCheck
from deploybot.deployments.policy_lookup import required
from deploybot.domain import Channel, Deployment, Person
from deploybot.errors import UserError
from deploybot.policy import PolicyQuestion, admins_of, broken_rules
from deploybot.ports import Clock, CodeSecrets, Store, Tables
from deploybot.settings import Settings

HOW = "deploy shop@v1.4 to production --break-glass because the shop is down"
NOTHING = "nothing"


class BreakGlass:
    """Checks what breaking the glass requires, and builds the alarm for the other admins."""

    def __init__(self, *, settings: Settings, store: Store, clock: Clock, codes: CodeSecrets) -> None:
        """Take bot.toml and the ports."""
        self._settings = settings
        self._store = store
        self._codes = CodeCheck(codes, clock)

    async def insist(self, ctx: Context, code: str) -> None:
        """Raise UserError if the reason is missing, or the one-time code of an enrolled admin is missing or wrong."""
        if not ctx.reason:
            raise UserError("Break glass needs a reason.", hint=f"Like this: `{HOW}`.")
        how = "Add `code 123456`."
        await self._codes.insist(
            self._store, required(ctx.person), code, what="Break glass", how=how, about="break glass"
        )

    def alarm(
        self, tables: Tables, deployment: Deployment, question: PolicyQuestion
    ) -> tuple[Card, tuple[Channel, ...]]:
        """Return the message that notifies all other admins of the broken glass, and each admin's direct channel."""
        others = _other_admins(question, deployment.requester)
        identities = [(one, identity) for one in others for identity in tables.people.identities(one.id)]
        plan = deployment.plan
        names = ", ".join(one.name for one in others) or "none: there is no other admin"
        card = Card(
            title=f"{deployment.requester_name} used break glass: #{deployment.number} {headline(plan)}.",
            text=f"because {deployment.reason}\nIt bypasses: {deployment.glass}.\nAdmins notified: {names}.",
            tone=Tone.BAD,
            hint=f"`cancel #{deployment.number}` stops it.",
            wakes=tuple(Mention(identity, one.name) for one, identity in identities),
        )
        return card, tuple(filter(None, (self._settings.direct_channel(identity) for _, identity in identities)))


def glass_text(question: PolicyQuestion) -> str:
    """Return the rules that are bypassed, for the card and the audit."""
    return ", ".join(broken_rules(question)) or NOTHING


def notified_text(question: PolicyQuestion, requester: int) -> str:
    """Return the names of the other admins, for the audit."""
    return ", ".join(one.name for one in _other_admins(question, requester)) or "no one"


def _other_admins(question: PolicyQuestion, requester: int) -> tuple[Person, ...]:
    found = admins_of(question.people, question.grants, question.app, question.environment, question.now)
    return tuple(one for one in found if one.id != requester)
