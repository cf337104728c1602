"""Releases that the version before stored keep their ids and everything that describes them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from deploybot.domain import Binding, CommitSource, Pin, Plan, Release
from deploybot.errors import StoreError
from deploybot.store.codec import decode, encode
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, open_database
from deploybot.store.schema import STEPS
from deploybot.store.schema.source_schema import m018_sources
from tests.any_release import COMMITS, PINS, digits

A, B = "a" * 40, "b" * 40
DIGEST = f"sha256:{'1' * 64}"
IMAGE = {"digest": DIGEST, "image": "registry.example.com/acme/shop", "service": "web", "tag": "1.4"}
WEB = Pin("web", "registry.example.com/acme/shop", "1.4", DIGEST)
FOUND = f"{B}-{'f' * 12}"
PINNED = f"{A}-9a29d38158c7"  # as the version before computed it

SINCE = {"tag": "", "known_as": ""}


def old_release(commit: str, **more: object) -> dict[str, object]:
    """A release as the version before wrote it."""
    usual = {"author": "", "committed": 0.0, "found": "", "images": [], "ref": "", "subject": "", "typed": None}
    return {**usual, "commit": commit, **more}


def old_plan(release: dict[str, object], *replaces: object) -> str:
    servers = [{"server": f"web{at}", "steps": [], "replaces": one} for at, one in enumerate(replaces, 1)]
    plan = {"app": "shop", "environment": "production", "kind": "deploy", "digest": "d" * 64}
    return canonical({**plan, "release": release, "servers": servers})


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


OLD_BINDING = canonical(
    {
        "commit": A, "config": [], "digest": "e" * 64, "images": [IMAGE], "origin": [], "ref": "main",
        "replaces": [["web1", FOUND]], "steps": [],
    }
)  # fmt: skip


def fill(path: Path, *plans: tuple[str, str]) -> None:
    """Make a database of the version before, with deployments by release id and plan; the first waits for approvals."""
    steps = STEPS[: STEPS.index(m018_sources)]
    with closing(open_database(path, Way(durable=False), steps=steps)) as old:
        old.execute("INSERT INTO persons (name) VALUES ('ann')")
        for release, plan in plans:
            old.execute(
                "INSERT INTO deployments (app, environment, kind, commit_id, state, plan, requester, requester_name, "
                "reason, created) VALUES ('shop', 'production', 'deploy', ?, 'waiting', ?, 1, 'ann', '', 1.0)",
                (release, plan),
            )
        old.execute(
            "INSERT INTO requests (deployment, binding, wanted, approvers, expires, remind_at, code, compare) "
            "VALUES (1, ?, 1, '[\"approver\"]', 9.0, 8.0, 0, '')",
            (OLD_BINDING,),
        )
        running = canonical(old_release(A, ref="v1", subject="Föö", author="Ann", committed=60))
        old.execute("INSERT INTO running VALUES ('shop', 'production', 'web1', ?, 1, 2.0, 1)", (running,))


async def test_all_that_has_a_release_is_taken_over(path: Path) -> None:
    pinned = old_plan(old_release(A, ref="v1", images=[IMAGE]), old_release(B, found=FOUND), None)
    fill(path, (PINNED, pinned), (FOUND, old_plan(old_release(B, found=FOUND))))
    async with Database(path, durable=False) as store:
        first = await store.read(lambda tables: tables.deployments.get(1))
        second = await store.read(lambda tables: tables.deployments.get(2))
        request = await store.read(lambda tables: tables.requests.get(1))
        (runs,) = await store.read(lambda tables: tables.running.get("shop", "production"))
        assert first
        assert second
        assert request
        assert (first.plan.release, first.plan.release.id) == (Release.of_commit(A, "v1", images=[WEB]), PINNED)
        before = [part.replaces.id if part.replaces else None for part in first.plan.servers]
        assert before == [FOUND, None]
        assert (first.plan.digest, request.binding.digest) == ("d" * 64, "e" * 64)
        assert (second.plan.release.id, second.plan.release.code) == (FOUND, B)
        assert request.binding.release == first.plan.release.bare()
        assert (request.binding.ref, request.binding.replaces) == ("main", (("web1", FOUND),))
        assert runs.release == Release(CommitSource(A), "v1", "Föö", "Ann", 60)
        # The rows are as the bot itself would write them now, but for what releases have since.
        (row,) = await raw(path, "SELECT release FROM running")
        assert canonical(json.loads(row) | SINCE) == encode(runs.release)
        (row,) = await raw(path, "SELECT binding FROM requests")
        kept = json.loads(row)
        assert canonical(kept | {"release": kept["release"] | SINCE}) == encode(request.binding)


async def test_a_row_that_cannot_be_read_hurts_no_other(path: Path) -> None:
    broken = ["{}", "no JSON", "[1]", canonical({"release": "x", "servers": []}), '{"release":NaN,"servers":[]}']
    fill(path, (A, old_plan(old_release(A))), *((A, text) for text in broken))
    async with Database(path, durable=False) as store:
        assert await raw(path, "SELECT plan FROM deployments WHERE number > 1 ORDER BY number") == broken
        first = await store.read(lambda tables: tables.deployments.get(1))
        assert first
        assert first.plan.release == Release.of_commit(A)
        with pytest.raises(StoreError, match="does not hold a Plan"):
            await store.read(lambda tables: tables.deployments.get(2))


async def raw(path: Path, sql: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [str(row[0]) for row in connection.execute(sql)]


def old_id(release: dict[str, object]) -> str:
    """The id, as the version before computed it."""
    images = release.get("images") or []
    assert isinstance(images, list)
    if release.get("found") or not images:
        return str(release.get("found") or release["commit"])
    told = "\n".join(sorted(f"{pin['service']} {pin['digest']}" for pin in images))
    return f"{release['commit']}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


IMAGES = PINS.map(lambda pins: [json.loads(encode(pin)) for pin in pins])
ALONE = COMMITS.map(old_release)
WITH_IMAGES = st.builds(lambda commit, images: old_release(commit, images=images), COMMITS, IMAGES)
ONLY_FOUND = st.builds(lambda commit, mark: old_release(commit, found=f"{commit}-{mark}"), COMMITS, digits(12))
BEFORE_IMAGES = COMMITS.map(lambda commit: {"commit": commit, "ref": "v1"})
NOTHING = st.just(old_release(""))


@given(ALONE | WITH_IMAGES | ONLY_FOUND | BEFORE_IMAGES | NOTHING)
def test_no_id_changes(release: dict[str, object]) -> None:
    database = sqlite_utils.Database(memory=True)
    database.execute("CREATE TABLE deployments (plan)")
    database.execute("CREATE TABLE running (release)")
    database.execute("CREATE TABLE requests (binding)")
    binding = {name: value for name, value in release.items() if name in {"commit", "images"}}
    rest: dict[str, object] = {"ref": None, "config": [], "replaces": [], "steps": []}
    database.execute("INSERT INTO running VALUES (?)", [canonical(release)])
    database.execute("INSERT INTO deployments VALUES (?)", [old_plan(release, release)])
    database.execute("INSERT INTO requests VALUES (?)", [canonical({**rest, **binding})])
    m018_sources(database)
    (text,), (plan,), (bound,) = (
        next(database.query(f"SELECT {column} FROM {table}")).values()  # noqa: S608  names of this line
        for table, column in (("running", "release"), ("deployments", "plan"), ("requests", "binding"))
    )
    kept = decode(Release, text)
    assert (kept.id, kept.ref) == (old_id(release), release["ref"])
    assert {decode(Plan, plan).release, decode(Plan, plan).servers[0].replaces} == {kept}
    release_bound = decode(Binding, bound).release
    assert release_bound is not None
    assert release_bound.id == old_id(binding)
    database.close()
