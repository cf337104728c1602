"""What a person changed in Compose files by hand: automatic deployments, tasks and waiting requests meet it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.deployments.auto_targets import insist_same_files, insist_unedited
from deploybot.deployments.switch_tasks import SwitchTasks
from deploybot.domain import (
    NO_RELEASE,
    Kind,
    Manifest,
    ManifestRow,
    Pin,
    Plan,
    Release,
    Running,
    ServerFacts,
    ServerPlan,
)
from deploybot.errors import UserError
from deploybot.ports import Site, Tables
from deploybot.settings import SwitchTask
from deploybot.strategies import STRATEGIES
from deploybot.strategies.compose.server_files import CONFIGURATION
from tests.deployments.plain import PlainStrategy, planner_of
from tests.kit.bot import BotUnderTest
from tests.kit.settings import bot_settings


def plan_of(before: Manifest | None, configuration: str = "a") -> Plan:
    part = ServerPlan(server="web1", steps=(), before=before, configuration=configuration)
    return Plan(kind=Kind.DEPLOY, app="web", environment="production", release=NO_RELEASE, servers=(part,))


RELEASE = Release.of_images((Pin("web", "acme/web", "1", f"sha256:{'1' * 64}"),))


async def last(bot: BotUnderTest, configuration: str, *, recorded: str = "", failed: bool = False) -> None:
    """The last deployment of the release used this configuration; or another one failed, and the release came back."""

    def put(tables: Tables) -> None:
        release = replace(RELEASE, source=NO_RELEASE.source) if failed else RELEASE
        plan = replace(plan_of(None, configuration), release=release)
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        tables.running.put(Running("web", "production", "web1", RELEASE, made.number, 2.0, healthy=True))
        manifest = Manifest(configuration=recorded)
        tables.manifests.put(
            ManifestRow(
                app="web",
                environment="production",
                server="web1",
                release=RELEASE.id,
                manifest=manifest,
                at=2.0,
                verified=True,
            )
        )

    await bot.store.write(put)


async def test_an_automatic_deployment_does_not_bring_the_changes_of_a_person(bot: BotUnderTest) -> None:
    for same in (Manifest(configuration="a"), None):
        await insist_unedited(bot.store, plan_of(same), is_automatic=True)
    await insist_unedited(bot.store, plan_of(Manifest(), ""), is_automatic=True)
    with pytest.raises(UserError, match="The Compose files of web on web1 are not what the last deployment") as refused:
        await insist_unedited(bot.store, plan_of(Manifest(configuration="b")), is_automatic=True)
    assert "deploy web to production" in refused.value.hint
    await insist_unedited(bot.store, plan_of(Manifest(configuration="b")), is_automatic=False)


async def test_what_a_person_started_is_judged_by_the_last_deployment(bot: BotUnderTest) -> None:
    with pytest.raises(UserError, match="deploybot has not deployed web to web1 yet") as refused:
        await insist_unedited(bot.store, plan_of(Manifest()), is_automatic=True)
    assert "deploy web to production" in refused.value.hint
    await insist_unedited(bot.store, plan_of(Manifest()), is_automatic=False)
    await last(bot, "a", recorded="another one of the same images")
    await insist_unedited(bot.store, plan_of(Manifest()), is_automatic=True)
    with pytest.raises(UserError, match="are not what the last deployment there used"):
        await insist_unedited(bot.store, plan_of(Manifest(), "edited"), is_automatic=True)
    await last(bot, "failed", recorded="b", failed=True)
    with pytest.raises(UserError, match="are not what the last deployment there used"):
        await insist_unedited(bot.store, plan_of(Manifest(), "failed"), is_automatic=True)
    await insist_unedited(bot.store, plan_of(Manifest(), "b"), is_automatic=True)


def test_files_that_change_between_plan_and_start_end_a_deployment() -> None:
    insist_same_files(plan_of(None), plan_of(Manifest(configuration="b")))
    insist_same_files(replace(plan_of(None), servers=()), plan_of(None))
    with pytest.raises(UserError, match="The Compose files of web on web1 changed since this was planned"):
        insist_same_files(plan_of(None), plan_of(None, "b"))


def test_tasks_before_the_switch_are_bound_to_the_planned_configuration() -> None:
    app = bot_settings(apps={"web": {"repo": None, "strategy": "compose", "tasks": {"migrate": "x"}}}).apps["web"]
    facts = ServerFacts(home="/", server="web1", compose=("docker", "compose"), compose_version="2.26.1")
    site = Site(app=app, environment=app.environments["production"], facts=facts)
    tasks = SwitchTasks((SwitchTask(task="migrate"),), ())
    part = plan_of(None).servers[0]
    ready, task = tasks.added(STRATEGIES["compose"], site, NO_RELEASE, part, first=True).steps
    assert (ready.name, dict(ready.env)[CONFIGURATION], task.name) == ("ready", "a", "migrate")
    plain = tasks.added(STRATEGIES["compose"], site, NO_RELEASE, replace(part, configuration=""), first=True)
    assert CONFIGURATION not in dict(plain.steps[0].env)


async def test_a_broken_file_does_not_void_a_request_as_if_its_ref_were_gone(
    bot: BotUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = planner_of(bot, PlainStrategy())

    async def broken(*_: object) -> None:
        raise UserError("Compose cannot read the files in /srv/web on web1.")

    monkeypatch.setattr(planner.releases, "resolve", broken)
    assert await planner.meaning(bot.app, bot.production, "1.4") is None
    app = bot.app.model_copy(update={"repo": None})
    with pytest.raises(UserError, match="Compose cannot read the files"):
        await planner.meaning(app, bot.production, "1.4")
