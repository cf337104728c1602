"""Report once the branches that `auto` names but the repository lacks, with the names that they may have now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from deploybot.autodeploy.event_hints import autos
from deploybot.autodeploy.trigger_cards import plain
from deploybot.domain import Heads
from deploybot.events.watched_refs import fits
from deploybot.ports import Store, Tables
from deploybot.settings import App
from deploybot.setup_notices import Notice, NoticeBoard

_SHOWN: Final = 5
_GLOB: Final = frozenset("*?")


class GoneBranches:
    """Compares the branches of `auto` with those of the repository, and reports changes since the last check."""

    def __init__(self, store: Store, board: NoticeBoard) -> None:
        """Take the store, and the board that shows the notices."""
        self._store = store
        self._board = board
        self._known: dict[str, bool] = {}

    async def look(self, app: App, heads: Heads) -> None:
        """Report branches that are missing, and close the notices of those that are back. Raises StoreError."""
        now = dict(_missing(app, heads))
        changed = {key: is_gone for key, (_, is_gone) in now.items() if self._known.get(key) is not is_gone}
        if not changed:
            return

        def report(tables: Tables) -> None:
            for key, is_gone in changed.items():
                environment = now[key][0]
                if is_gone:
                    seen = tables.triggers.considered(app.name, environment)
                    self._board.report(tables, _notice(app, environment, key, heads, seen))
                else:
                    self._board.close(tables, key)

        await self._store.write(report)
        self._known |= changed


def _missing(app: App, heads: Heads) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield for each environment with a branch the key of its notice, its name, and whether the branch is missing."""
    for name, auto in autos(app).items():
        if auto.branch:
            is_gone = not any(fits(auto.branch, branch) for branch in heads.branches)
            yield f"branch {app.name}/{name} {auto.branch}", (name, is_gone)


def _notice(app: App, environment: str, key: str, heads: Heads, seen: dict[str, str]) -> Notice:
    branch = app.environments[environment].auto.branch or ""  # type: ignore[union-attr]  # `_missing` checked that
    last = seen.get(f"heads/{branch}", "")
    heirs = sorted(plain(name) for name, commit in heads.branches.items() if last and commit == last)
    others = ", ".join(sorted(map(plain, heads.branches))[:_SHOWN]) or "none"
    if heirs:
        text = (
            f"Its last commit {last[:10]} is the head of {' and '.join(heirs[:_SHOWN])} now: it may have been renamed."
        )
    else:
        text = f"Branches found: {others}{' …' if len(heads.branches) > _SHOWN else ''}."
    what = "no branch matches" if _GLOB & {*branch} else "the repository has no branch"
    return Notice(
        key=key,
        app=f"{app.name}/{environment}",
        title=f"{app.name}/{environment} is not deployed automatically: {what} {branch}.",
        text=text,
        fix=f"Fix `branch` in [apps.{app.name}.environments.{environment}.auto], or push that branch.",
    )
