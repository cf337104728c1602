"""List the apps: `apps`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, Line, command


@command("apps", needs="view", examples=("apps",))
async def apps(ctx: Context) -> Card:
    """List the apps you may see: their environments, servers and tasks."""
    environments: dict[str, list[str]] = {}
    visible = await ctx.people.visible(ctx)
    for app, environment in visible:
        environments.setdefault(app.name, []).append(environment_text(environment))
    known = {app.name: app for app, _ in visible}
    return Card(
        title="One app" if len(known) == 1 else f"{len(known)} apps",
        lines=tuple(Line(name, ", ".join(where) + tasks(known[name])) for name, where in environments.items()),
        hint="`status APP` shows what runs.",
    )


def environment_text(environment: Environment) -> str:
    """`staging on web1 (default)`."""
    return f"{environment.name} on {' and '.join(environment.servers)}{' (default)' if environment.default else ''}"


def tasks(app: App) -> str:
    """The named tasks, where there are any."""
    return f"; tasks: {', '.join(app.tasks)}" if app.tasks else ""
