"""Rows of what releases were seen to run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from deploybot.domain import Manifest, ManifestRow, ServiceImage
from deploybot.ports import Tables
from deploybot.store.codec import decode, encode
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, open_database
from deploybot.store.manifest_rows import ManifestRows
from deploybot.store.schema import STEPS
from deploybot.testing import memory_store

V1, V2 = "1" * 40, "2" * 40
WEB = ServiceImage(service="web", image="sha256:1", name="acme/web:1", digest="acme/web@sha256:2", settings="s")


def row(release: str = V1, server: str = "web1", at: float = 1.0, *, verified: bool = True) -> ManifestRow:
    manifest = Manifest(services=(WEB,), files=("compose.yaml",), folder="/home/me/shop")
    where = {"app": "shop", "environment": "production", "server": server, "release": release}
    return ManifestRow(**where, manifest=manifest, at=at, verified=verified)


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store


async def test_a_row_comes_back_as_it_was_kept(store: Database) -> None:
    await store.write(lambda tables: tables.manifests.put(row(verified=False)))
    got = await store.read(lambda tables: tables.manifests.get("shop", "production", "web1", V1))
    assert got == row(verified=False)
    others = ("blog", "production", "web1"), ("shop", "staging", "web1"), ("shop", "production", "web2")
    assert await store.read(lambda tables: [tables.manifests.get(*one, V1) for one in others]) == [None] * 3
    await store.write(lambda tables: tables.manifests.put(row(at=5.0)))
    assert await store.read(lambda tables: tables.manifests.of_target("shop", "production", "web1")) == (row(at=5.0),)


async def test_an_attempt_is_kept_beside_what_was_verified_until_it_is_verified(store: Database) -> None:
    where = ("shop", "production", "web1", V1)

    async def kept(*rows: ManifestRow) -> tuple[object, ...]:
        def work(tables: Tables) -> tuple[object, ...]:
            for one in rows:
                tables.manifests.put(one)
            return tuple(tables.manifests.get(*where, attempt=attempt) for attempt in (False, True))

        return await store.write(work)

    good, tried, again = row(at=1.0), row(at=2.0, verified=False), row(at=3.0, verified=False)
    assert await kept(good) == (good, good)
    assert await kept(tried) == (good, tried)
    assert await kept(again, row("3" * 40), row(server="web2")) == (good, again)
    verified = row(at=4.0)
    assert await kept(verified) == (verified, verified)
    await store.write(lambda tables: tables.manifests.prune("shop", "production", "web1", set()))
    assert await kept() == (None, None)


async def test_a_servers_rows_come_newest_first_and_old_ones_go(store: Database) -> None:
    rows = row(V1, at=1.0), row(V2, at=3.0), row("3" * 40, at=2.0), row(V1, "web2")

    def work(tables: Tables) -> tuple[ManifestRow, ...]:
        for one in rows:
            tables.manifests.put(one)
        return tables.manifests.of_target("shop", "production", "web1")

    assert await store.write(work) == (rows[1], rows[2], rows[0])
    await store.write(lambda tables: tables.manifests.prune("shop", "production", "web1", {V1, V2}))
    assert await store.read(lambda tables: tables.manifests.of_target("shop", "production", "web1")) == (
        rows[1],
        rows[0],
    )
    assert await store.read(lambda tables: tables.manifests.of_target("shop", "production", "web2")) == (rows[3],)


def test_records_of_what_succeeded_are_verified_after_an_update(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m019_attempts")]
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        old.execute("INSERT INTO persons (name) VALUES ('ann')")
        for commit, state in ((V1, "succeeded"), (V2, "failed")):
            old.execute(
                "INSERT INTO deployments (app, environment, kind, state, commit_id, plan, requester, requester_name, "
                "reason, created) VALUES ('shop', 'production', 'deploy', ?, ?, '{}', 1, 'ann', '', 1.0)",
                (state, commit),
            )
            old.execute("INSERT INTO manifests VALUES ('shop', 'production', 'web1', ?, '{}', 1.0, 0)", (commit,))
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        rows = new.execute("SELECT release, manifest, at, verified FROM manifests ORDER BY release").fetchall()
        assert [tuple(one) for one in rows] == [(V1, "{}", 1.0, 1), (V2, "{}", 1.0, 0)]


def test_a_database_with_rows_passes_the_check_of_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    for _ in range(2):
        with closing(open_database(path, Way(durable=False))) as store:
            ManifestRows(store).put(row())
    with closing(open_database(path, Way(durable=False))) as store:
        assert ManifestRows(store).get("shop", "production", "web1", V1) == row()


def test_a_database_of_the_version_before_has_no_rows_yet_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m011_manifests")]
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        old.execute("INSERT INTO persons (name) VALUES ('ann')")
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        assert new.execute("SELECT name FROM persons").fetchall() == [("ann",)]
        assert new.execute("SELECT count(*) FROM manifests").fetchone() == (0,)
    assert path.with_name("deploybot.db.before-m011_manifests").is_file()


def test_a_record_of_the_version_before_has_no_env_file_and_no_profiles() -> None:
    old = decode(Manifest, '{"services": [], "files": ["compose.yaml"], "folder": ""}')
    assert (old.env_file, old.profiles) == (None, None)
    new = Manifest(env_file="", profiles=("web",))
    assert decode(Manifest, encode(new)) == new
