"""Refs of apps whose releases are built files: what is served now, or what ran by that name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.deployments import retention
from deploybot.deployments.artifact_refs import artifact_release, insist_on_file
from deploybot.deployments.deployment_card import number_of
from deploybot.deployments.retention import releases_in_need
from deploybot.domain import ArtifactSource, Release, ServerPlan, ServerUpload, Step, UploadKind
from deploybot.errors import UserError
from deploybot.settings import App
from deploybot.testing import FakeRefs
from tests.kit.bot import V1, V2, V3, BotUnderTest, open_bot

ONE, TWO = (Release(ArtifactSource(digit * 64, f"site-{digit}.tar.gz", size=7), f"1.{digit}") for digit in "12")


class Served(FakeRefs):
    """Refs that mean an artifact."""

    async def resolve(self, app: App, ref: str) -> Release:
        self.calls[app.name] += 1
        return TWO if ref == "1.1" else ONE


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    async with open_bot(tmp_path) as made:
        yield made


async def found(bot: BotUnderTest, refs: Served, ref: str, *, back: bool) -> Release:
    return await artifact_release(bot.store, refs, bot.app, bot.production, ref, back=back)


async def test_a_way_back_asks_what_ran_and_anything_else_what_is_served(bot: BotUnderTest, tmp_path: Path) -> None:
    refs = Served(tmp_path)
    for release in (V1, V2):
        assert (await bot.deploy(release)).state.value == "succeeded"
    assert await found(bot, refs, "v1", back=True) == V1
    assert await found(bot, refs, V2.short, back=True) == V2
    assert await found(bot, refs, V1.id, back=True) == V1
    assert refs.calls.total() == 0
    with pytest.raises(UserError) as caught:
        await found(bot, refs, "1.1", back=True)
    assert caught.value.sentence == "shop has not run 1.1 in production."
    assert caught.value.hint == "`history shop` lists what ran."
    assert await found(bot, refs, "1.1", back=False) == TWO
    assert await artifact_release(bot.store, refs, bot.app, None, "1.1", back=True) == TWO


async def test_files_of_what_runs_ran_well_or_waits_are_needed(
    bot: BotUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = bot.app
    for release in (V1, V2):
        await bot.deploy(release)
    monkeypatch.setattr(retention, "LEAST_GOOD", 1)
    less = app.model_copy(update={"keep": 1})
    assert await bot.store.read(lambda tables: releases_in_need(tables, less)) == {V2.id}
    async with bot.busy():
        number = number_of((await bot.request(V3)).key)
        assert await bot.store.read(lambda tables: releases_in_need(tables, less)) == {V2.id, V3.id}
        other = app.model_copy(update={"name": "other"})
        assert await bot.store.read(lambda tables: releases_in_need(tables, other)) == set()
    assert number is not None
    await bot.end_of(number)
    assert await bot.store.read(lambda tables: releases_in_need(tables, app)) == {V1.id, V2.id, V3.id}


async def test_a_way_back_is_named_by_digits_that_mean_one_release(bot: BotUnderTest, tmp_path: Path) -> None:
    refs = Served(tmp_path)
    for release in (V1, V2):
        await bot.deploy(release)
    assert V1.code is not None
    assert await found(bot, refs, V1.code[:7], back=True) == V1
    for few in (V1.code[:6], V1.code[:7] + "z"):
        with pytest.raises(UserError, match="has not run"):
            await found(bot, refs, few, back=True)
    await bot.deploy(Release.of_commit(V1.code[:20] + "0" * 20))
    with pytest.raises(UserError, match="is the beginning of several releases") as caught:
        await found(bot, refs, V1.code[:7], back=True)
    assert caught.value.hint == "Write more digits."
    assert await found(bot, refs, V1.code, back=True) == V1


async def test_a_small_keep_lets_files_stay_as_do_removed_environments(bot: BotUnderTest) -> None:
    for release in (V1, V2):
        await bot.deploy(release)
    less = bot.app.model_copy(update={"keep": 1, "environments": {}})
    assert await bot.store.read(lambda tables: releases_in_need(tables, less)) == {V1.id, V2.id}


async def test_a_plan_that_sends_a_file_needs_it(bot: BotUnderTest, tmp_path: Path) -> None:
    refs, there = Served(tmp_path), ServerPlan(server="web2", steps=(Step(name="switch", script="switch"),))
    upload = ServerUpload(kind=UploadKind.ARTIFACT, target="/x", commit="", artifact=ONE)
    sends = ServerPlan(server="web1", steps=(Step(name="fetch", script="fetch", uploads=(upload,)),))
    await insist_on_file(refs, bot.app, ONE, sends)
    refs.gone_files = {ONE.id}
    await insist_on_file(refs, bot.app, ONE, there)
    with pytest.raises(UserError) as caught:
        await insist_on_file(refs, bot.app, ONE, sends)
    assert caught.value.sentence == "1.1 (artifact-1111111111) of shop is not on the bot any more, and not on web1."
    assert caught.value.hint == "Upload it again: deploybot push FILE --app shop"
