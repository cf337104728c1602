"""Stop a deployment or a followed log: `cancel #42`, `cancel log-3`."""

from __future__ import annotations

from deploybot import Card, Context, Deployment, Follow, command


@command("cancel <what>", needs="deploy", examples=("cancel #42", "cancel log-3"))
async def cancel(ctx: Context, what: Deployment | Follow) -> Card:
    """Stop a deployment that has not ended, or a log that is followed.

    A deployment is named by its number; its card tells what runs after it has stopped. A log is named as on its
    card; anybody who may read it may stop it.
    """
    if isinstance(what, Deployment):
        return await ctx.deployments.cancel(ctx, what.number)
    stopped = ctx.logs.stop(what.name)
    return Card(title=f"{what.name} is stopped." if stopped else f"{what.name} has ended already.", aside=True)
