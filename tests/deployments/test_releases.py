"""What one goes back to, and refs that begin with a colon."""

from __future__ import annotations

import pytest

from deploybot.deployments.past_releases import LOOK_BACK, good_past, good_ways, past_before, past_ids
from deploybot.domain import Deployment, Kind, Plan, RefRule, Release, Running, ServerPlan, State
from deploybot.errors import UserError
from deploybot.ports import Tables
from tests.kit.bot import V1, V2, V3, BotUnderTest


def done(release: Release, kind: Kind = Kind.DEPLOY, state: State = State.SUCCEEDED) -> Deployment:
    plan = Plan(kind=kind, app="shop", environment="production", release=release, servers=())
    return Deployment(number=1, plan=plan, state=state, requester=1, requester_name="ana")


@pytest.mark.parametrize(
    ("history", "past"),
    [
        ([], []),
        ([done(V1), done(V2)], [V1, V2]),
        ([done(V1), done(V2), done(V1)], [V2, V1]),
        ([done(V1), done(V2, state=State.RESTORED)], [V1]),
        ([done(V1), done(V2), done(V3), done(V2, Kind.ROLLBACK)], [V1, V2]),
        ([done(V1), done(V2), done(V3), done(V2, Kind.ROLLBACK), done(V1, Kind.ROLLBACK)], [V1]),
        ([done(V1), done(V2), done(V1, Kind.ROLLBACK), done(V3)], [V1, V3]),
        ([done(V1), done(V2, Kind.ROLLBACK)], [V1, V2]),
        ([done(V1), done(V2), done(V2, Kind.RESTART)], [V1, V2]),
        ([done(V1), done(V2), done(V1, Kind.RESTART)], [V1, V2]),
        ([done(V1), done(V2, state=State.FAILED), done(V3)], [V1, V3]),
    ],
)
def test_a_rollback_takes_away_what_it_went_back_from(history: list[Deployment], past: list[Release]) -> None:
    assert good_past(history) == past


def test_a_rollback_to_what_ran_before_all_that_is_looked_at_takes_all_of_it_away() -> None:
    runs = [(Kind.DEPLOY, f"r{number}") for number in range(LOOK_BACK)]
    assert past_ids([*runs[1:], (Kind.ROLLBACK, "older")]) == ["older"]
    assert past_ids([*runs[1:], (Kind.ROLLBACK, "r7")]) == [f"r{number}" for number in range(1, 8)]
    again = [(Kind.ROLLBACK, "r8"), (Kind.ROLLBACK, "r9")]  # r9 was rolled back from, and approved again
    assert past_ids([*runs[3:], *again])[-2:] == ["r8", "r9"]
    assert past_ids([*runs[2:], (Kind.ROLLBACK, "new")])[-2:] == ["r199", "new"]  # that is all that ever ran


def edited(number: int, release: Release, *settings: str, kind: Kind = Kind.DEPLOY) -> Deployment:
    """A deployment with settings of its servers, as `web1=a`."""
    parts = [one.partition("=") for one in settings]
    servers = tuple(ServerPlan(server=name, steps=(), configuration=value) for name, _, value in parts)
    plan = Plan(kind=kind, app="shop", environment="production", release=release, servers=servers)
    return Deployment(number=number, plan=plan, state=State.SUCCEEDED, requester=1, requester_name="ana")


def test_the_same_images_with_other_settings_are_a_way_back_of_their_own() -> None:
    history = [edited(1, V1, "web1=a"), edited(2, V2, "web1=a"), edited(3, V2, "web1=a"), edited(4, V2, "web1=b")]
    before = past_before(good_ways(history), [V2])
    assert [(one.deployment.number, one.settings) for one in before] == [(1, {"web1": "a"}), (3, {"web1": "a"})]
    assert before[-1].deployment.named.deployment == 3
    # What was gone back from does not come back, and the next one goes further back.
    history.append(edited(5, V2, "web1=a", kind=Kind.ROLLBACK))
    assert [one.deployment.number for one in past_before(good_ways(history), [V2])] == [1]
    # A rollback that found no copy of its settings went back all the same.
    history[-1] = edited(5, V1, "web1=c", kind=Kind.ROLLBACK)
    assert [one.deployment.number for one in good_ways(history)] == [5]


def test_servers_that_a_deployment_left_out_keep_their_settings() -> None:
    history = [edited(1, V1, "web1=a", "web2=b"), edited(2, V1, "web1=a"), edited(3, V1, "web2=c")]
    assert [one.settings for one in good_ways(history)] == [{"web1": "a", "web2": "b"}, {"web2": "c"}]
    assert [one.deployment.number for one in good_ways(history)] == [2, 3]


async def test_previous_means_other_images_and_a_rollback_may_mean_other_settings(
    bot: BotUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = bot.deployments.releases
    rows = (edited(3, V2, "web1=b"), edited(2, V2, "web1=a"), edited(1, V1, "web1=a"))
    kind = await bot.store.read(lambda tables: type(tables.deployments))
    monkeypatch.setattr(kind, "succeeded", lambda *_: rows)

    async def running(*_: object) -> dict[str, Release]:
        return {"web1": V2}

    monkeypatch.setattr(releases, "running", running)
    assert await releases.resolve(bot.app, bot.production, ":previous") == V1
    back = await releases.last_good(bot.app, bot.production, before=V2)
    assert back is not None
    assert (back, back.deployment) == (V2, 2)
    settings = await releases.names.settings_of(bot.production, back)
    assert (settings, await releases.names.settings_of(bot.production, V2)) == ({"web1": "a"}, {})


async def test_rolling_back_twice_goes_further_back(bot: BotUnderTest) -> None:
    releases = bot.deployments.releases
    for release in (V1, V2, V3):
        await bot.deploy(release)
    for expected in (V2, V1):
        current = await releases.current(bot.app, bot.production)
        target = await releases.last_good(bot.app, bot.production, before=current)
        assert target == expected
        await bot.deploy(expected, rollback=True)
    current = await releases.current(bot.app, bot.production)
    assert await releases.last_good(bot.app, bot.production, before=current) is None


async def test_colon_refs(bot: BotUnderTest) -> None:
    releases = bot.deployments.releases
    with pytest.raises(UserError, match="shop has no current release in production yet"):
        await releases.resolve(bot.app, bot.production, ":current")
    await bot.deploy(V1)
    await bot.deploy(V2)
    assert await releases.resolve(bot.app, bot.production, ":current") == V2
    assert await releases.resolve(bot.app, bot.production, ":previous") == V1
    assert (await releases.resolve(bot.app, bot.production, "v3")).id == V3.id
    with pytest.raises(UserError, match=":next is not a ref"):
        await releases.resolve(bot.app, bot.production, ":next")
    with pytest.raises(UserError, match="needs an environment"):
        await releases.resolve(bot.app, None, ":current")


async def test_the_newest_refs_are_offered(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.refs.branches = {"main": V2.id, **{f"topic{n}": V3.id for n in range(9)}}
    bot.refs.tags = {f"v{n}": V1.id if n == 9 else V3.id for n in range(9, 0, -1)}
    offered = await bot.deployments.releases.offered(bot.app, bot.production)
    refs = ["main", "v9", "v8", "v7", "v6", "topic0", "topic1", "topic2"]
    assert offered == tuple((f"{ref} · runs" if ref == "v9" else ref, ref) for ref in refs)
    bot.refs.branches = {"main": V2.id}
    refs = ["main", "v9", "v8", "v7", "v6", "v5", "v4", "v3"]
    assert [ref for _, ref in await bot.deployments.releases.offered(bot.app, bot.production)] == refs


async def test_refs_that_the_environment_excludes_are_not_offered(bot: BotUnderTest) -> None:
    rules = (RefRule(branch="main", tag="main"), RefRule(tag="v*", on="main"), RefRule(tag="x*", on="stable"))
    limited = bot.production.model_copy(update={"refs": rules})
    bot.refs.branches = {"main": V2.id, "topic": V3.id, "v9": V3.id}
    bot.refs.tags = {"v1": V1.id, "x1": V1.id, "nightly": V1.id}
    offered = await bot.deployments.releases.offered(bot.app, limited)
    assert [ref for _, ref in offered] == ["main", "v1"]


async def test_a_way_back_of_settings_alone_is_offered_and_what_runs_is_not(bot: BotUnderTest) -> None:
    """`rollback shop to #1` brings the settings of #1 back, so #1 and #2 are two choices."""
    ends = []
    for settings in ("a", "b", "a"):

        def put(tables: Tables, settings: str = settings) -> int:
            part = ServerPlan(server="web1", steps=(), configuration=settings)
            plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V1, servers=(part,))
            made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
            tables.deployments.move(made.number, State.SUCCEEDED, now=2.0)
            tables.running.put(Running("shop", "production", "web1", V1, made.number, 2.0, healthy=True))
            return made.number

        await bot.store.write(put)
        ends.append(await bot.deployments.releases.offered(bot.app, bot.production, back=True))
    assert ends == [(), (("v1 · #1 · other settings", "#1"),), (("v1 · #2 · other settings", "#2"),)]


async def test_after_a_restore_the_settings_that_ran_well_last_are_what_runs(bot: BotUnderTest) -> None:
    def put(tables: Tables) -> None:
        for release, settings in ((V1, "a"), (V1, "b"), (V2, "c")):
            part = ServerPlan(server="web1", steps=(), configuration=settings)
            plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=release, servers=(part,))
            made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
            tables.deployments.move(made.number, State.SUCCEEDED if release == V1 else State.FAILED, now=2.0)
            tables.running.put(Running("shop", "production", "web1", V1, made.number, 2.0, healthy=True))

    await bot.store.write(put)
    offered = await bot.deployments.releases.offered(bot.app, bot.production, back=True)
    assert offered == (("v1 · #1 · other settings", "#1"),)


async def test_the_last_good_releases_are_offered_to_go_back_to(bot: BotUnderTest) -> None:
    releases = bot.deployments.releases
    assert await releases.offered(bot.app, bot.production, back=True) == ()
    for release in (V1, V2, V3):
        await bot.deploy(release)
    assert await releases.offered(bot.app, bot.production, back=True) == (("v2 · #2", "#2"), ("v1 · #1", "#1"))
    bot.refs.down = "no answer"
    assert len(await releases.offered(bot.app, bot.production, back=True)) == 2
