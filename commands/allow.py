"""Give a person a role: `allow @ana deployer on shop`, `allow @ben deployer on shop for 8h`."""

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
    show_duration,
    target_name,
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
    """Give a person a role: viewer, deployer, approver or admin.

    Each role includes the ones before it. Without `on`, the role applies everywhere. Without `for`, the new role
    replaces all of the person's roles for the same target. With `for`, it expires after that time, and a permanent role
    stays. A role does not count for requests made before it. An admin for a limited time can give only roles that end
    before their own. The app's channel and the other admins are notified.

    Write a new person as `platform:id:name`; `whoami` shows it to them. Without a role, `platform:id:name` adds an
    account to a person, such as the forge account that their pushes and builds come from. Their roles stay the same.
    """
    where = app.name if app else "*", env.name if env else "*"
    person = await ctx.people.allow(ctx, who, role, *where, seconds=duration)
    if isinstance(person, GrantChange):
        return Card(
            title=f"A second admin must confirm {person.name} within a day.",
            hint=f"They type: confirm {person.name}",
            tone=Tone.WARN,
        )
    if role is None:
        return Card(title=f"{person.name} now also has the account {who.rpartition(':')[0].lower()}.", tone=Tone.GOOD)
    end = f", for {show_duration(duration)}" if duration else ""
    return Card(title=f"{person.name} is now {role} on {target_name(*where)}{end}.", tone=Tone.GOOD)
