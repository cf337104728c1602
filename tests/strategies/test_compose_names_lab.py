"""Compose files that use the names of the release, on a real Docker Engine: plan, `up`, status and restore agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.domain import EffectKind, State
from deploybot.observed_state import judge, observe
from deploybot.observed_state.comparison import Judgement
from deploybot.ports import Tables
from tests.lab import Engine, Repo
from tests.strategies.compose_shop import ComposeShop, MakeShop, labels, make_shop
from tests.strategies.local_host import LocalServers

__all__ = ["make_shop"]

SLEEP = """["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']"""
YAML = f"""
services:
  web:
    image: lab/busybox
    command: {SLEEP}
    labels:
      shop.ref: "${{DEPLOYBOT_REF}}"
      shop.tag: "${{DEPLOYBOT_TAG:-none}}"
      shop.short: "${{DEPLOYBOT_SHORT}}"
      shop.at: "${{DEPLOYBOT_COMMIT_TIME}}"
  db:
    image: lab/busybox
    command: {SLEEP}
"""
BROKEN = YAML.replace(SLEEP, '["false"]', 1)


async def status(shop: ComposeShop) -> Judgement:
    """What `status` compares."""
    servers = LocalServers(shop.host, shop.docker)
    observed = await observe(servers, shop.app, shop.production, "web1")

    def compare(tables: Tables) -> Judgement:
        (running,) = tables.running.get("shop", "production")
        row = tables.manifests.get("shop", "production", "web1", running.release.id, attempt=not running.healthy)
        return judge(observed, running, row.manifest if row else None)

    return await shop.store.read(compare)


def names(engine: Engine) -> dict[str, str]:
    return {key.removeprefix("shop."): value for key, value in labels(engine, "web").items() if key.startswith("shop.")}


@pytest.mark.timeout(120)
async def test_compose_files_know_the_release_by_its_names(
    make_shop: MakeShop, engine: Engine, make_repo: Callable[..., Repo]
) -> None:
    repo = make_repo("shop")
    first = repo.commit({"compose.yaml": YAML})
    repo.tag("v1")
    shop = await make_shop(repo, stable="0s")
    await shop.good("main")
    as_main = {"ref": "main", "tag": "none", "short": first[:10], "at": "2023-11-14T22:13:20Z"}
    assert names(engine) == as_main

    # The same commit by another ref: the plan shows what that changes, and `status` then finds no difference.
    (part,) = (await shop.plan("v1")).servers
    assert {one.service: one.kind for one in part.effects} == {"web": EffectKind.RECREATED, "db": EffectKind.KEPT}
    await shop.good("v1")
    as_v1 = as_main | {"ref": "v1", "tag": "v1"}
    assert names(engine) == as_v1
    seen = await status(shop)
    assert (seen.exact, seen.differences) == (True, ())
    (part,) = (await shop.plan("v1")).servers
    assert {one.kind for one in part.effects} == {EffectKind.KEPT}

    # A restart and a restore use the names of the record.
    assert (await shop.restart()).state is State.SUCCEEDED
    repo.commit({"compose.yaml": BROKEN})
    assert (await shop.deploy("main")).state is State.RESTORED
    assert names(engine) == as_v1
    seen = await status(shop)
    assert (seen.exact, seen.differences) == (True, ())
