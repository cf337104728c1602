"""Show the last deployments of an app: `history shop`, `history shop production`."""

from __future__ import annotations

from collections.abc import Sequence

from deploybot import (
    MARKS,
    App,
    Card,
    Context,
    Deployment,
    Environment,
    Kind,
    State,
    Table,
    Tone,
    command,
    image_changes,
    narrow_rows,
    show_duration,
    show_time,
)

COLUMNS = ("#", "when (UTC)", "who", "what", "where", "from → to", "result", "took")
TONES = {
    State.WAITING: Tone.BUSY,
    State.RUNNING: Tone.BUSY,
    State.RESTORING: Tone.BUSY,
    State.SUCCEEDED: Tone.GOOD,
    State.FAILED: Tone.BAD,
    State.RESTORED: Tone.WARN,
    State.CANCELLED: Tone.PLAIN,
    State.UNKNOWN: Tone.UNKNOWN,
}


@command(
    "history <app> [<env>] [<count>]",
    needs="view",
    examples=("history shop production", "history shop", "history shop production 50"),
)
async def history(ctx: Context, app: App, env: Environment | None = None, count: int = 20) -> Card:
    """Show the last deployments of an app: who, what, where, when, and how each ended."""
    visible = {one.name for of, one in await ctx.people.visible(ctx) if of == app}
    most = min(max(count, 1), 200)
    # Query each environment separately, so that hidden ones do not use up the limit of visible ones.
    environments = [one for name, one in app.environments.items() if name in visible and (env is None or env == one)]
    asked = [one for environment in environments for one in await ctx.deployments.history(app, environment, most)]
    found = sorted(asked, key=lambda one: one.number, reverse=True)[:most]
    where = f"{app.name}/{env.name}" if env else app.name
    if not found:
        return Card(title=f"Nothing has been deployed to {where} yet.", hint=f"Start with `deploy {app.name}`.")
    return Card(
        title=f"The last {len(found)} deployments of {where}" if len(found) > 1 else f"1 deployment of {where} so far",
        table=Table(COLUMNS, tuple(map(row, found)), tuple(map(tone, found)), narrow(found)),
        hint=_advice(app, found),
    )


def _advice(app: App, found: Sequence[Deployment]) -> str:
    """Return how to go back to the oldest release shown that succeeded."""
    kinds = {Kind.DEPLOY, Kind.ROLLBACK}
    good = [one.number for one in found if one.state is State.SUCCEEDED and one.plan.kind in kinds]
    return f"`rollback {app.name} to #{good[-1]}` goes back to what #{good[-1]} deployed." if good else ""


def tone(one: Deployment) -> Tone:
    """How it ended, as a tone; one that left out servers is no plain success."""
    return Tone.WARN if one.state is State.SUCCEEDED and one.plan.down else TONES[one.state]


def narrow(found: Sequence[Deployment]) -> tuple[str, ...]:
    """Return a line for each deployment below its date, for phones."""
    several = len({one.plan.environment for one in found}) > 1
    moments = [show_time(one.started or one.created).removesuffix(" UTC").split(" ") for one in found]
    rows = narrow_rows(
        [narrow_row(one, clock, several=several) for one, (_, clock) in zip(found, moments, strict=True)]
    )
    days = [day for day, _ in moments]
    lines = (
        [f"{day} (UTC)", text] if day != before else [text]
        for text, day, before in zip(rows, days, ["", *days], strict=False)
    )
    return tuple(line for pair in lines for line in pair)


def narrow_row(one: Deployment, clock: str, *, several: bool) -> list[str]:
    """`✓ #42 14:05 v1.4 ana`, or `✗ #41 13:55 v1.4 failed`; of several environments the name in place of these.

    A deployment that left out servers has the sign of a warning and `not on all`.
    """
    plan, good = one.plan, one.state is State.SUCCEEDED
    partly = good and bool(plan.down)
    kinds = {Kind.ROLLBACK: f"back to {plan.release.label}", Kind.TASK: f"run {plan.task}", Kind.RESTART: "restart"}
    end = "not on all" if partly else one.requester_name if good else one.word.partition(",")[0]
    last = plan.environment if several else end
    return [
        MARKS[tone(one)],
        f"#{one.number}",
        clock,
        kinds.get(plan.kind, plan.release.label),
        last,
    ]


def row(deployment: Deployment) -> tuple[str, ...]:
    """One deployment as cells."""
    plan, begun = deployment.plan, deployment.started or deployment.created
    what = f"{plan.kind} {plan.task}" if plan.kind is Kind.TASK else plan.kind
    took = "" if deployment.took is None else show_duration(deployment.took)
    return (
        str(deployment.number),
        show_time(begun).removesuffix(" UTC"),
        deployment.requester_name,
        what,
        plan.environment,
        releases(deployment),
        deployment.word,
        took,
    )


def releases(deployment: Deployment) -> str:
    """What ran before and after: `v1.3 → v1.4`; one alone where nothing was exchanged.

    `other` is what somebody else had started there.
    """
    plan = deployment.plan
    replaced = {part.replaces.id: part.replaces for part in plan.servers if part.replaces}
    other = ["other" for part in plan.servers if part.replaces is None and part.before and part.before.services][:1]
    old = " and ".join([*(release.label for release in replaced.values()), *other])
    new = plan.release.label
    if plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK}:
        return new
    changes = (change for release in replaced.values() for change in image_changes(release, plan.release))
    images = dict.fromkeys(f"{service} {was} → {now}" for service, was, now in changes)
    return ", ".join([f"{old or 'nothing'} → {new}", *images])
