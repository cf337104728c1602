"""Verification: what runs against the manifest, what may still come, and what did not stay up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.release_shortfalls import shortfalls
from deploybot.deployments.release_verification import Verifier, as_restored, as_verified
from deploybot.deployments.stability import changes_between, others_than
from deploybot.domain import Container, Effect, EffectKind, Manifest, Observed, ServerFacts, ServiceImage, WatchBaseline
from deploybot.errors import Cancelled, Unhealthy
from deploybot.observed_state import SETTINGS_LABEL
from deploybot.settings import App, Environment, HealthSettings
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeServers
from tests.deployments.conftest import PausingStop
from tests.strategies.conftest import make_app, only

PROJECT = "shop-production"
NOW = 1_800_000_000.0
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
WEB = Container(id="w1", name="web-1", service="web", image="shop", state="running", image_id=ONE, started=10.0)
MANIFEST = Manifest(services=(ServiceImage(service="web", image=ONE),))
PAIR = Manifest(services=(ServiceImage(service="web", image=ONE, replicas=2),))


def seen(*containers: Container) -> Observed:
    return Observed(facts=ServerFacts(home="/"), project=PROJECT, containers=containers, at=NOW)


@pytest.mark.parametrize(
    "there",
    [
        [WEB],
        [replace(WEB, health="healthy")],
        [replace(WEB, state="exited", exit_code=0)],
        [replace(WEB, restarts=2, started=NOW - 20)],
        # Restarts of months ago are no crash loop of today.
        [replace(WEB, restarts=40)],
        # An Engine may not know the image of a container any more; one-off containers and others do not count.
        [replace(WEB, image_id="")],
        [WEB, replace(WEB, id="x", oneoff=True, state="dead")],
        [WEB, replace(WEB, id="x", service="other", image_id=TWO, health="unhealthy")],
    ],
)
def test_what_runs_as_recorded_lacks_nothing(there: list[Container]) -> None:
    assert shortfalls(seen(*there), MANIFEST) == ([], [])


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (replace(WEB, image_id=TWO), "web runs image 222222222222 instead of 111111111111"),
        (replace(WEB, health="unhealthy"), "web is unhealthy"),
        (replace(WEB, state="exited", exit_code=3), "web exited with code 3"),
        (replace(WEB, state="dead"), "web is dead"),
        (replace(WEB, state="restarting", restarts=3, exit_code=3), "web keeps restarting (exit code 3)"),
        (replace(WEB, restarts=3, started=NOW - 20), "web keeps restarting"),
        (replace(WEB, health="healthy", cut_off=True), "web runs without its network"),
    ],
)
def test_what_will_not_come_right(there: Container, words: str) -> None:
    assert shortfalls(seen(there), MANIFEST) == ([words], [])


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([], "web has no container"),
        ([replace(WEB, health="starting")], "web is starting"),
        ([replace(WEB, state="created")], "web is created"),
        ([replace(WEB, state="restarting", restarts=2, exit_code=3)], "web is restarting (exit code 3)"),
        ([replace(WEB, state="paused")], "web is paused"),
    ],
)
def test_what_may_still_come(there: list[Container], words: str) -> None:
    assert shortfalls(seen(*there), MANIFEST) == ([], [words])


def test_all_replicas_have_to_be_there() -> None:
    assert shortfalls(seen(WEB), PAIR) == ([], ["web has 1 of 2 containers"])
    assert shortfalls(seen(), PAIR) == ([], ["web has 0 of 2 containers"])
    assert shortfalls(seen(WEB, replace(WEB, id="w2")), PAIR) == ([], [])
    bad = replace(WEB, id="w2", health="unhealthy")
    assert shortfalls(seen(WEB, bad), PAIR) == (["web is unhealthy"], [])


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ([WEB], []),
        ([replace(WEB, restarts=1)], ["web restarted"]),
        ([replace(WEB, restarts=1, exit_code=2)], ["web restarted (exit code 2)"]),
        ([replace(WEB, started=11.0)], ["web restarted"]),
        ([replace(WEB, id="w2")], ["web was replaced by another container meanwhile"]),
        ([], ["web has no container"]),
        ([replace(WEB, state="exited", exit_code=1)], ["web exited with code 1"]),
        ([replace(WEB, health="unhealthy")], ["web is unhealthy"]),
        ([replace(WEB, health="starting")], ["web is starting"]),
        ([replace(WEB, state="exited")], []),
        ([replace(WEB, image_id=TWO)], ["web runs image 222222222222 instead of 111111111111"]),
        ([replace(WEB, service="other")], ["web has no container"]),
    ],
)
def test_what_changed_between_two_looks(now: list[Container], words: list[str]) -> None:
    assert changes_since(seen(WEB), seen(*now), MANIFEST) == words


def test_what_starts_later_is_no_change() -> None:
    starting = replace(WEB, state="exited", started=0.0)
    assert changes_since(seen(starting), seen(replace(WEB, started=20.0)), MANIFEST) == []


@pytest.mark.parametrize(
    ("down", "words"),
    [
        (replace(WEB, state="exited"), "web has stopped"),
        (replace(WEB, state="created"), "web is created"),
        (replace(WEB, state="paused"), "web is paused"),
        (replace(WEB, state="restarting", restarts=1, exit_code=3), "web is restarting (exit code 3)"),
    ],
)
def test_what_went_down_between_verification_and_watch_is_not_up(down: Container, words: str) -> None:
    serving = Manifest(services=(ServiceImage(service="web", image=ONE, ends=False),))
    assert changes_since(seen(down), seen(down), serving) == [words]


def test_replicas_that_are_gone_are_counted() -> None:
    pair = seen(WEB, replace(WEB, id="w2"))
    assert changes_since(pair, seen(WEB), PAIR) == ["web has 1 of 2 containers"]


def changes_since(first: Observed, now: Observed, manifest: Manifest) -> list[str]:
    """What changed since an observation with which a watch began."""
    return changes_between(WatchBaseline.of(first, 0.0), now, manifest)


class VerifiedServer:
    """A server with an Engine, whose answers change with the pauses of whoever verifies.

    `then` are the containers that are there after the next pauses.
    """

    def __init__(self, *there: Container, then: list[list[Container]] | None = None, **app: object) -> None:
        self.clock = FakeClock()
        self.engine = FakeEngine("web1")
        self.engine.all[PROJECT] = there
        self.engine.chunks["w1"] = [b"2027-01-01T00:00:00Z no such table\n"]
        servers = FakeServers([FakeHost("web1")], {"web1": self.engine})
        self.verifier = Verifier(servers, HealthGate(servers, self.clock), self.clock)
        self.app: App = make_app("compose", **app)
        self.stop = FollowingStop(self, then or [])

    @property
    def where(self) -> tuple[App, Environment, str]:
        return self.app, only(self.app), "web1"

    async def settle(self, manifest: Manifest = MANIFEST) -> Observed:
        return await self.verifier.settle(*self.where, manifest, self.stop, since=self.clock.now())

    async def stay(self, manifest: Manifest = MANIFEST) -> Observed | None:
        if not self.verifier.watches(self.app, manifest):
            return None
        first = await self.verifier.baseline(*self.where, self.stop)
        return await self.verifier.stay(*self.where, manifest, self.stop, first=first, end=first.at + self.app.stable)

    def stop_engine(self) -> None:
        self.engine.down = "it restarts"


def _nothing() -> None:
    """Let a moment pass."""


class FollowingStop(PausingStop):
    """After each pause the next containers are there, the next of `moments` happens, and an Engine may answer again."""

    def __init__(self, server: VerifiedServer, then: list[list[Container]]) -> None:
        super().__init__(server.clock)
        self.server = server
        self.then = then
        self.down = 0
        self.moments: list[Callable[[], None]] = []

    async def pause(self, seconds: float) -> None:
        await super().pause(seconds)
        if self.moments:
            self.moments.pop(0)()
        self.down -= 1
        if self.down == 0:
            self.server.engine.down = ""
        if self.then:
            self.server.engine.all[PROJECT] = self.then.pop(0)


async def test_a_release_that_runs_has_settled_at_once() -> None:
    server = VerifiedServer(WEB)
    await server.settle()
    assert server.stop.pauses == []


async def test_a_release_that_starts_is_waited_for() -> None:
    server = VerifiedServer(replace(WEB, health="starting"), then=[[replace(WEB, health="starting")], [WEB]])
    await server.settle()
    assert server.stop.pauses == pytest.approx([0.2, 0.32])


async def test_what_is_hopeless_is_not_waited_for() -> None:
    server = VerifiedServer(replace(WEB, state="exited", exit_code=1))
    with pytest.raises(Unhealthy, match="web exited with code 1") as caught:
        await server.settle()
    assert (server.stop.pauses, caught.value.tail) == ([], ("web | no such table",))


async def test_waiting_ends_with_the_time_that_compose_has() -> None:
    server = VerifiedServer(replace(WEB, health="starting"), compose={"wait": "10s"})
    with pytest.raises(Unhealthy, match="web is starting"):
        await server.settle()
    assert 8 < sum(server.stop.pauses) <= 10
    assert max(server.stop.pauses) == 2.0


@pytest.mark.parametrize("gate", [{"docker": True}, {"http": "http://127.0.0.1:8080/"}, {"command": "./healthy"}])
async def test_what_only_starts_has_as_long_as_the_health_check(gate: dict[str, object]) -> None:
    server = VerifiedServer(replace(WEB, health="starting"), health={**gate, "within": "5m"})
    with pytest.raises(Unhealthy) as caught:
        await server.settle()
    assert caught.value.why == "web is starting (after 5 min: raise compose.wait if it needs more)"
    assert 298 < sum(server.stop.pauses) <= 300
    short = VerifiedServer(replace(WEB, health="starting"), health={**gate, "within": "5s"}, compose={"wait": "10s"})
    with pytest.raises(Unhealthy):
        await short.settle()
    assert 8 < sum(short.stop.pauses) <= 10


async def test_only_the_last_words_of_the_release_are_shown() -> None:
    other = replace(WEB, id="x1", name="old-1", service="old", state="exited", exit_code=7)
    server = VerifiedServer(replace(WEB, state="exited", exit_code=1), other)
    server.engine.chunks["x1"] = [b"2027-01-01T00:00:00Z of another time\n"]
    with pytest.raises(Unhealthy) as caught:
        await server.settle()
    assert caught.value.tail == ("web | no such table",)


@pytest.mark.parametrize(
    ("of_app", "of_environment", "limit"),
    [(60.0, None, 60.0), (60.0, 40.0, 40.0), (40.0, 60.0, 60.0), (None, 60.0, 60.0)],
)
async def test_the_health_check_of_the_environment_counts_first(
    of_app: float | None, of_environment: float | None, limit: float
) -> None:
    server = VerifiedServer(replace(WEB, health="starting"), compose={"wait": "10s"})
    app, environment, _ = server.where
    there, here = (HealthSettings(docker=True, within=one) if one else None for one in (of_app, of_environment))
    environments = {environment.name: environment.model_copy(update={"health": here})}
    server.app = app.model_copy(update={"health": there, "environments": environments})
    with pytest.raises(Unhealthy):
        await server.settle()
    assert limit - 2 < sum(server.stop.pauses) <= limit


async def test_everything_that_only_starts_is_named_and_the_advice_comes_last() -> None:
    starting = replace(WEB, health="starting")
    services = tuple(ServiceImage(service=name, image=ONE) for name in ("api", "db", "web"))
    there = [replace(starting, id=name, service=name) for name in ("api", "db", "web")]
    server = VerifiedServer(*there, compose={"wait": "10s"})
    with pytest.raises(Unhealthy) as caught:
        await server.settle(Manifest(services=services))
    assert caught.value.why == (
        "api is starting, db is starting, web is starting (after 10 s: raise compose.wait if it needs more)"
    )


async def test_more_time_is_no_advice_for_what_does_not_only_start() -> None:
    server = VerifiedServer(replace(WEB, health="starting"))
    with pytest.raises(Unhealthy) as caught:
        await server.settle(PAIR)
    assert caught.value.why == "web has 1 of 2 containers, web is starting"


async def test_a_pause_may_end_with_the_time_but_not_after_it() -> None:
    server = VerifiedServer(replace(WEB, health="starting"), then=[[WEB]], compose={"wait": 0.2})
    await server.settle()
    assert server.stop.pauses == [0.2]


async def test_everything_that_is_wrong_is_named_with_its_server() -> None:
    server = VerifiedServer(replace(WEB, health="unhealthy"), replace(WEB, id="w2", state="dead"))
    server.engine.chunks["w2"] = []
    with pytest.raises(Unhealthy) as caught:
        await server.settle()
    assert (caught.value.server, caught.value.why) == ("web1", "web is unhealthy, web is dead")


async def test_an_engine_that_does_not_answer_is_waited_for() -> None:
    server = VerifiedServer(WEB)
    server.engine.down, server.stop.down = "it restarts", 3
    await server.settle()
    assert len(server.stop.pauses) == 3
    server.engine.down = "it is gone"
    with pytest.raises(Unhealthy, match="it is gone"):
        await server.settle()


async def test_a_person_ends_the_waiting() -> None:
    server = VerifiedServer(replace(WEB, health="starting"))
    server.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await server.settle()
    server = VerifiedServer(WEB, stable="5s")
    server.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await server.stay()


async def test_everything_stays_up_for_the_stated_time() -> None:
    server = VerifiedServer(WEB, stable="5s")
    await server.stay()
    assert server.stop.pauses == [2.0, 2.0, 1.0]


async def test_a_crash_at_the_last_moment_is_noticed() -> None:
    again = replace(WEB, restarts=1, exit_code=1)
    server = VerifiedServer(WEB, then=[[WEB], [WEB], [again]], stable="5s")
    with pytest.raises(Unhealthy, match=r"web restarted \(exit code 1\)") as caught:
        await server.stay()
    assert caught.value.server == "web1"


@pytest.mark.parametrize("ago", [5.0, 3600.0])
async def test_a_watch_whose_time_is_over_looks_once_and_at_once(ago: float) -> None:
    server = VerifiedServer(WEB, stable="5s")
    first = replace(await server.verifier.baseline(*server.where, server.stop), at=server.clock.now() - ago)
    await server.verifier.stay(*server.where, MANIFEST, server.stop, first=first, end=first.at + 5.0)
    assert server.stop.pauses == []


async def test_nothing_is_watched_where_it_is_switched_off_or_nothing_is_recorded() -> None:
    for server, manifest in ((VerifiedServer(stable=0), MANIFEST), (VerifiedServer(stable="5s"), Manifest())):
        server.engine.down = "it is not asked"
        await server.stay(manifest)
        assert server.stop.pauses == []


async def test_a_moment_without_an_answer_is_no_crash() -> None:
    server = VerifiedServer(WEB, stable="5s")
    server.engine.down, server.stop.down = "it restarts", 2
    await server.stay()
    server.engine.down = "it is gone"
    with pytest.raises(Unhealthy, match="it is gone"):
        await server.stay()
    server.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await server.stay()


async def test_an_engine_that_restarts_during_a_watch_is_waited_for() -> None:
    server = VerifiedServer(WEB, stable="5s")
    server.stop.moments, server.stop.down = [_nothing, server.stop_engine], 5
    await server.stay()
    assert server.stop.pauses == pytest.approx([2.0, 2.0, 0.2, 0.2, 0.2, 0.4])


async def test_an_engine_that_is_gone_during_a_watch_has_ten_seconds_more() -> None:
    server = VerifiedServer(WEB, stable="5s")
    server.stop.moments = [_nothing, server.stop_engine]
    began = server.clock.now()
    with pytest.raises(Unhealthy, match="it restarts") as caught:
        await server.stay()
    assert caught.value.server == "web1"
    assert 15.0 < server.clock.now() - began < 15.5


async def test_a_person_ends_the_waiting_for_an_engine_during_a_watch() -> None:
    server = VerifiedServer(WEB, stable="5s")
    server.stop.moments = [_nothing, server.stop_engine, lambda: server.stop.set(Cancelled("ana"))]
    with pytest.raises(Cancelled):
        await server.stay()
    assert server.stop.pauses == [2.0, 2.0, 0.2]


async def test_an_engine_is_asked_once_more_at_the_very_end_of_its_time() -> None:
    server = VerifiedServer(WEB, stable="5s")
    server.clock.advance(-server.clock.now())
    server.stop_engine()
    server.stop.moments = [lambda: server.clock.advance(9.8)]
    with pytest.raises(Unhealthy):
        await server.stay()
    assert server.stop.pauses == [0.2, 0.2]


def test_a_service_that_serves_is_not_well_when_it_has_ended() -> None:
    stopped = seen(replace(WEB, state="exited", exit_code=0))
    serving = Manifest(services=(ServiceImage(service="web", image=ONE, ends=False),))
    assert shortfalls(stopped, serving) == ([], ["web has stopped"])
    assert shortfalls(seen(WEB), serving) == ([], [])
    assert changes_since(seen(WEB), stopped, serving) == ["web has stopped"]


def test_what_had_ended_is_kept_with_the_record() -> None:
    job = ServiceImage(service="web", image=ONE)
    there = seen(replace(WEB, state="exited", exit_code=0))
    assert as_verified(Manifest(services=(job,)), there) == Manifest(services=(replace(job, ended=True),))
    assert as_verified(Manifest(services=(replace(job, ended=True),)), seen(WEB)) == Manifest(services=(job,))


@pytest.mark.parametrize("kind", EffectKind)
def test_a_container_of_a_person_has_no_settings_of_ours_in_the_record(kind: EffectKind) -> None:
    stays = kind in {EffectKind.KEPT, EffectKind.STARTED}
    effects = [Effect("web", kind)]
    wanted = Manifest(services=(ServiceImage(service="web", image=ONE, settings="a-b"),))
    by_hand = seen(replace(WEB, labels=()))
    assert as_verified(wanted, by_hand, effects).services[0].settings == ("" if stays else "a-b")
    assert as_verified(wanted, by_hand) == wanted, "it was made after the plan, or before a restart: status says so"
    for label in ("a-b", "another"):
        ours = seen(replace(WEB, labels=((SETTINGS_LABEL, label),)))
        assert as_verified(wanted, ours, effects) == wanted


def test_a_restored_record_has_the_settings_that_its_containers_have() -> None:
    web, db = (ServiceImage(service=name, image=ONE, settings="old") for name in ("web", "db"))
    labelled = replace(WEB, labels=((SETTINGS_LABEL, "new"),))
    there = seen(labelled, replace(WEB, id="w2", labels=((SETTINGS_LABEL, "of a copy"),)))
    record = Manifest(services=(web, db), folder="/srv/shop")
    assert as_restored(record, there) == replace(record, services=(replace(web, settings="new"), db))


async def test_what_is_seen_is_given_back() -> None:
    server = VerifiedServer(WEB, stable=1.0)
    settled = await server.settle()
    stayed = await server.stay()
    assert stayed is not None
    assert settled.containers == stayed.containers == (WEB,)


DB = ServiceImage(service="db", image=TWO, unwell=True)
ILL_DB = replace(WEB, id="d1", service="db", image_id=TWO, health="unhealthy")


@pytest.mark.parametrize(
    ("there", "services", "same"),
    [
        ((WEB, ILL_DB), (MANIFEST.services[0], DB), True),
        ((WEB, ILL_DB), (MANIFEST.services[0], replace(DB, unwell=False)), False),
        ((replace(WEB, health="unhealthy"), ILL_DB), (MANIFEST.services[0], DB), False),
        ((replace(WEB, health="starting"), ILL_DB), (MANIFEST.services[0], DB), False),
        ((ILL_DB,), (MANIFEST.services[0], DB), False),
        ((replace(WEB, image_id=TWO), ILL_DB), (MANIFEST.services[0], DB), False),
        # What was well before and has just come up is tried again, and then is healthy.
        ((WEB,), (MANIFEST.services[0],), False),
    ],
)
async def test_what_was_unwell_before_may_be_so_again(
    there: tuple[Container, ...], services: tuple[ServiceImage, ...], same: bool
) -> None:
    server = VerifiedServer(*there)
    manifest = Manifest(services=services)
    assert await server.verifier.is_as_before(server.app, only(server.app), "web1", manifest) is same


async def test_an_engine_that_does_not_answer_shows_nothing_as_before() -> None:
    server = VerifiedServer(WEB, ILL_DB)
    server.engine.down = "it is gone"
    manifest = Manifest(services=(*MANIFEST.services, DB))
    assert not await server.verifier.is_as_before(server.app, only(server.app), "web1", manifest)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (replace(WEB, restarts=2, started=NOW, health="unhealthy"), []),
        (replace(WEB, state="exited", exit_code=3), []),
        (replace(WEB, image_id=TWO), ["web runs image 222222222222 instead of 111111111111"]),
        (replace(WEB, id="w2"), ["web was replaced by another container meanwhile"]),
    ],
)
async def test_whether_containers_are_those_of_the_release_up_or_not(there: Container, words: list[str]) -> None:
    assert others_than(WatchBaseline.of(seen(WEB), NOW), seen(there), MANIFEST) == words
    assert others_than(None, seen(there), MANIFEST) == [one for one in words if "image" in one]
