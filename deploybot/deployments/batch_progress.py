"""Which batch of a roll-out is in progress, and how cards describe the batches; pure."""

from __future__ import annotations

from collections.abc import Sequence

from deploybot.deployments.touched_servers import first_felt
from deploybot.domain import Phase, Plan, StageKind, StepRow
from deploybot.units import show_duration

_FEW = 3


def current_batch(plan: Plan, steps: Sequence[StepRow]) -> int:
    """Return the number of the batch that is being switched, from 0; -1 while all servers are only prepared."""
    begun = {row.server for row in steps if row.phase is Phase.FORWARD and _is_switch(plan, row)}
    numbered = enumerate(plan.batches)
    return max((at for at, batch in numbered if any(part.server in begun for part in batch)), default=-1)


def _is_switch(plan: Plan, row: StepRow) -> bool:
    if row.kind is StageKind.BASELINE:  # it comes last among the stages, but is made before any switch
        return False
    part = next((one for one in plan.servers if one.server == row.server), None)
    return part is not None and row.position >= first_felt(plan, part)


def progress_text(plan: Plan, steps: Sequence[StepRow]) -> str:
    """Return `batch 2 of 5` while a roll-out in batches is in progress; empty if it needs no count."""
    at = current_batch(plan, steps)
    counts = max(plan.sizes, default=1) > 1 or len(plan.sizes) > _FEW
    return f"batch {at + 1} of {len(plan.sizes)}" if counts and len(plan.sizes) > 1 and at >= 0 else ""


def rollout_text(plan: Plan) -> str:
    """Return all batches of a plan: `web1; then web2, web3. 30 s between batches`. Empty if there is only one."""
    batches = plan.batches
    if len(batches) <= 1:
        return ""
    shown = [", ".join(part.server for part in batch) for batch in batches]
    pause = max(part.pause for part in plan.servers)
    return "; then ".join(shown) + (f". {show_duration(pause)} between batches" if pause else "")
