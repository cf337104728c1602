"""List the apps: `apps`."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot import App, Card, Context, Environment, Line, command


@command("apps", needs="view", examples=("apps",))
async def apps(ctx: Context) -> Card:
    """List the apps you may see: their environments, servers and tasks."""
    environments: dict[str, list[str]] = {}
    visible = await ctx.people.visible(ctx)
    for app, environment in visible:
        environments.setdefault(app.name, []).append(environment_text(environment))
    known: dict[str, list[App]] = {}
    for app, environment in visible:
        known.setdefault(app.name, []).append(app.at(environment))
    return Card(
        title="One app" if len(known) == 1 else f"{len(known)} apps",
        lines=tuple(Line(name, ", ".join(where) + tasks(known[name])) for name, where in environments.items()),
        hint="`status APP` shows what runs.",
    )


def environment_text(environment: Environment) -> str:
    """`staging on web1 (default)`."""
    return f"{environment.name} on {' and '.join(environment.servers)}{' (default)' if environment.default else ''}"


def tasks(where: Iterable[App]) -> str:
    """The named tasks, where there are any, in any of the environments."""
    names = dict.fromkeys(task for app in where for task in app.tasks)
    return f"; tasks: {', '.join(names)}" if names else ""
