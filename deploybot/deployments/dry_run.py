"""The answer to `--dry-run`: what would happen and, for a rollback, the button that goes ahead."""

from __future__ import annotations

from deploybot.card import Card
from deploybot.deployments.card_details import Mask
from deploybot.deployments.deployment_card import plan_card
from deploybot.deployments.past_releases import LOOK_BACK
from deploybot.deployments.policy_lookup import PolicyQuestions
from deploybot.domain import Kind, Plan
from deploybot.parsing import LONGEST
from deploybot.policy import ActiveFreeze
from deploybot.ports import Store
from deploybot.settings import Settings
from deploybot.units import show_moment


class DryRun:
    """Shows plans. It changes nothing, and looks only at what the bot has recorded."""

    def __init__(self, settings: Settings, store: Store, mask: Mask, questions: PolicyQuestions) -> None:
        """Take bot.toml, the records, what masks texts, and the policy's questions."""
        self._settings = settings
        self._store = store
        self._mask = mask
        self._questions = questions

    async def card(self, plan: Plan, *, reason: str, begins: float, frozen: ActiveFreeze | None, glass: bool) -> Card:
        """Return the card of a plan that would start at `begins` (Unix time, 0.0 for at once)."""
        wanted = await self._store.read(lambda tables: self._questions.wanted(tables, plan))
        return plan_card(
            plan,
            mask=self._mask,
            begins=show_moment(begins, self._settings.bot.timezone) if begins else "",
            wants=str(wanted) if wanted and not glass else "",
            frozen=frozen.text if frozen else "",
            command=await self._command(plan, reason, glass=glass) if plan.kind is Kind.ROLLBACK else "",
        )

    async def _command(self, plan: Plan, reason: str, *, glass: bool) -> str:
        """Return the command that rolls back to exactly this release; empty if no ref means exactly it."""
        good = await self._store.read(lambda tables: tables.deployments.good(plan.app, plan.environment, LOOK_BACK))
        number = next((f"#{one.number}" for one in good if one.plan.release.id == plan.release.id), "")
        if not (ref := number or plan.release.exact_ref):
            return ""
        text = f"rollback {plan.app} from {plan.environment} to {ref}{' --break-glass' if glass else ''}"
        return f"{text} because {reason}"[:LONGEST] if reason else text
