"""What a plan does in a few words, for titles, the audit and logs; pure."""

from __future__ import annotations

from deploybot.domain import Kind, Plan, Release, Request, image_changes

LABEL_LONGEST = 32
OLD_SHOWN = 2

_VERBS = {
    Kind.DEPLOY: "deploy {release} to {target}",
    Kind.ROLLBACK: "roll back {target} to {release}",
    Kind.RESTART: "restart {target}",
    Kind.TASK: "run {task} in {target}",
}


def what(plan: Plan) -> str:
    """Return what a plan does, such as `deploy v2 (0123456789) to shop production`."""
    target = f"{plan.app} {plan.environment}"
    words = _VERBS[plan.kind].format(release=plan.release, target=target, task=plan.task)
    return f"{words}, promoted from {plan.promoted_from}" if plan.promoted_from else words


def audit_text(plan: Plan, request: Request | None) -> str:
    """Return what a plan does, with its full image references and what the audit keeps of it."""
    images = "".join(f", {pin.service}: {pin.tag} {pin.reference}" for pin in plan.release.images)
    bound = f"bound to {request.binding.digest[:12]}" if request else f"plan {plan.digest[:12]}"
    counts = f", counts as {plan.counts_as}" if plan.counts_as else ""
    return f"{what(plan)}{images}{counts}, {bound}"


def headline(plan: Plan) -> str:
    """Return what a plan does, for titles: `shop/production: v1 → v2`, `shop/production: restart`."""
    return f"{plan.app}/{plan.environment}: {_headline(plan)}"


def _headline(plan: Plan) -> str:
    match plan.kind:
        case Kind.RESTART:
            return "restart"
        case Kind.TASK:
            return f"run {plan.task}"
        case Kind.ROLLBACK:
            return f"{_exchange(plan)} (rollback)"
        case _:
            return _exchange(plan) + (f" (promoted from {plan.promoted_from})" if plan.promoted_from else "")


def _exchange(plan: Plan) -> str:
    """Return `v1 → v2`, with short commits if two releases have the same label."""
    new, old = plan.release, plan.replaced
    if not old:
        before = any(part.before and part.before.services for part in plan.servers)
        return f"{_label(new)} · {'takes over what runs there' if before else 'first deployment'}"
    if all(one.id == new.id for one in old):
        return f"{_label(new)} again"
    if change := image_exchange(plan):
        return change
    labels = {_label(one) for one in (*old, new)}
    name = _label if len(labels) == len({one.id for one in (*old, new)}) else _short
    shown = [name(one) for one in old[:OLD_SHOWN]] + ["…"] * (len(old) > OLD_SHOWN)
    return f"{', '.join(shown)} → {name(new)}"


def image_exchange(plan: Plan) -> str:
    """Return `web 1.4.2 → 1.4.3` if the only change is one image with another tag; else an empty string."""
    old, new = plan.replaced, plan.release
    if len(old) != 1 or old[0].code != new.code or plan.kind in {Kind.RESTART, Kind.TASK}:
        return ""
    changes = [service for service, _, _ in image_changes(old[0], new)]
    before, after = (one.image(changes[0]) if len(changes) == 1 else None for one in (old[0], new))
    if not before or not after or not before.tag or not after.tag or before.tag == after.tag:
        return ""
    return f"{before.service} {before.tag} → {after.tag}"


def _label(release: Release) -> str:
    return release.label if len(release.label) <= LABEL_LONGEST else f"{release.label[: LABEL_LONGEST - 1]}…"


def _short(release: Release) -> str:
    return release.short
