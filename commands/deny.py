"""Take somebody's roles away: `deny @ana`, `deny @ana on shop`."""

from __future__ import annotations

from deploybot import App, Card, Code, Context, Environment, command, target_name


@command(
    "deny <who> [on <app>[/<env>]] [code <code>]",
    needs="admin",
    examples=("deny @ana", "deny @ana on shop", "deny @ana on shop/production"),
)
async def deny(
    ctx: Context,
    who: str,
    app: App | None = None,
    env: Environment | None = None,
    code: Code = Code(""),  # noqa: ARG001, B008  dispatch asks for it where bot.toml wants one
) -> Card:
    """Take a person's roles away.

    With `on`, the person loses the roles for that app or environment. Without it, they lose all roles and their chat
    accounts. They are then an unknown user and cannot use `link`; only an admin of everything can give them an account
    again. The change takes effect at once, and applies to their requests that have not started, too. The app's channel
    and the other admins are notified.
    """
    taken = await ctx.people.deny(ctx, who, app.name if app else None, env.name if env else None)
    gone, name, where = (
        taken.grants,
        taken.person.name,
        target_name(app.name if app else "*", env.name if env else None),
    )
    if taken.accounts:
        return Card(title=f"{name} has lost all roles and all chat accounts.")
    if not gone:
        if app is None:
            return Card(title=f"{name} has no roles.")
        wider = f"If {name} has a wider role, it still applies to {where}."
        return Card(title=f"{name} has no role on {where} itself.", hint=wider)
    return Card(title=f"{name} has lost {'a role' if gone == 1 else f'{gone} roles'} on {where}.")
