"""Deployments by themselves, put together where bot.toml has any `auto`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploybot.access import Access
from deploybot.assembly.doors import notice_board
from deploybot.assembly.world import World
from deploybot.chat.places import event_places
from deploybot.deploy.automatic import is_used
from deploybot.dispatch import Dispatcher
from deploybot.domain import AUTO, Action, Release, Wish
from deploybot.settings import Settings

if TYPE_CHECKING:
    from deploybot.events.auto.looks import Automatic
    from deploybot.events.auto.pursuit import Refusal
    from deploybot.events.auto.watch import Watch


@dataclass(slots=True)
class ByItself:
    """Deployments by themselves: `automatic` hears events, `watch` looks."""

    automatic: Automatic
    watch: Watch
    _task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Look at everything now, and go on watching, in this task."""
        self._task = asyncio.create_task(self.watch.run(self.automatic.look), name="watch")
        return self._task

    async def close(self) -> None:
        """Ask for nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def by_itself(settings: Settings, world: World, access: Access, dispatcher: Dispatcher) -> ByItself | None:
    """What bot.toml's `auto` needs, where there is any; it is imported only then."""
    if not is_used(settings):
        return None
    from deploybot.events.auto.gone import GoneBranches  # noqa: PLC0415  see above
    from deploybot.events.auto.looks import Automatic  # noqa: PLC0415  see above
    from deploybot.events.auto.pursuit import Pursuit, Refusal  # noqa: PLC0415  see above
    from deploybot.events.auto.watch import Watch  # noqa: PLC0415  see above
    from deploybot.events.auto.wishes import WishBook  # noqa: PLC0415  see above

    async def refusal(wish: Wish) -> Refusal:
        # The images of a release are known only once it is pinned: then `after` is asked by the command itself.
        release = None if settings.apps[wish.app].images else Release(wish.commit)
        answer = await access.ask(
            AUTO,
            action=Action.DEPLOY,
            command="deploy",
            app=wish.app,
            environment=wish.environment,
            release=release,
        )
        if answer.decision.allowed:
            return Refusal()
        lock, why = answer.lock, " ".join(answer.decision.reasons)
        if lock is None or not answer.decision.held:
            return Refusal(why)
        # Without how long it has held: the card would change with every look.
        return Refusal(f"{why} “{lock.reason}” `unlock {wish.app} {wish.environment}` releases it.", lock.until)

    book = WishBook(world.clock, lambda app: app.channel or event_places(settings))
    apps = [app for app in settings.apps.values() if any(one.auto for one in app.environments.values())]
    watch = Watch(apps, store=world.store, clock=world.clock, book=book)
    pursuit = Pursuit(
        store=world.store,
        clock=world.clock,
        book=book,
        handle=dispatcher.handle,
        refusal=refusal,
        callers=settings.hooks,
    )
    automatic = Automatic(
        store=world.store,
        clock=world.clock,
        refs=world.refs,
        images=world.images,
        pursuit=pursuit,
        book=book,
        ring=watch.ring,
        gone=GoneBranches(world.store, notice_board(settings, world)),
    )
    return ByItself(automatic, watch)
