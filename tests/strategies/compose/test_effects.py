"""What becomes of each service, from made observations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploybot.domain import Container, Effect, EffectKind, Manifest, Mount, Observed, ServerFacts, ServiceImage
from deploybot.strategies.compose.compose_answers import Elsewhere
from deploybot.strategies.compose.compose_model import (
    ComposeConfig,
    ComposeService,
    Dependency,
    ServiceFile,
    ServiceMount,
    ServicePort,
)
from deploybot.strategies.compose.mounted_paths import PathFact, PathFacts, PathKind
from deploybot.strategies.compose.service_effects import WantedService, effects_of
from deploybot.strategies.compose.settings_label import SETTINGS_LABEL, settings_of

RELEASE = PathFact(path="/srv/releases/r2", kind=PathKind.FOLDER, real="/srv/releases/r2")
FACTS = PathFacts(directory="/srv", release=RELEASE)
BASE = "a" * 64
WORKING_DIR = "com.docker.compose.project.working_dir"
CONFIG_HASH = "com.docker.compose.config-hash"


def fact(path: str, digest: str = "", real: str = "") -> PathFact:
    return PathFact(path=path, kind=PathKind.FOLDER, real=real or path, digest=digest * 64)


def service(name: str = "web", **more: object) -> ComposeService:
    return replace(ComposeService(name=name, image="shop/web:1", base=BASE), **more)  # type: ignore[arg-type]


def ran(of: ComposeService, facts: PathFacts = FACTS, **more: object) -> Container:
    """A container that deploybot made of a service."""
    made = Container(
        id=of.name, name=f"shop-{of.name}-1", service=of.name, image="deploybot/shop/web:1", image_id="sha256:1",
        state="running", project="shop", labels=((SETTINGS_LABEL, settings_of(of, facts)),),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def seen(*containers: Container) -> Observed:
    return Observed(facts=ServerFacts(home="/"), project="shop", containers=containers)


def wanted(*services: ComposeService, **more: object) -> WantedService:
    images = {one.name: "sha256:1" for one in services}
    made = WantedService(config=ComposeConfig(name="shop", services=services), facts=FACTS, images=images)
    return replace(made, **more)  # type: ignore[arg-type]


def only(effects: tuple[Effect, ...]) -> Effect:
    (effect,) = effects
    return effect


def test_what_did_not_change_is_kept() -> None:
    assert effects_of(seen(ran(service())), wanted(service())) == (Effect("web", EffectKind.KEPT),)


def test_what_is_not_there_is_new() -> None:
    assert effects_of(seen(), wanted(service())) == (Effect("web", EffectKind.NEW),)


def test_oneoff_containers_are_no_service() -> None:
    assert only(effects_of(seen(ran(service(), oneoff=True)), wanted(service()))).kind is EffectKind.NEW


CHANGES = {
    "image": ({"image_id": "sha256:2"}, "image"),
    "settings": ({"labels": ((SETTINGS_LABEL, "b" * 12),)}, "settings"),
    "image, settings": ({"image_id": "sha256:2", "labels": ((SETTINGS_LABEL, "b" * 12),)}, "image, settings"),
    "content": ({"labels": ((SETTINGS_LABEL, f"{BASE[:12]}-{'c' * 12}"),)}, "mounted content"),
    "all": (
        {"image_id": "", "labels": ((SETTINGS_LABEL, f"{'b' * 12}-{'c' * 12}"),), "state": "restarting"},
        "image, settings, mounted content, keeps restarting",
    ),
    "no label": ({"labels": ()}, "settings"),
    "paused": ({"state": "paused"}, "paused"),
    "dead": ({"state": "dead"}, "dead"),
    "without network": ({"cut_off": True}, "lost its network"),
}


@pytest.mark.parametrize(("change", "why"), CHANGES.values(), ids=CHANGES.keys())
def test_what_changed_is_recreated_and_says_why(change: dict[str, Any], why: str) -> None:
    effect = only(effects_of(seen(ran(service(), **change)), wanted(service())))
    assert effect == Effect("web", EffectKind.RECREATED, why)


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_job_that_has_ended_needs_no_network(exit_code: int) -> None:
    job = service()
    last = Manifest(services=(ServiceImage(service="web", image="sha256:1", ended=True),), files=())
    there = seen(ran(job, state="exited", exit_code=exit_code, cut_off=True))
    lost = Effect("web", EffectKind.RECREATED, "lost its network")
    assert only(effects_of(there, wanted(job, last=last))) == (lost if exit_code else Effect("web", EffectKind.KEPT))
    # A person stopped it, unless it is a job.
    assert only(effects_of(there, wanted(job))) == lost


def test_one_stopped_replica_is_enough() -> None:
    two = service(replicas=2)
    there = (ran(two), ran(two, id="web-2", state="exited", exit_code=1))
    assert only(effects_of(seen(*there), wanted(two))) == Effect("web", EffectKind.STARTED, "stopped now")


def test_one_changed_replica_is_enough() -> None:
    two = service(replicas=2)
    effect = only(effects_of(seen(ran(two), ran(two, id="2", image_id="sha256:2")), wanted(two)))
    assert effect == Effect("web", EffectKind.RECREATED, "image")


STATES = {
    "stopped": ({}, {"state": "exited", "exit_code": 137}, EffectKind.STARTED, "stopped now"),
    "created": ({}, {"state": "created"}, EffectKind.STARTED, "stopped now"),
    "what may be a job": ({}, {"state": "exited", "exit_code": 0}, EffectKind.STARTED, "stopped now"),
    "a job that failed": ({}, {"state": "exited", "exit_code": 1}, EffectKind.STARTED, "stopped now"),
    "a server that ended": ({"restart": "always"}, {"state": "exited"}, EffectKind.STARTED, "stopped now"),
    "with a check": ({"healthcheck": True}, {"state": "exited"}, EffectKind.STARTED, "stopped now"),
    "with a port": ({"ports": (ServicePort(target=80),)}, {"state": "exited"}, EffectKind.STARTED, "stopped now"),
    "more wanted": ({"replicas": 3}, {}, EffectKind.STARTED, "replicas: 1 → 3"),
    "none wanted": ({"replicas": 0}, {}, EffectKind.REMOVED, "replicas: 0"),
}


@pytest.mark.parametrize(("of", "container", "kind", "why"), STATES.values(), ids=STATES.keys())
def test_states_and_replicas(of: dict[str, Any], container: dict[str, Any], kind: EffectKind, why: str) -> None:
    one = service(**of)
    assert effects_of(seen(ran(one, **container)), wanted(one)) == (Effect("web", kind, why),)


ENDED = ServiceImage(service="web", image="sha256:1", ended=True)


@pytest.mark.parametrize(("exit_code", "kind"), [(0, EffectKind.KEPT), (1, EffectKind.STARTED)])
def test_a_service_that_had_ended_when_it_was_verified_is_a_job(exit_code: int, kind: EffectKind) -> None:
    there = seen(ran(service(), state="exited", exit_code=exit_code))
    assert only(effects_of(there, wanted(service(), last=Manifest(services=(ENDED,))))).kind is kind


def test_a_service_that_ran_when_it_was_verified_was_stopped_by_somebody() -> None:
    there, last = seen(ran(service(), state="exited")), Manifest(services=(replace(ENDED, ended=False),))
    assert only(effects_of(there, wanted(service(), last=last))) == Effect("web", EffectKind.STARTED, "stopped now")


def test_a_job_that_others_wait_for_may_end_whatever_else_it_has() -> None:
    job = service("job", ports=(ServicePort(target=80),))
    web = service(depends_on=(Dependency(service="job", condition="service_completed_successfully"),))
    effects = effects_of(seen(ran(job, state="exited"), ran(web)), wanted(job, web))
    assert {one.kind for one in effects} == {EffectKind.KEPT}


def test_no_replicas_and_no_containers_are_nothing() -> None:
    assert effects_of(seen(), wanted(service(replicas=0))) == ()
    assert effects_of(seen(), wanted(service(provided=True))) == ()


def test_where_the_image_is_not_known_yet_it_says_so() -> None:
    later = wanted(service(), service("db"), images={}, built={"web"})
    found = effects_of(seen(ran(service()), ran(service("db"))), later)
    assert [(one.kind, one.why) for one in found] == [
        (EffectKind.KEPT, "unless its tag now points to another image"),
        (EffectKind.KEPT, "unless the build makes another image"),
    ]


def test_a_service_that_is_built_without_a_name_may_keep_its_image() -> None:
    one = service(image="")
    later = wanted(one, images={}, built={"web"})
    assert (
        only(effects_of(seen(ran(one, image="shop-web:latest")), later)).why == "unless the build makes another image"
    )


NAMED = {
    "same": ("shop/web:1", "", False),
    "as Docker completes it": ("docker.io/library/postgres", "postgres:latest", False),
    "another tag": ("shop/web:2", "", True),
    "another name": ("other/web:1", "", True),
    "a tag of ours": ("deploybot/shop/web:123", "", False),
    "an id": ("sha256:123", "", False),
}


@pytest.mark.parametrize(("image", "file", "differs"), NAMED.values(), ids=NAMED.keys())
def test_another_name_in_the_compose_file_is_another_image(image: str, file: str, differs: bool) -> None:
    one = service(image=file or "shop/web:1")
    effect = only(effects_of(seen(ran(one, image=image)), wanted(one, images={})))
    assert (effect.why == "image") is differs


@pytest.mark.parametrize(("before", "differs"), [("shop/web:1", False), ("shop/web:0", True)])
def test_the_last_release_knows_what_the_compose_file_called_an_image(before: str, differs: bool) -> None:
    last = Manifest(services=(ServiceImage(service="web", image="sha256:1", name=before),))
    effect = only(effects_of(seen(ran(service())), wanted(service(), images={}, last=last)))
    assert (effect.why == "image") is differs


def foreign(**more: object) -> Container:
    labels = ((WORKING_DIR, "/home/me/shop"), (CONFIG_HASH, "h1"))
    return replace(ran(service(), image="shop/web:1", labels=labels), **more)  # type: ignore[arg-type]


def there(base: str = BASE, label: str = "h1", folder: str = "/home/me/shop") -> Elsewhere:
    config = ComposeConfig(services=(service(base=base),))
    return Elsewhere(folder=folder, config=config, hashes={"web": frozenset({label, "h9"})})


def test_a_container_that_a_person_made_is_kept_where_compose_would_keep_it() -> None:
    assert only(effects_of(seen(foreign()), wanted(service(), elsewhere=(there(),)))).kind is EffectKind.KEPT


@pytest.mark.parametrize(
    "where", [(), (there(label="h2"),), (there(base="b" * 64),), (there(folder="/home/you"),)],
    ids=["nobody asked", "made before a change", "the release has others", "another folder"],
)  # fmt: skip
def test_and_only_there(where: tuple[Elsewhere, ...]) -> None:
    assert only(effects_of(seen(foreign()), wanted(service(), elsewhere=where))).why == "settings"


MOUNTS = {
    "equal content": ("/home/me/shop/conf", fact("/srv/releases/r2/conf", "c"), fact("/home/me/shop/conf", "c"), True),
    "other content": ("/home/me/shop/conf", fact("/srv/releases/r2/conf", "c"), fact("/home/me/shop/conf", "d"), False),
    "unknown content": ("/home/me/shop/conf", fact("/srv/releases/r2/conf", "c"), fact("/home/me/shop/conf"), False),
    "the same place": ("/data", fact("/srv/releases/r2/conf", real="/data"), fact("/data"), True),
    "the same place by another name": (
        "/link",
        fact("/srv/releases/r2/conf", real="/data"),
        fact("/link", real="/data"),
        True,
    ),
    "another place": ("/other", fact("/srv/releases/r2/conf", real="/data"), fact("/other"), False),
    "a place that nobody looked at": ("/other", fact("/srv/releases/r2/conf", real="/data"), fact("/x"), False),
    "nothing": ("", fact("/srv/releases/r2/conf", "c"), fact("/x"), False),
}


@pytest.mark.parametrize(("now", "new", "old", "kept"), MOUNTS.values(), ids=MOUNTS.keys())
def test_what_a_person_mounted_is_compared_by_content_or_place(
    now: str, new: PathFact, old: PathFact, kept: bool
) -> None:
    mounts = (ServiceMount(kind="bind", source=new.path, target="/conf"),)
    facts = PathFacts(directory="/srv", release=RELEASE, paths={new.path: new, old.path: old})
    container = foreign(mounts=(Mount(kind="bind", source=now, target="/conf/"),) if now else ())
    found = effects_of(seen(container), wanted(service(mounts=mounts), facts=facts, elsewhere=(there(),)))
    assert only(found) == (
        Effect("web", EffectKind.KEPT) if kept else Effect("web", EffectKind.RECREATED, "mounted content")
    )


@pytest.mark.parametrize(("now", "kept"), [("/srv/data", True), ("/srv/other", False)])
def test_a_place_that_was_not_looked_at_is_compared_by_its_path(now: str, kept: bool) -> None:
    mounts = (ServiceMount(kind="bind", source="/srv/data", target="/data"),)
    container = foreign(mounts=(Mount(kind="bind", source=now, target="/data"),))
    found = only(effects_of(seen(container), wanted(service(mounts=mounts), elsewhere=(there(),))))
    assert (found.kind is EffectKind.KEPT) is kept


@pytest.mark.parametrize(
    ("there", "wants", "kept"),
    [
        (PathKind.FILE, PathKind.FILE, True),
        (PathKind.HOLLOW, PathKind.FILE, False),
        (PathKind.FOLDER, PathKind.FILE, False),
        (PathKind.FOLDER, PathKind.FOLDER, True),
        (None, PathKind.FILE, True),
    ],
)
def test_a_folder_that_docker_made_in_place_of_a_file_is_other_content(
    there: PathKind | None, wants: PathKind, kept: bool
) -> None:
    new = replace(fact("/srv/releases/r2/a.conf", "c"), kind=wants)
    now = f"/srv/.deploybot/mounts/{'c' * 64}/a.conf"
    old = {now: replace(fact(now), kind=there)} if there else {}
    web = service(mounts=(ServiceMount(kind="bind", source=new.path, target="/a.conf"),))
    facts = PathFacts(directory="/srv", release=RELEASE, paths={new.path: new, **old})
    labels = ((SETTINGS_LABEL, settings_of(web, facts)),)
    container = ran(web, labels=labels, mounts=(Mount(kind="bind", source=now, target="/a.conf"),))
    found = only(effects_of(seen(container), wanted(web, facts=facts)))
    assert (found.kind is EffectKind.KEPT) is kept
    assert found.why == ("" if kept else "mounted content")


def test_files_of_secrets_are_compared_too() -> None:
    file = ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path="/srv/releases/r2/pw")
    facts = replace(FACTS, paths={file.path: fact(file.path, "c")})
    found = effects_of(seen(foreign()), wanted(service(files=(file,)), facts=facts, elsewhere=(there(),)))
    assert only(found).why == "mounted content"


def test_who_shares_a_namespace_or_restarts_with_another_goes_with_it() -> None:
    services = (
        service("base"),
        service("net", shares=("base",)),
        service("vol", shares=("net",)),
        service("dep", depends_on=(Dependency(service="vol", restart=True),)),
        service("free", depends_on=(Dependency(service="base"),)),
    )
    containers = [ran(one) for one in services]
    containers[0] = replace(containers[0], image_id="sha256:0")
    effects = {one.service: (one.kind, one.why) for one in effects_of(seen(*containers), wanted(*services))}
    assert effects == {
        "base": (EffectKind.RECREATED, "image"),
        "net": (EffectKind.RECREATED, "with base"),
        "vol": (EffectKind.RECREATED, "with net"),
        "dep": (EffectKind.RECREATED, "with vol"),
        "free": (EffectKind.KEPT, ""),
    }


def test_a_namespace_of_a_service_that_is_switched_off_changes_nothing() -> None:
    services = (service("base", replicas=0), service("net", shares=("base",)))
    assert only(effects_of(seen(ran(services[1])), wanted(*services))).kind is EffectKind.KEPT


@pytest.mark.parametrize("gone", [True, False])
def test_a_namespace_that_comes_again_is_another(gone: bool) -> None:
    base, net, dep = service("base"), service("net", shares=("base",)), service("dep")
    dep = replace(dep, depends_on=(Dependency(service="base", restart=True),))
    there = [ran(net), ran(dep), *([] if gone else [ran(base, state="exited", exit_code=1)])]
    effects = {one.service: one.kind for one in effects_of(seen(*there), wanted(base, net, dep))}
    assert effects["net"] is EffectKind.RECREATED
    assert effects["dep"] is EffectKind.KEPT


def test_what_we_made_goes_and_what_others_made_stays() -> None:
    last = Manifest(services=(ServiceImage(service="known", image="sha256:1"),))
    orphans = [
        ran(service("labelled")),
        ran(service("old"), labels=(("deploybot.image", "sha256:1"),)),
        ran(service("known"), labels=()),
        ran(service("db"), labels=()),
    ]
    effects = effects_of(seen(*orphans), wanted(last=last))
    gone = "not in the Compose files"
    assert [(one.service, one.kind, one.why) for one in effects] == [
        ("db", EffectKind.LEFT, f"{gone}, and not made by deploybot"),
        ("known", EffectKind.REMOVED, gone),
        ("labelled", EffectKind.REMOVED, gone),
        ("old", EffectKind.REMOVED, gone),
    ]


def test_others_go_where_people_said_so() -> None:
    effect = only(effects_of(seen(ran(service("db"), labels=())), wanted(remove_orphans=True)))
    assert effect.kind is EffectKind.REMOVED
