"""Rows of triggers: one is open in an environment, a release has one deployment, and builds keep their order."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import AUTO, Author, AutoRule, Build, BuildState, Identity, Role, Trigger, TriggerState
from deploybot.errors import StoreError, UserError
from deploybot.ports import Tables
from deploybot.store.codec import encode
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, open_database
from deploybot.store.deployment_rows import DeploymentRows
from deploybot.store.event_rows import EventRows
from deploybot.store.schema import STEPS
from deploybot.store.trigger_rows import TriggerRows
from tests.store.examples import NOW, ann, plan


def trigger(commit: str = "1", environment: str = "staging", **more: object) -> Trigger:
    sha = commit * 40
    made = Trigger(
        app="shop",
        environment=environment,
        rule=AutoRule.BRANCH,
        source="heads/develop",
        commit=sha,
        release=sha,
        ref=sha,
        why="push to develop",
        made=NOW,
    )
    return replace(made, **more)  # type: ignore[arg-type]


async def test_a_trigger_comes_back_as_it_was_put(store: Database) -> None:
    made = await store.write(lambda tables: tables.triggers.add(trigger(why="push to d\ud800evelop")))
    assert made == trigger(number=1, why="push to d?evelop")
    changed = replace(made, problem="It is locked.", shown="open", tries=3, next_at=NOW + 1)
    await store.write(lambda tables: tables.triggers.put(changed))
    assert await store.read(lambda tables: tables.triggers.get(1)) == changed
    assert await store.read(lambda tables: tables.triggers.get(2)) is None


def test_a_database_of_before_migration_23_knows_the_rule_of_each_trigger(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m023_rules")]
    known = (
        ("heads/develop", "push to develop by ana", AutoRule.BRANCH),
        ("tags/v1", "tag v1 by release", AutoRule.TAG),
        ("tags/v2", "release v2 by ana", AutoRule.RELEASE),
        ("images", "image shop:latest", AutoRule.IMAGE),
    )
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        for number, (source, why, _) in enumerate(known):
            row = (
                "INSERT INTO triggers (app, environment, source, commit_id, release, ref, why, made, state, problem, "
                "shown, tries, next_at) VALUES ('shop', ?, ?, '', 'r', '', ?, 1.0, 'open', '', '', 0, 0)"
            )
            old.execute(row, (f"e{number}", source, why))
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        rows = TriggerRows(new)
        found = [rows.get(number) for number in range(1, len(known) + 1)]
        assert [one and one.rule for one in found] == [rule for _, _, rule in known]


async def test_one_stands_in_an_environment(store: Database) -> None:
    await store.write(lambda tables: tables.triggers.add(trigger()))
    await store.write(lambda tables: tables.triggers.add(trigger(environment="production")))
    with pytest.raises((StoreError, sqlite3.IntegrityError)):
        await store.write(lambda tables: tables.triggers.add(trigger("2")))
    current = await store.read(lambda tables: tables.triggers.current("shop", "staging"))
    assert current is not None
    await store.write(lambda tables: tables.triggers.put(replace(current, state=TriggerState.OVERTAKEN)))
    assert await store.read(lambda tables: tables.triggers.current("shop", "staging")) is None
    with pytest.raises(StoreError, match="has ended and cannot become open"):
        await store.write(lambda tables: tables.triggers.put(current))


def deploy(tables: Tables, number: int) -> int:
    made = tables.deployments.add(plan(), requester=ann(tables), reason="", channel=None, now=NOW, trigger=number)
    tables.triggers.mark_deployed(number, made.number)
    return made.number


async def test_one_deployment_comes_of_a_release(store: Database) -> None:
    await store.write(lambda tables: tables.triggers.add(trigger()))
    assert await store.write(lambda tables: deploy(tables, 1)) == 1
    with pytest.raises(UserError, match="no longer wanted"):
        await store.write(lambda tables: deploy(tables, 1))
    await store.write(lambda tables: tables.triggers.add(trigger()))
    with pytest.raises(UserError, match="already deployed automatically, as #1"):
        await store.write(lambda tables: deploy(tables, 2))
    assert await store.read(lambda tables: len(tables.deployments.recent("shop"))) == 1
    assert await store.read(lambda tables: tables.triggers.deployment_of("shop", "staging", "1" * 40)) == 1
    assert await store.read(lambda tables: tables.triggers.deployment_of("shop", "production", "1" * 40)) == 0
    with pytest.raises(UserError, match="no longer wanted"):
        await store.write(lambda tables: deploy(tables, 99))


async def test_what_is_open_or_whose_card_is_behind_is_pending(store: Database) -> None:
    def put(tables: Tables) -> None:
        rows = tables.triggers
        rows.put(replace(rows.add(trigger("1")), state=TriggerState.LEFT, shown="left"))
        rows.put(replace(rows.add(trigger("2")), state=TriggerState.OVERTAKEN, shown="open"))
        rows.put(replace(rows.add(trigger("3")), state=TriggerState.LEFT))
        rows.add(trigger("4"))

    await store.write(put)
    pending = await store.read(lambda tables: tables.triggers.pending("shop"))
    assert [one.commit[0] for one in pending] == ["2", "4"]


async def test_what_is_known_of_a_run_is_kept_whole_and_for_ninety_days(store: Database) -> None:
    queued = Build(sender="github", key="1", name="test", state=BuildState.QUEUED, commit="c1", at=1.0)
    passed = replace(queued, state=BuildState.PASSED, run=7, workflow="5 ci.yml", within="9", fork=True)
    other = replace(queued, sender="jenkins")

    def put(tables: Tables) -> tuple[Build | None, Build | None, tuple[Build, ...]]:
        for one in (queued, other, passed):
            tables.triggers.build("shop", one, NOW)
        rows = tables.triggers
        return rows.built("shop", queued), rows.built("shop", replace(queued, key="2")), rows.builds("shop", "c1")

    assert await store.write(put) == (passed, None, (passed, other))
    await store.write(lambda tables: tables.triggers.build("shop", replace(queued, commit="c2"), NOW + 91 * 86400))
    assert await store.read(lambda tables: tables.triggers.builds("shop", "c1")) == ()


BUILT = Build(sender="github", key="github:acme/shop:run:7", name="CI", state=BuildState.FAILED, commit="c1")


def test_a_database_of_before_migration_25_knows_which_deployments_were_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m025_replaced")]
    row = "INSERT INTO deployments (app, environment, kind, state, commit_id, plan, requester, requester_name, reason, "
    row += "created, replaced_by) VALUES ('shop', 'staging', 'deploy', ?, 'c', ?, 1, 'deploybot', '', 1.0, ?)"
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        old.execute("INSERT INTO persons (name) VALUES ('deploybot')")
        for state, by in (("cancelled", 2), ("cancelled", 0)):
            old.execute(row, (state, encode(plan()), by))
        old.commit()
        rows = TriggerRows(old)
        for number, commit in ((1, "1"), (2, "2")):
            made = rows.add(trigger(commit))
            old.execute(
                "UPDATE triggers SET state = 'deployed', deployment = ? WHERE number = ?", (number, made.number)
            )
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        assert [TriggerRows(new).deployment_of("shop", "staging", one * 40) for one in "12"] == [0, 2]


def test_builds_from_before_migration_15_still_count(tmp_path: Path) -> None:
    """Only GitHub's checks must be reported again: several runs, and those for forks, were one."""
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m015_builds")]
    sql = "INSERT INTO builds (app, commit_id, key, name, state, attempt, at, kept) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    part = "INSERT INTO told_parts VALUES ('shop', 't', ?, 'Build', ?, '', 0.0, '', ?)"
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        old.execute("INSERT INTO told_things VALUES ('shop', 't', ?)", (NOW,))
        for key in ("github github:acme/shop:run:7", "github github:acme/shop:check:github-actions:test:c1"):
            old.execute(sql, ("shop", "c1", key, "CI", "failed", 2, 5.0, NOW))
            old.execute(part, (key, encode(replace(BUILT, key=key.partition(" ")[2])), NOW))
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        found = TriggerRows(new).builds("shop", "c1")
        assert [one.event for one in EventRows(new).parts("shop", "t")] == [BUILT]
    key, failed = "github:acme/shop:run:7", BuildState.FAILED
    assert found == (Build(sender="github", key=key, name="CI", state=failed, commit="c1", attempt=2, at=5.0),)


def test_a_database_of_before_migration_20_keeps_its_triggers(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m020_triggers")]
    row = "INSERT INTO wishes VALUES (?, 'shop', ?, 'heads/develop', ?, ?, ?, 'push to develop', ?, ?, '', ?, 0, 0, ?)"
    one, other = "1" * 40, "2" * 40
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        old.execute("INSERT INTO persons (name) VALUES ('deploybot')")
        old.execute(
            "INSERT INTO deployments (app, environment, kind, state, commit_id, plan, requester, requester_name, "
            "reason, created, wish) VALUES ('shop', 'staging', 'deploy', 'waiting', ?, ?, 1, 'deploybot', '', 1.0, 2)",
            (other, encode(plan())),
        )
        old.execute("INSERT INTO considered VALUES ('shop', '', 'trouble told', 'It does not answer.')")
        old.execute("INSERT INTO brought VALUES ('shop', 'c1', ?, ?)", (encode(Author("ci")), NOW))
        old.execute(row, (1, "staging", one, one, one, NOW, "open", "", 0))
        old.execute(row, (2, "staging", other, other, other, NOW, "deployed", "open", 1))
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        rows, deployments = TriggerRows(new), DeploymentRows(new)
        deployed = trigger("2", number=2, state=TriggerState.DEPLOYED, shown="open", deployment=1)
        assert rows.pending("shop") == (trigger("1", number=1), deployed)
        assert rows.current("shop", "staging") == trigger("1", number=1)
        assert rows.deployment_of("shop", "staging", other) == 1
        assert rows.authors("shop", ["c1"]) == (Author("ci"),)
        assert rows.considered("shop", "") == {"trouble reported": "It does not answer."}
        assert [(made.number, made.trigger) for made in deployments.open()] == [(1, 2)]
        with pytest.raises(sqlite3.IntegrityError, match="a trigger that has ended never changes"):
            new.execute("UPDATE triggers SET state = 'left', deployment = 0 WHERE number = 2")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            rows.add(trigger("3"))
        assert (
            new.execute("SELECT name FROM sqlite_schema WHERE name LIKE '%wish%' OR sql LIKE '%wish%'").fetchall() == []
        )
    assert path.with_name("deploybot.db.before-m020_triggers").is_file()


async def test_who_brought_it_about_is_each_once_and_forgotten_in_the_end(store: Database) -> None:
    ana, bot = Author("Ana", Identity("github", "1")), Author("ci")

    def bring(tables: Tables) -> None:
        for author, what in itertools.product((ana, bot, ana), ("c1", "tags/v1")):
            tables.triggers.put_author("shop", what, author, NOW)

    await store.write(bring)
    found = await store.read(lambda tables: tables.triggers.authors("shop", ["c1", "tags/v1", "other"]))
    assert set(found) == {ana, bot}
    assert len(found) == 2
    await store.write(lambda tables: tables.triggers.put_author("shop", "c2", bot, NOW + 91 * 86400))
    assert await store.read(lambda tables: tables.triggers.authors("shop", ["c1"])) == ()


async def test_what_was_considered_and_published(store: Database) -> None:
    def note(tables: Tables) -> None:
        tables.triggers.consider("shop", "staging", "heads/develop", "a")
        tables.triggers.consider("shop", "staging", "heads/develop", "b")
        tables.triggers.consider("shop", "staging", "branch develop", "")
        tables.triggers.consider("shop", "production", "heads/main", "c")
        tables.triggers.forget("shop", "production", "heads/main")
        for tag in ("v2", "v1", "v2"):
            tables.triggers.publish("shop", tag, NOW)

    await store.write(note)
    seen = await store.read(lambda tables: tables.triggers.considered("shop", "staging"))
    assert seen == {"heads/develop": "b", "branch develop": ""}
    assert await store.read(lambda tables: tables.triggers.considered("shop", "production")) == {}
    assert await store.read(lambda tables: tables.triggers.published("shop")) == ("v1", "v2")


async def test_only_the_bot_is_the_bot(store: Database) -> None:
    itself = await store.write(lambda tables: tables.people.add("deploybot", AUTO))
    other = Identity("console", "7")
    with pytest.raises(UserError, match="deploybot is the bot itself"):
        await store.write(lambda tables: tables.people.add("Deploybot", other))
    with pytest.raises(UserError, match="deploybot is the bot itself"):
        await store.write(lambda tables: tables.people.grant(itself.id, Role.ADMIN))
    with pytest.raises(UserError, match="deploybot is the bot itself"):
        await store.write(lambda tables: tables.people.link(itself.id, other))


async def test_a_waiting_one_is_replaced_once(store: Database) -> None:
    def add(tables: Tables) -> None:
        for _ in range(2):
            tables.deployments.add(plan(), requester=ann(tables), reason="", channel=None, now=NOW, skipped=(1, 2))
        tables.deployments.replaced(1, 2)

    await store.write(add)
    found = await store.read(lambda tables: tables.deployments.get(1))
    assert found is not None
    assert (found.replaced_by, found.skipped) == (2, (1, 2))
    with pytest.raises(StoreError, match="does not wait"):
        await store.write(lambda tables: tables.deployments.replaced(1, 3))
