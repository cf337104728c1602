"""Give somebody a role: `allow @ana deployer on shop`, `allow @ben deployer on shop for 8h`."""

from __future__ import annotations

from deploybot import (
    App,
    Card,
    Code,
    Context,
    Duration,
    Environment,
    GrantChange,
    Role,
    Tone,
    command,
    place_name,
    show_duration,
)


@command(
    "allow <who> [<role>] [on <app>[/<env>]] [for <duration>] [code <code>]",
    needs="admin",
    examples=(
        "allow @ana deployer on shop",
        "allow @ana approver on shop/production",
        "allow @ben deployer on shop for 8h",
        "allow slack:T012/U345:ben viewer",
        "allow console:1000:ana admin",
        "allow github:583231:ana",
    ),
)
async def allow(
    ctx: Context,
    who: str,
    role: Role | None = None,
    app: App | None = None,
    env: Environment | None = None,
    *,
    duration: Duration = Duration(0),  # noqa: B008 - a number under another name
    code: Code = Code(""),  # noqa: ARG001, B008  dispatch asks for it where bot.toml wants one
) -> Card:
    """Give somebody a role: viewer, deployer, approver or admin.

    Without `on` it counts everywhere. Somebody new is written `platform:id:name`, as `whoami` shows it to them.
    Each role may do all that the one before it may. A role given again for the same place replaces the one
    before. With `for` it ends after that time, and a role without an end stays beside it. A role counts for no
    request that was made before. The app's channel and the other admins read of it. Without a role
    `platform:id:name` gives somebody a further identity, such as the one on the forge that their pushes and builds
    are told by; their roles stay as they are.
    """
    where = app.name if app else "*", env.name if env else "*"
    person = await ctx.people.allow(ctx, who, role, *where, seconds=duration)
    if isinstance(person, GrantChange):
        return Card(
            title=f"A second admin has to confirm {person.name} within a day.",
            hint=f"They type: confirm {person.name}",
            tone=Tone.WARN,
        )
    if role is None:
        return Card(title=f"{person.name} is {who.rpartition(':')[0].lower()}, too.", tone=Tone.GOOD)
    end = f", for {show_duration(duration)}" if duration else ""
    return Card(title=f"{person.name} is {role} on {place_name(*where)} now{end}.", tone=Tone.GOOD)
