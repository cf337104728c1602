"""Run a task of bot.toml: `run shop migrate`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, Task, command


@command(
    "run <app> <task> [<env>]", needs="deploy", within=120, examples=("run shop migrate", "run shop migrate production")
)
async def run(ctx: Context, app: App, task: Task, env: Environment) -> Card:
    """Run one of the app's tasks from bot.toml.

    The task runs on the environment's first server, next to the running release. Only named tasks can run, never text
    from a chat. `apps` lists them.
    """
    return await ctx.deployments.task(ctx, app, env, task)
