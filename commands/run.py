"""Run a task of bot.toml: `run shop migrate`."""

from __future__ import annotations

from deploybot import App, Card, Context, Environment, Task, command


@command(
    "run <app> <task> [<env>]", needs="deploy", within=120, examples=("run shop migrate", "run shop migrate production")
)
async def run(ctx: Context, app: App, task: Task, env: Environment) -> Card:
    """Run a task that bot.toml gives the app.

    It runs on the environment's first server, beside the release that runs there. Only named tasks are run,
    never text from a chat; `apps` lists them.
    """
    return await ctx.deployments.task(ctx, app, env, task)
