from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.domain import Release, ServerFacts
from deploybot.errors import UserError
from deploybot.strategies import STRATEGIES
from tests.lab import Repo
from tests.strategies.conftest import MakeServer, StepEnded, env_of, make_app, site_of

SCRIPT = STRATEGIES["script"]
OLD, NEW = Release.of_commit("a" * 40, ref="v1"), Release.of_commit("b" * 40, ref="v2")


def test_plan() -> None:
    app = make_app("script", script="ops/deploy.sh", health={"tcp": "127.0.0.1:80", "within": "5s"})
    facts = ServerFacts(home="/", server="web1", git=True, releases=(OLD.id,), current=OLD.id)
    plan = SCRIPT.deploy(site_of(app, facts), NEW, OLD)
    fetch, switch = plan.steps
    assert (fetch.script, env_of(fetch)["DEPLOYBOT_BUILT"]) == ("fetch", "yes")
    assert (switch.name, switch.script, switch.switches) == ("switch", "switch", True)
    assert env_of(switch)["DEPLOYBOT_SCRIPT"] == "ops/deploy.sh"
    (back,) = plan.restore
    env = env_of(back)
    assert (env["DEPLOYBOT_SCRIPT"], env["DEPLOYBOT_RELEASE"], env["DEPLOYBOT_PREVIOUS"], env["DEPLOYBOT_RESTORE"]) == (
        "ops/deploy.sh",
        OLD.id,
        NEW.id,
        "yes",
    )
    assert plan.gate
    assert (plan.gate.kind, plan.gate.target, plan.gate.within) == ("tcp", "127.0.0.1:80", 5.0)


def test_restart_task_and_prune() -> None:
    app = make_app("script", script="deploy.sh", restart="reload", tasks={"hi": "echo hi"})
    facts = ServerFacts(home="/", releases=(OLD.id, NEW.id), current=NEW.id)
    (step,) = SCRIPT.restart(site_of(app, facts), NEW).steps
    assert (step.script, env_of(step)["DEPLOYBOT_COMMAND"]) == ("command", "reload")
    (step,) = SCRIPT.task(site_of(app, facts), NEW, "hi").steps
    assert env_of(step)["DEPLOYBOT_COMMAND"] == "echo hi"
    (step,) = SCRIPT.prune(site_of(app, facts), (NEW.id,))
    assert (step.script, step.bind) == ("prune", "prune")
    with pytest.raises(UserError):
        SCRIPT.restart(site_of(make_app("script", script="x"), facts), NEW)


DEPLOY = """#!/bin/sh
set -eu
echo "$DEPLOYBOT_APP $DEPLOYBOT_ENVIRONMENT $DEPLOYBOT_REF from ${DEPLOYBOT_PREVIOUS:-nothing}"
test -f ops/deploy.sh
cp version ../../serving
"""


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    repo.commit({"ops/deploy.sh": DEPLOY, "version": "one"})
    repo.tag("v1")
    repo.commit({"ops/deploy.sh": DEPLOY.removeprefix("#!/bin/sh\n"), "version": "two"})
    repo.tag("v2")
    repo.commit({"ops/deploy.sh": DEPLOY + "exit 7\n", "version": "three"})
    repo.tag("v3")
    repo.commit({"ops/deploy.sh": None})
    repo.tag("v4")
    return repo


def test_real_cycle(make_server: MakeServer, repo: Repo) -> None:
    server = make_server(make_app("script", repo=repo.url, script="ops/deploy.sh"))
    serving = server.directory / "serving"
    assert "shop production v1 from nothing\n" in server.run(server.plan("v1").steps)
    assert serving.read_text() == "one"
    # Not executable: run by sh.
    assert f"v2 from {repo.sha('v1')}\n" in server.run(server.plan("v2").steps)
    assert serving.read_text() == "two"
    assert server.facts().current == repo.sha("v2")

    plan = server.plan("v3")
    with pytest.raises(StepEnded, match="switch ended with 7"):
        server.run(plan.steps)
    assert (serving.read_text(), server.facts().current) == ("three", repo.sha("v2"))
    assert server.facts().switching == repo.sha("v3")
    assert f"before from {repo.sha('v3')}\n" in server.run(plan.restore)
    assert (serving.read_text(), server.facts().current, server.facts().switching) == ("two", repo.sha("v2"), "")

    # What a script that failed half-way started may run from the files of its release.
    with pytest.raises(StepEnded, match="switch ended with 7"):
        server.run(server.plan("v3").steps)
    used = server.directory / "releases" / repo.sha("v3") / "version"
    there = used.stat().st_ino
    with pytest.raises(StepEnded, match="switch ended with 7"):
        server.run(server.plan("v3").steps)
    assert used.stat().st_ino == there

    with pytest.raises(StepEnded, match=r"There is no ops/deploy.sh in this release"):
        server.run(server.plan("v4").steps)
