"""What a person changed in Compose files by hand: automatic deployments, tasks and waiting requests meet it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.deployments.auto_targets import insist_unedited
from deploybot.deployments.switch_tasks import SwitchTasks
from deploybot.domain import NO_RELEASE, Kind, Manifest, Plan, ServerFacts, ServerPlan
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import SwitchTask
from deploybot.strategies import STRATEGIES
from deploybot.strategies.compose.server_files import CONFIGURATION
from tests.deployments.plain import PlainStrategy, planner_of
from tests.kit.bot import BotUnderTest
from tests.kit.settings import bot_settings


def plan_of(before: Manifest | None, configuration: str = "a") -> Plan:
    part = ServerPlan(server="web1", steps=(), before=before, configuration=configuration)
    return Plan(kind=Kind.DEPLOY, app="web", environment="production", release=NO_RELEASE, servers=(part,))


def test_an_automatic_deployment_does_not_bring_the_changes_of_a_person() -> None:
    for same in (Manifest(configuration="a"), Manifest(), None):
        insist_unedited(plan_of(same), is_automatic=True)
    with pytest.raises(UserError, match="The Compose files of web on web1 are not what the last deployment") as refused:
        insist_unedited(plan_of(Manifest(configuration="b")), is_automatic=True)
    assert "deploy web to production" in refused.value.hint
    insist_unedited(plan_of(Manifest(configuration="b")), is_automatic=False)


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
