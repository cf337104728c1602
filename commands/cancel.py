"""Stop a deployment or a followed log: `cancel #42`, `cancel log-3`."""

from __future__ import annotations

from deploybot import Card, Context, Deployment, Follow, command


@command("cancel <what>", needs="deploy", examples=("cancel #42", "cancel log-3"))
async def cancel(ctx: Context, what: Deployment | Follow) -> Card:
    """Stop a deployment that is not finished, or a followed log.

    Give the number of a deployment; its card then shows what runs. Or give the name of a log from its card. Viewers
    can stop a log, too.
    """
    if isinstance(what, Deployment):
        return await ctx.deployments.cancel(ctx, what.number)
    stopped = ctx.logs.stop(what.name)
    return Card(title=f"{what.name} is stopped." if stopped else f"{what.name} has already ended.", aside=True)
