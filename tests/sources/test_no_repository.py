"""Apps without a repository have no refs and no commits, and git is never asked about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.domain import Changes, Heads, Holding
from deploybot.errors import UserError
from deploybot.sources.no_repository import Repositories
from deploybot.testing import FakeRefs
from tests.kit.settings import bot_settings

OLD, NEW = "a" * 40, "b" * 40
APPS = bot_settings(apps={"web": {"repo": None, "strategy": "compose"}, "shop": {}}).apps


@pytest.fixture
def refs(tmp_path: Path) -> FakeRefs:
    made = FakeRefs(tmp_path, main=NEW)
    made.branches, made.tags = {"main": NEW}, {"v1": OLD}
    made.parents = {NEW: OLD}
    made.between[OLD, NEW] = Changes(total=1)
    made.trees[NEW] = ("x",)
    return made


async def test_an_app_without_one_is_never_asked_about(refs: FakeRefs) -> None:
    web, both = APPS["web"], Repositories(refs)
    assert await both.heads(web) == Heads()
    assert await both.newest(web) == ()
    assert await both.changes(web, OLD, NEW) == Changes(known=False)
    assert (await both.is_ancestor(web, OLD, NEW), await both.touched(web, OLD, NEW, ["*"])) == (None, None)
    assert (await both.holding(web, NEW), await both.message(web, NEW)) == (Holding(), "")
    assert (await both.signature(web, NEW)).problem == "there is no repository"
    assert await both.ships(web, NEW, ["x"]), "what is unknown may be there"
    assert (await both.unfetched(web, NEW)).sentences == ()
    for ask in (both.resolve(web, "main"), both.bundle(web, NEW, ()), both.archive(web, NEW)):
        with pytest.raises(UserError, match="web has no repository"):
            await ask
    assert refs.calls["web"] == 0


async def test_an_app_with_one_is_asked_about(refs: FakeRefs) -> None:
    shop, both = APPS["shop"], Repositories(refs)
    assert (await both.resolve(shop, "main")).code == NEW
    assert (await both.heads(shop)).branches == {"main": NEW}
    assert [one.name for one in await both.newest(shop)] == ["main", "v1"]
    assert (await both.changes(shop, OLD, NEW)).total == 1
    assert await both.is_ancestor(shop, OLD, NEW)
    assert await both.touched(shop, OLD, NEW, ["*"]) == ()
    assert (await both.holding(shop, NEW)).branches == ("main",)
    assert await both.message(shop, NEW) == "Change things"
    assert (await both.signature(shop, NEW)).problem == "the commit has no signature"
    assert not await both.ships(shop, NEW, ["y"])
    assert (await both.unfetched(shop, NEW)).sentences == ()
    assert (await both.bundle(shop, NEW, ())).name == f"{NEW}.bundle"
    assert (await both.archive(shop, NEW)).name == f"{NEW}.tar.gz"
