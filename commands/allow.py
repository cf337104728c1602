"""Give somebody a role: `allow @ana deployer on shop`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, Role, Tone, command, place_name


@command(
    "allow <who> [<role>] [on <app>[/<env>]]",
    needs="admin",
    examples=(
        "allow @ana deployer on shop",
        "allow @ana approver on shop/production",
        "allow slack:T012/U345:ben viewer",
        "allow console:1000:ana admin",
        "allow github:583231:ana",
    ),
)
async def allow(
    ctx: Context, who: str, role: Role | None = None, app: App | None = None, env: Environment | None = None
) -> Card:
    """Give somebody a role: viewer, deployer, approver or admin.

    Without `on` it counts everywhere. Somebody new is written `platform:id:name`, as `whoami` shows it to them.
    Each role may do all that the one before it may. A role given again for the same place replaces the one
    before. Without a role `platform:id:name` gives somebody a further identity, such as the one on the forge that
    their pushes and builds are told by; their roles stay as they are.
    """
    where = app.name if app else "*", env.name if env else "*"
    person = await ctx.people.allow(ctx, who, role, *where)
    if role is None:
        return Card(title=f"{person.name} is {who.rpartition(':')[0].lower()}, too.", tone=Tone.GOOD)
    return Card(title=f"{person.name} is {role} on {place_name(*where)} now.", tone=Tone.GOOD)
