"""`/healthz` and `/metrics` on the real HTTP server and the real database: who may see what, and that it is true."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientSession
from multidict import CIMultiDict
from prometheus_client.parser import text_string_to_metric_families

from deploybot.domain import Kind, Sight, State
from deploybot.http_server import WebServer
from deploybot.masking import Redactor
from deploybot.metrics import METRICS
from deploybot.monitoring.bot_health import LEAST_FREE, HealthLook
from deploybot.monitoring.monitoring_routes import Monitor
from deploybot.ports import Tables
from deploybot.store.database import Database
from deploybot.testing import memory_store
from tests.kit.seeds import new_seed
from tests.store.examples import ann, plan

TOKEN = "metrics-token-0123456789"
SECRET = "xoxb-0123456789-canary"
FORGED = int(os.environ.get("N", "300"))


@dataclass
class Site:
    """A bot of which only the HTTP server, the database and its health are there."""

    store: Database
    url: str = ""
    problems: dict[str, str] = field(default_factory=lambda: {"database": "", "slack": ""})
    sights: dict[str, Sight] = field(default_factory=dict)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        async with ClientSession() as session, session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What Prometheus' own parser makes of `/metrics`: values by name and labels."""
        status, text = await self.get("/metrics", bearer(TOKEN))
        assert status == 200
        families = text_string_to_metric_families(text)
        return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def serving(folder: Path, token: str, *, least_free: int = LEAST_FREE) -> AsyncIterator[Site]:
    async with memory_store() as store:
        site = Site(store)
        server = WebServer("127.0.0.1:0", lambda: site.problems)
        look = HealthLook(folder, lambda: site.problems, ("web1", "web2"), lambda: site.sights, least_free=least_free)
        monitor = Monitor(look, store, Redactor((SECRET,)).text, token)
        server.add_get("/healthz", monitor.health)
        server.add_get("/metrics", monitor.metrics)
        await server.start()
        site.url = f"http://{server.address}"
        try:
            yield site
        finally:
            await server.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path, TOKEN) as made:
        yield made


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


async def test_without_the_token_health_is_one_word(site: Site) -> None:
    assert await site.get("/healthz") == (200, '{"status": "ok"}')
    site.problems["slack"] = f"the token {SECRET} was revoked"
    assert await site.get("/healthz") == (503, '{"status": "down"}')
    assert await site.get("/healthz", bearer("wrong")) == (503, '{"status": "down"}')
    site.problems["telegram"] = ""
    assert await site.get("/healthz") == (200, '{"status": "degraded"}')


async def test_with_it_every_part_is_reported_with_its_fix_and_no_secret(site: Site) -> None:
    site.problems["slack"] = f"the token {SECRET} was revoked: install the app again"
    site.sights |= {"web1": Sight(100.5), "web2": Sight(200.0, "it does not answer", "Is it on?")}
    status, text = await site.get("/healthz", bearer(TOKEN))
    told = json.loads(text)
    assert (status, told["status"]) == (503, "down")
    assert told["parts"]["database"] == {"ok": True}
    assert told["parts"]["slack"]["problem"] == "the token ••• was revoked: install the app again"
    assert told["parts"]["disk"]["free"] > 0
    assert told["servers"]["web1"] == {"ok": True, "seen": 100.5}
    down = {"ok": False, "seen": 200.0, "problem": "it does not answer", "fix": "Is it on?"}
    assert told["servers"]["web2"] == down
    assert SECRET not in text


async def test_a_server_that_is_down_or_was_never_looked_at_does_not_count(site: Site) -> None:
    site.sights["web2"] = Sight(200.0, "it does not answer")
    status, text = await site.get("/healthz", bearer(TOKEN))
    assert status == 200
    assert json.loads(text)["servers"]["web1"] == {"ok": True, "seen": None}


async def test_a_disk_that_is_nearly_full_or_gone_makes_it_down(tmp_path: Path) -> None:
    async with serving(tmp_path / "gone", TOKEN) as site:
        _, text = await site.get("/healthz", bearer(TOKEN))
        assert "cannot be read" in json.loads(text)["parts"]["disk"]["problem"]
    async with serving(tmp_path, TOKEN, least_free=1 << 60) as site:
        status, text = await site.get("/healthz", bearer(TOKEN))
        assert status == 503
        assert "Free space" in json.loads(text)["parts"]["disk"]["fix"]


async def test_metrics_need_a_token_and_the_right_one(site: Site, tmp_path: Path) -> None:
    assert (await site.get("/metrics"))[0] == 401
    assert (await site.get("/metrics", bearer("wrong")))[0] == 401
    assert (await site.get("/metrics", bearer(TOKEN)))[0] == 200
    async with serving(tmp_path, "") as closed:
        for headers in ({}, bearer(""), bearer(TOKEN)):
            assert (await closed.get("/metrics", headers))[0] == 404
            assert await closed.get("/healthz", headers) == (200, '{"status": "ok"}')


async def test_no_forged_token_opens_anything(site: Site, figure: Callable[[str], None]) -> None:
    seed = new_seed()
    sys.stdout.write(f"SEED={seed}\n")
    dice = random.Random(seed)
    opened = 0
    async with ClientSession() as session:
        for number in range(FORGED):
            async with session.get(f"{site.url}/metrics", headers=forged(dice, number)) as answer:
                opened += answer.status != 401
    figure(f"{opened} of {FORGED} forged tokens opened /metrics, seed {seed}")
    assert opened == 0


def forged(dice: random.Random, number: int) -> CIMultiDict[str]:
    """A header that is nearly right."""
    place = dice.randrange(len(TOKEN))
    other = chr(dice.choice([one for one in range(33, 127) if chr(one) != TOKEN[place]]))
    ways = (
        f"Bearer {TOKEN[:place]}{other}{TOKEN[place + 1 :]}",
        f"Bearer {TOKEN[:place]}",
        f"Bearer {TOKEN}{other}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer",
        "Bearer ü",
    )
    made = CIMultiDict({"Authorization": ways[number % len(ways)]})
    if number % 10 == 9:
        made = CIMultiDict([("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")])
    return made


async def test_deployments_are_counted_from_their_rows_and_so_also_after_a_restart(site: Site) -> None:
    def work(tables: Tables) -> None:
        for seconds, state in ((10.0, State.SUCCEEDED), (100.0, State.SUCCEEDED), (7.0, State.FAILED)):
            made = tables.deployments.add(plan(), requester=ann(tables), reason="", channel=None, now=1000.0)
            tables.deployments.move(made.number, State.RUNNING, now=1000.0)
            tables.deployments.move(made.number, state, now=1000.0 + seconds)
        rollback = plan(environment="staging", kind=Kind.ROLLBACK)
        never = tables.deployments.add(rollback, requester=ann(tables), reason="", channel=None, now=1.0)
        tables.deployments.move(never.number, State.CANCELLED, now=2.0)
        tables.deployments.add(plan(2), requester=ann(tables), reason="", channel=None, now=1.0, needs_approval=True)
        tables.deployments.add(plan(3), requester=ann(tables), reason="", channel=None, now=1.0)

    await site.store.write(work)
    metrics = await site.metrics()
    there = {"app": "shop", "environment": "production"}
    well = {**there, "kind": "deploy", "result": "succeeded"}
    assert metrics["deploybot_deployments_total", labels(**well)] == 2
    assert metrics["deploybot_deployments_total", labels(**{**well, "result": "failed"})] == 1
    staging = {"app": "shop", "environment": "staging", "kind": "rollback", "result": "cancelled"}
    assert metrics["deploybot_deployments_total", labels(**staging)] == 1
    assert ("deploybot_deployment_seconds_count", labels(**staging)) not in metrics
    assert metrics["deploybot_deployment_seconds_sum", labels(**well)] == 110
    within = [metrics["deploybot_deployment_seconds_bucket", labels(**well, le=le)] for le in ("5", "15", "60", "120")]
    assert within == [0, 1, 1, 2]
    assert metrics["deploybot_deployment_seconds_bucket", labels(**well, le="+Inf")] == 2
    assert metrics["deploybot_deployments_open", labels(**there, state="requested")] == 1
    assert metrics["deploybot_deployments_open", labels(**there, state="waiting")] == 1


async def test_health_is_measured_too(site: Site) -> None:
    site.problems["slack"] = "ill"
    site.sights["web2"] = Sight(1.0, "down")
    metrics = await site.metrics()
    assert metrics["deploybot_ok", labels(part="slack")] == 0
    assert metrics["deploybot_ok", labels(part="database")] == 1
    assert metrics["deploybot_server_up", labels(server="web2")] == 0
    assert ("deploybot_server_up", labels(server="web1")) not in metrics
    assert metrics["process_resident_memory_bytes", labels()] > 1e6
    assert metrics["deploybot_disk_free_bytes", labels()] > 0


async def test_a_database_that_cannot_be_read_is_no_traceback(site: Site) -> None:
    await site.store.aclose()
    assert (await site.get("/metrics", bearer(TOKEN)))[0] == 503


async def test_every_metric_is_documented_and_no_other(site: Site) -> None:
    METRICS.webhooks.add("github", "heard")
    _, text = await site.get("/metrics", bearer(TOKEN))
    told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    page = Path(__file__).parents[2] / "docs" / "monitoring.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    names = itertools.chain.from_iterable(re.findall(r"`((?:deploybot|process)_\w+)`", line) for line in rows)
    assert set(names) == told
