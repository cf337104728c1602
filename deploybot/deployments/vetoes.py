"""Veto the rollback of a release that does worse than the old one."""

from __future__ import annotations

import dataclasses

from deploybot.card import Card
from deploybot.command import Context
from deploybot.deployments.card_publisher import CardPublisher
from deploybot.deployments.card_titles import headline
from deploybot.deployments.policy_lookup import PolicyQuestions, required
from deploybot.deployments.release_watch import VetoSignals
from deploybot.deployments.vetoed_signals import vetoed
from deploybot.domain import Deployment, State, WatchRow, WatchState
from deploybot.errors import UserError
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import Settings


class Vetoes:
    """Records vetoes, and wakes the watches that count down."""

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, publisher: CardPublisher, signals: VetoSignals
    ) -> None:
        """Take the ports and parts."""
        self._questions = PolicyQuestions(settings, clock)
        self._store = store
        self._clock = clock
        self._publisher = publisher
        self._signals = signals

    async def veto(self, ctx: Context, number: int) -> Card:
        """Keep a release that is about to be rolled back.

        Raises Denied if the person may not, UserError if no rollback is pending.
        """
        person = required(ctx.person)

        def keep(tables: Tables) -> Deployment:
            deployment = tables.deployments.get(number)
            if deployment is None:
                raise UserError(f"There is no deployment #{number}.", hint="See them with: history APP")
            self._questions.insist(self._questions.may_cancel(tables, person.id, deployment, command="veto"))
            rows = tables.watches.of(number)
            _insist(deployment, rows)
            worse = [one for one in rows if one.state is WatchState.WORSE]
            for one in worse:
                tables.watches.put(_vetoed(one, person.name))
            found = "; ".join(f"{one.server}: {text}" for one in worse for text in one.evidence.worse)
            because = f", because {ctx.reason}" if ctx.reason else ""
            tables.audit.append(
                actor=person.name,
                action="veto",
                subject=f"#{number} {deployment.plan.app}/{deployment.plan.environment}",
                detail=f"kept although {found}{because}",
                now=self._clock.now(),
            )
            self._publisher(tables, number)
            return deployment

        deployment = await self._store.write(keep)
        self._signals.wake()
        words = f"#{number} ({headline(deployment.plan)}) is not rolled back for this. The watch continues."
        return Card(title=words, aside=True)


def _insist(deployment: Deployment, rows: tuple[WatchRow, ...]) -> None:
    """Raise UserError if a deployment does not count down to its rollback."""
    number = deployment.number
    if deployment.state.ended:
        raise UserError(f"#{number} has already ended: {deployment.word}.")
    if deployment.cancel_by:
        raise UserError(f"{deployment.cancel_by} already cancelled #{number}; it is stopping.")
    late = any(one.state is WatchState.REVERTING for one in rows)
    if late or deployment.state is State.RESTORING:
        raise UserError(
            f"It is too late for a veto: #{number} is already rolling back.",
            hint="Wait until it has ended, then deploy the release again.",
        )
    if not any(one.state is WatchState.WORSE for one in rows):
        raise UserError(f"No rollback of #{number} is pending, so there is nothing to veto.")


def _vetoed(row: WatchRow, by: str) -> WatchRow:
    """Return a watch that continues, and does not roll back for anything that it has found so far."""
    return dataclasses.replace(row, state=WatchState.LOOKING, evidence=vetoed(row.evidence), revert_at=0.0, vetoed=by)
