"""Take somebody's roles away: `deny @ana`, `deny @ana on shop`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, command, place_name


@command(
    "deny <who> [on <app>[/<env>]]",
    needs="admin",
    examples=("deny @ana", "deny @ana on shop", "deny @ana on shop/production"),
)
async def deny(ctx: Context, who: str, app: App | None = None, env: Environment | None = None) -> Card:
    """Take somebody's roles away.

    All of them, or with `on` those that were given for that app or environment. It counts at once, also for
    what they asked for and what has not begun.
    """
    person, gone = await ctx.people.deny(ctx, who, app.name if app else None, env.name if env else None)
    name, where = person.name, place_name(app.name if app else "*", env.name if env else None)
    if not gone:
        wider = f"A role that {name} has on more than {where} still counts there." if app else ""
        return Card(title=f"{name} had no role of their own on {where}.", hint=wider)
    return Card(title=f"{name} has lost {'a role' if gone == 1 else f'{gone} roles'} on {where}.")
