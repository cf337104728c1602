"""The judgement of what runs, on states of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import (
    Container,
    EngineFacts,
    Manifest,
    Observed,
    Pin,
    Release,
    Running,
    ServerFacts,
    ServiceImage,
)
from deploybot.observed_state import DifferenceKind, Judgement, Serving, has_ended, judge, runs

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
DB = f"sha256:{'d' * 64}"
V1, V2 = Release.of_commit("1" * 40, "v1"), Release.of_commit("2" * 40, "v2")
NOW = 1_795_224_300.0
OURS = (("deploybot.release", V2.id), ("deploybot.settings", "s2"))
RUNNING = Running("shop", "production", "web1", V2, 4, NOW - 100, healthy=True)


def container(service: str, image: str, name: str = "", **more: object) -> Container:
    known: dict[str, object] = {
        "id": name or service,
        "name": name or f"shop-{service}-1",
        "service": service,
        "image": "lab/web:v2",
        "state": "running",
        "started": NOW - 3600,
        "labels": OURS,
        "image_id": image,
    }
    return Container(**(known | more))  # type: ignore[arg-type]  # the example's own fields


WEB, DATABASE = container("web", TWO), container("db", DB)
FACTS = ServerFacts(home="/root", directory="/srv/shop", current=V2.id, releases=(V1.id, V2.id))
MANIFEST = Manifest(
    services=tuple(
        ServiceImage(service=service, image=image, settings="s2") for service, image in (("db", DB), ("web", TWO))
    )
)


def seen(*containers: Container, facts: ServerFacts = FACTS) -> Observed:
    return Observed(facts=facts, project="shop", containers=containers, engine=EngineFacts(id="e"), at=NOW)


def texts(judgement: Judgement) -> list[str]:
    return [one.text for one in judgement.differences]


def judged(*containers: Container, **facts: object) -> Judgement:
    return judge(seen(*containers, facts=replace(FACTS, **facts)), RUNNING, MANIFEST)  # type: ignore[arg-type]  # same


def test_exactly_what_was_recorded() -> None:
    found = judged(WEB, DATABASE, container("web", ONE, "once", oneoff=True, state="exited", exit_code=3))
    assert found == Judgement(serving=Serving.RECORDED, release=V2.id, exact=True)


def test_an_image_by_hand_is_something_else() -> None:
    found = judged(replace(WEB, image_id=THREE, image="lab/web:v3", labels=()), DATABASE)
    assert (found.serving, found.release, found.exact) == (Serving.FOREIGN, "", False)
    assert texts(found) == ["web was started by hand (image lab/web:v3)"]


def test_an_image_that_the_bot_brought_but_did_not_record() -> None:
    found = judged(replace(WEB, image_id=THREE, image=THREE), DATABASE)
    assert found.serving is Serving.FOREIGN
    assert texts(found) == [f"web runs a different image (image {THREE[:19]})"]


def test_a_healthy_container_that_cannot_be_reached() -> None:
    """The check runs inside the container, and passes."""
    found = judged(replace(WEB, cut_off=True, health="healthy"), DATABASE)
    assert texts(found) == ["web runs without its network"]
    assert [one.text for one in found.ailments] == texts(found)
    assert texts(judged(replace(WEB, cut_off=True, state="paused"), DATABASE)) == ["web is paused"]


def test_one_of_two_replicas_by_hand_is_found() -> None:
    other = container("web", THREE, "shop-web-2", labels=())
    assert texts(judged(WEB, other, DATABASE)) == ["web was started by hand (image lab/web:v2)"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ((), "web was created by hand, from the same image"),
        ((("deploybot.settings", "s1"),), "web runs with different settings"),
    ],
)
def test_the_same_image_with_other_settings(labels: tuple[tuple[str, str], ...], says: str) -> None:
    found = judged(replace(WEB, labels=labels), DATABASE)
    assert (found.serving, found.release, found.exact, texts(found)) == (Serving.RECORDED, V2.id, False, [says])


def test_a_container_without_labels_that_was_recorded_so_is_exact() -> None:
    manifest = Manifest(services=(ServiceImage(service="db", image=DB), MANIFEST.services[1]))
    found = judge(seen(WEB, replace(DATABASE, labels=())), RUNNING, manifest)
    assert (found.exact, found.differences) == (True, ())


def test_what_is_missing_and_what_is_too_much() -> None:
    found = judged(WEB, container("cache", ONE))
    assert (found.serving, found.exact) == (Serving.RECORDED, False)
    assert texts(found) == ["db is missing", "extra container shop-cache-1"]


@pytest.mark.parametrize(
    ("replicas", "count", "settings", "says"),
    [
        (3, 1, "s2", ["web has 1 container instead of 3"]),
        (3, 2, "s2", ["web has 2 containers instead of 3"]),
        (1, 3, "s2", ["web has 3 containers instead of 1"]),
        (0, 1, "s2", ["web has 1 container instead of 0"]),
        (3, 3, "s2", []),
        (0, 0, "s2", []),
        (2, 1, "", ["web has 1 container instead of 2"]),
        (1, 3, "", []),
    ],
)
def test_services_that_are_scaled_by_hand_or_lost_containers(
    replicas: int, count: int, settings: str, says: list[str]
) -> None:
    """A service with `replicas: 0` is not missing. Records of the version before have no settings, and may say 1."""
    labels = (("deploybot.settings", settings),) if settings else ()
    webs = [container("web", TWO, f"shop-web-{number}", labels=labels) for number in range(count)]
    web = ServiceImage(service="web", image=TWO, settings=settings, replicas=replicas)
    found = judge(seen(DATABASE, *webs), RUNNING, Manifest(services=(MANIFEST.services[0], web)))
    assert (found.serving, texts(found), found.exact) == (Serving.RECORDED, says, not says)


def test_a_service_without_containers_does_not_count_for_what_runs() -> None:
    none = ServiceImage(service="cron", image=ONE, settings="s2", replicas=0)
    other = ServiceImage(service="cron", image=ONE, settings="s2")
    same = MANIFEST.services
    records = [(V1.id, Manifest(services=(*same, other))), (V2.id, Manifest(services=(*same, none)))]
    assert runs(seen(WEB, DATABASE, facts=replace(FACTS, current="")), records)[0] == V2.id


def test_no_containers_at_all() -> None:
    found = judged()
    assert (found.serving, found.release, found.exact, texts(found)) == (Serving.NOTHING, "", False, ["no containers"])


@pytest.mark.parametrize(
    ("more", "kind", "says", "mild"),
    [
        ({"state": "exited", "exit_code": 137}, DifferenceKind.STOPPED, "db is stopped (exit code 137)", False),
        ({"state": "exited"}, DifferenceKind.STOPPED, "db is stopped", True),
        ({"state": "exited", "exit_code": 2}, DifferenceKind.STOPPED, "db exited with 2", False),
        ({"state": "paused"}, DifferenceKind.UNWELL, "db is paused", False),
        ({"state": "dead"}, DifferenceKind.UNWELL, "db is dead", False),
        ({"health": "unhealthy"}, DifferenceKind.UNWELL, "db unhealthy", False),
        ({"state": "restarting", "restarts": 1}, DifferenceKind.UNWELL, "db is restarting", False),
        (
            {"state": "restarting", "restarts": 12},
            DifferenceKind.LOOP,
            "db keeps restarting: 12 restarts",
            False,
        ),
        (
            {"restarts": 3, "started": NOW - 20},
            DifferenceKind.LOOP,
            "db keeps restarting: 3 restarts",
            False,
        ),
    ],
)
def test_what_does_not_run_well(more: dict[str, object], kind: DifferenceKind, says: str, *, mild: bool) -> None:
    found = judged(WEB, replace(DATABASE, **more))  # type: ignore[arg-type]  # the example's own fields
    assert (found.serving, found.release, found.exact) == (Serving.RECORDED, V2.id, True)
    (one,) = found.ailments
    assert (one.kind, one.text, one.service, one.mild) == (kind, says, "db", mild)
    assert found.differences == found.ailments


@pytest.mark.parametrize("more", [{"restarts": 40}, {"restarts": 2, "started": NOW - 20}, {"started": NOW - 1}])
def test_restarts_of_long_ago_and_first_starts_are_no_loop(more: dict[str, object]) -> None:
    assert judged(WEB, replace(DATABASE, **more)).differences == ()  # type: ignore[arg-type]  # same


@pytest.mark.parametrize("wrong", [7200.0, -7200.0])
def test_the_clock_of_a_server_may_be_wrong_by_hours(wrong: float) -> None:
    """Its times are compared with its own clock."""
    its_time = NOW + wrong
    long_ago, just_now = (
        replace(DATABASE, restarts=3, started=its_time - ago, asked=its_time) for ago in (3600.0, 20.0)
    )
    assert judged(WEB, long_ago).differences == ()
    assert texts(judged(WEB, just_now)) == ["db keeps restarting: 3 restarts"]


def test_the_only_container_is_stopped_and_nothing_serves() -> None:
    (one,) = judged(replace(WEB, state="exited"), replace(DATABASE, state="exited")).ailments[:1]
    assert not one.mild


@pytest.mark.parametrize(
    ("condition", "well"),
    [
        ("migrate:service_completed_successfully:false", True),
        ("db:service_healthy:false,migrate:service_completed_successfully:true", True),
        ("migrate:service_started:false", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_a_service_may_end_where_another_waits_for_its_end(condition: str, code: int, *, well: bool) -> None:
    manifest = Manifest(services=(*MANIFEST.services, ServiceImage(service="migrate", image=ONE, settings="s2")))
    web = replace(WEB, labels=(*OURS, ("com.docker.compose.depends_on", condition)))
    migrate = container("migrate", ONE, state="exited", exit_code=code)
    assert bool(judge(seen(web, DATABASE, migrate), RUNNING, manifest).ailments) is not (well and not code)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"releases": (V1.id,)}, "the release's folder is gone"),
        ({"current": V1.id}, "`current` points to 1111111111, but the containers are those of the release"),
        ({"current": ""}, "`current` is gone, but the containers are those of the release"),
        ({"current": "", "current_is_folder": True}, "`current` is a folder and not a link"),
    ],
)
def test_folder_and_link_belong_to_the_release(facts: dict[str, object], says: str) -> None:
    found = judged(WEB, DATABASE, **facts)
    assert (found.serving, found.release, found.exact, texts(found)) == (Serving.RECORDED, V2.id, False, [says])


def test_a_release_of_the_layout_before_has_its_folder() -> None:
    assert judged(WEB, DATABASE, releases=(), legacy=(V2.id,)).exact


def test_half_switched_is_partly() -> None:
    found = judged(WEB, DATABASE, current=V1.id, switching=V2.id)
    assert (found.serving, found.exact) == (Serving.PARTLY, False)
    assert texts(found)[-1] == "partly switched from 1111111111 to 2222222222"
    done = judged(WEB, DATABASE, switching=V2.id)
    assert (done.serving, done.exact) == (Serving.RECORDED, True)


def test_a_pin_is_compared_where_no_images_were_recorded() -> None:
    pin = Pin("web", "acme/shop", "1.4.3", THREE)
    running = replace(RUNNING, release=V2.with_images([pin]))
    facts = replace(FACTS, current=running.release.id, releases=(running.release.id,))
    web = replace(WEB, labels=(("deploybot.image", pin.reference),))
    assert judge(seen(web, facts=facts), running, None).differences == ()
    other = judge(seen(WEB, facts=facts), running, None)
    assert other.serving is Serving.FOREIGN
    assert texts(other) == ["web runs a different image than 1.4.3 sha256:3333333333 (image lab/web:v2)"]


def test_a_container_without_our_labels_beside_some_with_them_was_made_by_hand() -> None:
    found = judge(seen(replace(WEB, labels=()), DATABASE), RUNNING, None)
    assert (found.serving, texts(found)) == (Serving.FOREIGN, ["web was started by hand (image lab/web:v2)"])


def test_without_a_record_of_images_the_link_decides() -> None:
    found = judge(seen(WEB, DATABASE, facts=replace(FACTS, current=V1.id)), RUNNING, None)
    assert (found.serving, found.exact) == (Serving.FOREIGN, False)
    assert judge(seen(WEB, facts=replace(FACTS, current="")), RUNNING, None).serving is Serving.NOTHING


def test_without_a_record_of_images_nothing_is_exact() -> None:
    found = judge(seen(WEB, DATABASE), RUNNING, None)
    assert (found.serving, found.exact, found.differences) == (Serving.RECORDED, False, ())


@pytest.mark.parametrize(
    ("facts", "serving", "release", "exact"),
    [
        ({}, Serving.RECORDED, V2.id, True),
        ({"current": V1.id}, Serving.FOREIGN, V1.id, False),
        ({"current": ""}, Serving.NOTHING, "", False),
        ({"releases": ()}, Serving.RECORDED, V2.id, False),
    ],
)
def test_without_containers_the_link_decides(
    facts: dict[str, object], serving: Serving, release: str, *, exact: bool
) -> None:
    observed = Observed(facts=replace(FACTS, **facts))  # type: ignore[arg-type]  # the example's own fields
    found = judge(observed, RUNNING, None)
    assert (found.serving, found.release, found.exact) == (serving, release, exact)


def test_nothing_was_ever_recorded() -> None:
    empty = replace(FACTS, current="", releases=())
    assert judge(seen(facts=empty), None, None) == Judgement(serving=Serving.NOTHING)
    assert judge(Observed(facts=empty), None, None).serving is Serving.NOTHING
    assert judge(seen(WEB, facts=empty), None, None).serving is Serving.FOREIGN
    link = judge(Observed(facts=FACTS), None, None)
    assert (link.serving, link.release) == (Serving.FOREIGN, V2.id)
    left = judge(seen(), None, None)
    assert (left.serving, left.release) == (Serving.NOTHING, "")
    assert texts(left) == ["`current` points to 2222222222, which has no containers"]


def manifest(settings: str = "", **images: str) -> Manifest:
    return Manifest(
        services=tuple(ServiceImage(service=name, image=image, settings=settings) for name, image in images.items())
    )


@pytest.mark.parametrize(
    ("containers", "current", "expected"),
    [
        ((WEB, DATABASE), V1.id, V2.id),
        ((container("web", ONE), DATABASE), V2.id, V1.id),
        ((container("web", ONE), container("db", DB, state="exited")), V2.id, V1.id),
        ((container("web", THREE), DATABASE), V2.id, ""),
        ((container("web", TWO), container("web", ONE, "shop-web-2"), DATABASE), V2.id, ""),
        ((WEB,), V1.id, V2.id),
        ((), V2.id, ""),
        ((container("cache", ONE),), V2.id, ""),
    ],
)
def test_the_running_release_is_known_by_its_images(
    containers: tuple[Container, ...], current: str, expected: str
) -> None:
    known = {V1.id: manifest(web=ONE, db=DB), V2.id: manifest(web=TWO, db=DB)}
    assert runs(seen(*containers, facts=replace(FACTS, current=current)), [*known.items()])[0] == expected


def test_releases_of_the_same_images_are_distinguished_by_settings_and_then_by_the_link() -> None:
    other = "3" * 40
    same = {V1.id: manifest("s1", web=TWO), V2.id: manifest("s2", web=TWO), other: manifest("s2", web=TWO)}
    assert runs(seen(WEB, facts=replace(FACTS, current=other)), [*same.items()])[0] == other
    assert runs(seen(WEB, facts=replace(FACTS, current=V1.id)), [*same.items()])[0] == V2.id


def test_a_release_with_more_services_is_not_taken_for_one_with_fewer() -> None:
    known = {V1.id: manifest(web=TWO), V2.id: manifest(web=TWO, worker=ONE)}
    worker = container("worker", ONE)
    assert runs(seen(WEB, worker, facts=replace(FACTS, current=V1.id)), [*known.items()])[0] == V2.id
    assert runs(seen(WEB, facts=replace(FACTS, current=V2.id)), [*known.items()])[0] == V1.id


def test_a_service_replaced_by_hand_does_not_make_it_the_release_before_that_service() -> None:
    newer, older = (V2.id, manifest(web=TWO, redis=ONE)), (V1.id, manifest(web=TWO))
    by_hand = container("redis", "sha256:" + "9" * 64)
    assert runs(seen(WEB, by_hand), [newer, older]) == ("", None)
    # A service that only an older release had does not matter, and one that no release had neither.
    assert runs(seen(WEB, by_hand), [older, newer])[0] == V1.id
    assert runs(seen(WEB, container("mail", ONE)), [older, newer])[0] == V1.id


def test_what_a_newer_release_left_does_not_hide_the_older_one() -> None:
    newer, older = (V2.id, manifest(web=ONE, redis=ONE)), (V1.id, manifest(web=TWO))
    assert runs(seen(WEB, container("redis", ONE)), [newer, older])[0] == V1.id


def test_the_running_release_without_containers_is_known_by_the_link() -> None:
    assert runs(Observed(facts=FACTS), [*{V2.id: Manifest()}.items()])[0] == V2.id
    assert runs(Observed(facts=FACTS), [*{V1.id: Manifest()}.items()])[0] == ""


@pytest.mark.parametrize(
    ("containers", "ended"),
    [
        ((), False),
        ((container("job", ONE, state="exited"),), True),
        ((container("job", ONE, state="exited", exit_code=3),), False),
        ((container("job", ONE, state="exited"), container("job", ONE, "second")), False),
    ],
)
def test_a_job_has_ended_when_all_of_it_ended_with_0(containers: tuple[Container, ...], *, ended: bool) -> None:
    assert has_ended(containers) is ended


def test_an_extra_container_names_its_service() -> None:
    (extra,) = judged(WEB, DATABASE, container("mail", ONE)).differences
    assert (extra.kind, extra.service) == (DifferenceKind.EXTRA, "mail")


def test_half_switched_from_nothing() -> None:
    found = texts(judged(WEB, DATABASE, current="", switching=V2.id))
    assert "partly switched from nothing to 2222222222" in found
