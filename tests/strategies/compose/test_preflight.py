"""Everything that would make `up` fail or lose something, from made observations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploybot.domain import (
    Container,
    Effect,
    EffectKind,
    EngineFacts,
    Image,
    Mount,
    PublishedPort,
)
from deploybot.strategies.compose.blockers import unresolved
from deploybot.strategies.compose.compose_answers import ConfigAnswer, ConfigAnswers
from deploybot.strategies.compose.compose_model import (
    ComposeResource,
    ServiceFile,
    ServiceMount,
    ServicePort,
)
from deploybot.strategies.compose.mounted_paths import LostFile, PathFact, PathFacts, PathKind
from deploybot.strategies.compose.preflight import Preflight, problems_of
from deploybot.strategies.compose.service_effects import UNLESS_BUILT, UNLESS_PULLED
from tests.strategies.compose.preflights import (
    FOLDER,
    RELEASE,
    WORKING_DIR,
    at,
    container,
    known,
    mounting,
    service,
    told,
)


def test_nothing_is_wrong() -> None:
    fine = service(ports=(ServicePort(target=80, first=80, last=80),), container_name="x")
    assert problems_of(known(fine, ours=(container(),), others=(container("db", "blog"),))) == ()


MISSING = {
    "in the release": ("pw.txt", PathKind.MISSING, "The secret pw of web needs pw.txt, which is not in the release."),
    "a link to nothing": ("pw.txt", PathKind.LINK, "The secret pw of web needs pw.txt, which is not in the release."),
    "there": ("pw.txt", PathKind.FILE, ""),
    "hidden": ("pw.txt", PathKind.HIDDEN, ""),
}


@pytest.mark.parametrize(("name", "kind", "sentence"), MISSING.values(), ids=MISSING.keys())
def test_files_of_secrets(name: str, kind: PathKind, sentence: str) -> None:
    path = f"{FOLDER}/{name}"
    file = ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path=path)
    found = problems_of(known(service(files=(file,)), paths=(at(path, kind),)))
    assert [one.sentence for one in found] == ([sentence] if sentence else [])
    assert all("/srv/shared/pw.txt" in one.advice for one in found)


def test_a_file_elsewhere() -> None:
    file = ServiceFile(kind="configs", key="c", target="/c", path="/etc/c")
    found = told(known(service(files=(file,)), paths=(at("/etc/c", PathKind.MISSING),)))
    assert found == ["The config c of web needs /etc/c, which is not on the server."]


IN = f"{FOLDER}/data"
MOUNTS = {
    "missing": (at(IN, PathKind.MISSING), "web mounts ./data, which is not in the repository"),
    "hollow": (at(IN, PathKind.HOLLOW), "web mounts ./data, which is not in the repository"),
    "in the repository": (at(IN, PathKind.FOLDER), ""),
    "empty in shared": (at(IN, PathKind.HOLLOW, "/srv/shared/data"), ""),
    "not to be looked at": (at(IN, PathKind.HIDDEN, "/srv/shared/data"), ""),
    "gone from shared": (
        at(IN, PathKind.LINK, "/srv/shared/data"),
        "web mounts ./data, which points to /srv/shared/data",
    ),
    "the whole release": (at(FOLDER, PathKind.HOLLOW), ""),
    "elsewhere, empty": (at("/data", PathKind.HOLLOW), ""),
}


@pytest.mark.parametrize(("fact", "sentence"), MOUNTS.values(), ids=MOUNTS.keys())
def test_mounts(fact: PathFact, sentence: str) -> None:
    found = problems_of(known(mounting(fact.path, creates=True), paths=(fact,)))
    assert [one.sentence.startswith(sentence) for one in found] == ([True] if sentence else [])
    assert all("/srv/shared/data" in one.advice for one in found)


CREATED = [(None, (2, 26), 1), (None, (5, 6), 0), (True, (2, 26), 0), (False, (5, 6), 1), (True, (1, 29), 0)]


@pytest.mark.parametrize(("creates", "version", "count"), CREATED)
def test_a_path_elsewhere_that_nobody_creates(creates: bool | None, version: tuple[int, int], count: int) -> None:
    given = known(mounting("/data", creates=creates), paths=(at("/data", PathKind.MISSING),), version=version)
    found = problems_of(given)
    assert [one.sentence for one in found] == ["web mounts /data, which is not on the server."] * count
    advice = "Create it there, or set `create_host_path: true` in the Compose file: /data"
    assert [one.advice for one in found] == [advice] * count


def losing() -> Preflight:
    now = container(mounts=(Mount(kind="bind", source="/old/ssl", target="/x"),))
    lost = tuple(LostFile(mounted="/old/ssl", name=name, changed=name == "ca") for name in ("cert", "ca", *"abcdef"))
    path = at(f"{FOLDER}/ssl", PathKind.FOLDER)
    return known(mounting(f"{FOLDER}/ssl"), ours=(now,), paths=(path,), lost=lost)


def test_files_that_the_release_would_lose() -> None:
    (found,) = problems_of(losing())
    assert found.sentence == (
        "web mounts /old/ssl now. These files exist only there and would be lost: "
        "cert, ca (changed there), a, b, c and 3 more."
    )
    assert "/srv/shared/ssl" in found.advice


def test_a_removed_service_with_an_anonymous_volume_is_a_warning() -> None:
    named = Mount(kind="volume", source="shop_data", target="/named")
    anonymous = Mount(kind="volume", source="0a" * 32, target="/data")
    for mounts, kind, expected in (
        ((anonymous, anonymous), EffectKind.REMOVED, 1),
        ((named,), EffectKind.REMOVED, 0),
        ((anonymous,), EffectKind.LEFT, 0),
    ):
        found = problems_of(known(ours=(container("db", mounts=mounts),), effects=(Effect("db", kind),)))
        assert [one.warning for one in found] == [True] * expected
        assert all(one.sentence.startswith("db is removed and keeps data in an anonymous volume.") for one in found)
        assert all(one.advice.endswith(f"are deleted: {'0a' * 32}") for one in found)


def test_what_is_kept_loses_nothing() -> None:
    assert problems_of(replace(losing(), effects=(Effect("web", EffectKind.KEPT),))) == ()


NAMES = {
    "a foreign project's": (container("db", "blog", name="pg"), "the service db of the project blog"),
    "nobody's": (container("pg", "", name="pg"), "the container pg"),
    "a stopped one": (container("pg", "", name="pg", state="exited"), "the container pg"),
    "another": (container("db", "blog", name="pg2"), ""),
}


@pytest.mark.parametrize(("other", "whose"), NAMES.values(), ids=NAMES.keys())
def test_names(other: Container, whose: str) -> None:
    found = told(known(service(container_name="pg"), others=(other,)))
    assert found == ([f"web needs the container name pg, which {whose} already uses."] if whose else [])


def test_a_name_may_pass_to_another_service_only_where_the_first_goes() -> None:
    given = known(service(container_name="pg"), ours=(container("old", name="pg"),))
    goes = replace(given, effects=(*given.effects, Effect("old", EffectKind.REMOVED)))
    stays = replace(given, effects=(*given.effects, Effect("old", EffectKind.LEFT)))
    assert (problems_of(goes), len(problems_of(stays))) == ((), 1)


@pytest.mark.parametrize(("version", "name"), [((2, 26), "shop-web-2"), ((1, 29), "shop_web_2")])
def test_names_that_compose_makes(version: tuple[int, int], name: str) -> None:
    other = container("x", "", name=name)
    assert len(problems_of(known(service(replicas=2), others=(other,), version=version))) == 1
    assert problems_of(known(service(replicas=1), others=(other,), version=version)) == ()


def test_replicas_cannot_share_a_name_or_a_port() -> None:
    port = ServicePort(target=80, first=8000, last=8001)
    both = service(replicas=3, container_name="x", ports=(port,))
    assert len(problems_of(known(both))) == 2
    assert problems_of(known(service(replicas=2, ports=(port,)))) == ()
    (name,) = problems_of(known(service(replicas=2, container_name="x")))
    assert name.sentence == "web has 2 replicas, which cannot share one container_name."
    assert name.advice == "Remove container_name from the Compose file."


PORTS = {
    "everywhere": ({}, {}, True),
    "another port": ({}, {"port": 81}, False),
    "another protocol": ({}, {"protocol": "udp"}, False),
    "one address of all": ({}, {"address": "127.0.0.1"}, True),
    "all for one address": ({"address": "127.0.0.1"}, {}, True),
    "all, as the Engine writes it": ({"address": "127.0.0.1"}, {"address": "0.0.0.0"}, True),  # noqa: S104
    "another address": ({"address": "127.0.0.1"}, {"address": "127.0.0.2"}, False),
    "the same address": ({"address": "::1"}, {"address": "::1"}, True),
    "a range with room": ({"last": 81}, {}, False),
}


@pytest.mark.parametrize(("ours", "theirs", "taken"), PORTS.values(), ids=PORTS.keys())
def test_ports(ours: dict[str, Any], theirs: dict[str, Any], taken: bool) -> None:
    port = ServicePort(**{"target": 8000, "first": 80, "last": 80, **ours})
    other = container("proxy", "edge", ports=(PublishedPort(**{"port": 80, **theirs}),))
    found = told(known(service(ports=(port,)), others=(other,)))
    sentence = "web publishes port 80/tcp, which the service proxy of the project edge already uses."
    assert found == ([sentence] if taken else [])


def test_who_does_not_run_holds_no_port_and_who_goes_leaves_it() -> None:
    web = service(ports=(ServicePort(target=80, first=80, last=80),))
    held = (PublishedPort(port=80),)
    assert problems_of(known(web, others=(container("a", "b", ports=held, state="exited"),))) == ()
    given = known(web, ours=(container(ports=held), container("old", ports=held)))
    for kind, count in ((EffectKind.REMOVED, 0), (EffectKind.RECREATED, 0), (EffectKind.LEFT, 1), (EffectKind.KEPT, 1)):
        assert len(problems_of(replace(given, effects=(*given.effects, Effect("old", kind))))) == count


EIGHTY = PublishedPort(port=80)
HERE = PublishedPort(port=80, address="127.0.0.1")


@pytest.mark.parametrize(
    ("listening", "port", "more", "taken"),
    [
        (EIGHTY, {}, {}, True),
        (HERE, {}, {}, True),
        (HERE, {"address": "10.0.0.1"}, {}, False),
        (EIGHTY, {"last": 81}, {}, False),
        (PublishedPort(port=80, protocol="udp"), {}, {}, False),
        (PublishedPort(port=80, protocol="udp"), {"protocol": "udp"}, {}, True),
        (EIGHTY, {}, {"effects": (Effect("web", EffectKind.KEPT),)}, False),
        (EIGHTY, {}, {"ours": (container("old", ports=(EIGHTY,)),)}, False),
        (EIGHTY, {}, {"ours": (container("old", host_network=True),)}, False),
        (EIGHTY, {}, {"others": (container("dns", "other", host_network=True),)}, True),
    ],
)
def test_a_port_that_a_program_outside_of_docker_uses(
    listening: PublishedPort, port: dict[str, Any], more: dict[str, Any], taken: bool
) -> None:
    web = service(ports=(ServicePort(**{"target": 8000, "first": 80, "last": 80, **port}),))
    made = known(web, **more)
    facts = replace(made.observed.facts, listening=(listening,))
    found = problems_of(replace(made, observed=replace(made.observed, facts=facts)))
    assert bool(found) is taken
    if taken:
        assert "a program outside of Docker already uses" in found[0].sentence
        assert "sudo ss -lntup 'sport = :80'" in found[0].advice


@pytest.mark.parametrize(
    ("free", "inodes", "need", "words"),
    [
        (100, 20_000, 500, "Docker is low on disk space: 100 B free in /var/lib/docker, 500 B needed."),
        (500, 9_999, 500, "Docker is low on inodes: it can create only 9999 more files in /var/lib/docker."),
        (500, 10_000, 500, ""),
        (100, 20, 0, ""),
        (-1, -1, 500, ""),
    ],
)
def test_room_on_the_disk_of_docker(free: int, inodes: int, need: int, words: str) -> None:
    made = known(service(), need_disk=need)
    room = replace(made.observed.facts, docker_free=free, docker_inodes=inodes, docker_root="/var/lib/docker")
    found = problems_of(replace(made, observed=replace(made.observed, facts=room)))
    assert [words in one.sentence for one in found] == [True] * bool(words)


@pytest.mark.parametrize(
    ("version", "has_config", "effect", "stops"),
    [
        ((1, 29), False, (EffectKind.RECREATED, "settings"), True),
        ((1, 29), True, (EffectKind.RECREATED, "settings"), False),
        ((1, 29), False, (EffectKind.KEPT, ""), False),
        # Its image is not known yet.
        ((1, 29), False, (EffectKind.KEPT, UNLESS_BUILT), True),
        ((1, 29), False, (EffectKind.KEPT, UNLESS_PULLED), True),
        ((1, 29), False, (EffectKind.STARTED, "stopped now"), False),
        ((2, 26), False, (EffectKind.RECREATED, "image"), False),
    ],
)
def test_a_container_that_an_old_compose_cannot_recreate(
    version: tuple[int, int],
    has_config: bool,
    effect: tuple[EffectKind, str],
    stops: bool,
) -> None:
    made = known(service(), ours=(container(image_id="sha256:1"),), version=version)
    images = (Image(id="sha256:1", has_container_config=has_config), Image(id="sha256:2", has_container_config=False))
    seen = replace(made, observed=replace(made.observed, images=images), effects=(Effect("web", *effect),))
    found = problems_of(seen)
    assert [one.sentence.partition(":")[0] for one in found] == ["This docker-compose cannot recreate web"] * stops
    assert all("docker-compose-plugin" in one.advice and not one.warning for one in found)


@pytest.mark.parametrize(
    ("version", "docker", "warns"),
    [
        ((1, 29), "28.5.2+dfsg4", True),
        ((1, 29), "25.0.0", True),
        ((1, 29), "24.0.9", False),
        ((1, 29), "", False),
        ((2, 26), "28.5.2", False),
    ],
)
def test_an_old_compose_beside_a_new_docker_is_a_warning(version: tuple[int, int], docker: str, *, warns: bool) -> None:
    made = known(service(), version=version)
    seen = replace(made, observed=replace(made.observed, engine=EngineFacts(version=docker) if docker else None))
    found = problems_of(seen)
    assert [(one.warning, f"too old for Docker {docker}" in one.sentence) for one in found] == [(True, True)] * warns


def test_two_services_with_one_port() -> None:
    port = ServicePort(target=80, first=80, last=80)
    found = told(known(service(ports=(port,)), service("api", ports=(replace(port, target=81),))))
    assert found == ["api and web both publish port 80."]
    assert problems_of(known(service(ports=(port,)), service("api", ports=(replace(port, protocol="udp"),)))) == ()
    # Docker takes another port of a range.
    some = replace(port, last=81)
    assert problems_of(known(service(ports=(some,)), service("api", ports=(some,)))) == ()
    assert problems_of(known(service(ports=(some,)), service("api", ports=(port,)))) == ()


def test_external_networks_and_volumes() -> None:
    resources = tuple(
        ComposeResource(key=key, name=key, external=key != "own") for key in ("there", "gone", "own", "free")
    )
    mounts = tuple(ServiceMount(kind="volume", source=key, target=f"/{key}") for key in ("there", "gone", "own"))
    web = service(networks=("there", "gone", "own"), mounts=mounts)
    found = problems_of(known(web, networks=resources, volumes=resources))
    assert [one.sentence for one in found] == [
        "web needs the network gone, which is not on the server.",
        "web needs the volume gone, which is not on the server.",
    ]
    assert found[0].advice == "Create it there: docker network create gone"
    both = problems_of(known(web, service("api", networks=("gone",)), networks=resources))
    assert [one.sentence for one in both] == ["web, api needs the network gone, which is not on the server."]


BLANK = 'time="x" level=warning msg="The \\"{}\\" variable is not set. Defaulting to a blank string."\n'


def test_blank_variables_stop_a_deployment_unless_what_runs_lacks_them_too() -> None:
    errors = BLANK.format("NEW") + BLANK.format("OLD") + BLANK.format("NEW")
    found = problems_of(known(service(), errors=errors, before=BLANK.format("OLD")))
    assert [(one.sentence, one.warning) for one in found] == [
        ("The Compose files use NEW, which is not set and would be blank.", False),
        ("The Compose files use OLD, which is not set and would be blank.", True),
    ]
    where = (
        "in /srv/shared/.env, or as `env` or `secrets` in bot.toml. "
        "If blank is right, write ${NEW:-} in the Compose file."
    )
    assert found[0].advice == f"Set it {where}"
    (both,) = problems_of(known(service(), errors=BLANK.format("NEW") + BLANK.format("B")))
    assert both.sentence == "The Compose files use NEW, B, which are not set and would be blank."
    assert both.advice == f"Set them {where}"


def test_without_a_repository_there_are_no_variables_of_a_release() -> None:
    (one,) = problems_of(replace(known(service(), errors=BLANK.format("DEPLOYBOT_TAG")), own_folder="/srv/web"))
    assert one.advice == (
        "An app without a repository has no variables that name its release: take them out. "
        "If blank is right, write ${DEPLOYBOT_TAG:-} in the Compose file."
    )


def test_all_at_once() -> None:
    file = ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path=f"{FOLDER}/pw")
    web = service(
        files=(file,), container_name="x", ports=(ServicePort(target=1, first=1, last=1),), networks=("n",),
        mounts=(ServiceMount(kind="bind", source=IN, target="/x"),), provided=True,
    )  # fmt: skip
    other = container("a", "b", name="x", ports=(PublishedPort(port=1),))
    found = known(
        web, others=(other,), paths=(at(IN, PathKind.HOLLOW), at(f"{FOLDER}/pw", PathKind.MISSING)),
        networks=(ComposeResource(key="n", name="n", external=True),), errors=BLANK.format("A"),
    )  # fmt: skip
    assert len(problems_of(found)) == 7


def test_what_compose_cannot_read() -> None:
    raw = "services: {web: {env_file: [a.env, b.env]}}\nsecrets: {pw: {file: pw}}\n"
    answer = ConfigAnswer(folder=FOLDER, code=1, errors="env file a.env not found")
    paths = {f"{FOLDER}/{name}": at(f"{FOLDER}/{name}", PathKind.MISSING) for name in ("a.env", "pw")}
    paths[f"{FOLDER}/b.env"] = at(f"{FOLDER}/b.env", PathKind.FILE)
    facts = PathFacts(directory="/srv", release=RELEASE, paths=paths)
    found = [one.sentence for one in unresolved(ConfigAnswers(release=answer, raw=(raw,)), facts)]
    assert found == [
        "Compose cannot read the release's files: env file a.env not found",
        "The secret pw needs pw, which is not in the release.",
        "The env_file of web needs a.env, which is not in the release.",
    ]


def copy(service: str = "web", **more: object) -> Container:
    return container(service, "notes", labels=((WORKING_DIR, "/home/me/notes"),), **more)


COPIES = {
    "called like the repository": ((copy(), copy("db")), ("app", "notes"), True),
    "called like nothing": ((copy(), copy("db")), ("app",), False),
    "a part of the services": ((copy(),), ("notes",), True),
    "more services": ((copy(), copy("db"), copy("mail")), ("notes",), True),
    "more services, called like nothing": ((copy(), copy("db"), copy("mail")), (), False),
    "other services": ((copy("mail"), copy()), ("notes",), False),
    "the same port": ((copy(ports=(PublishedPort(port=80),)), copy("db")), (), True),
    "the same image of its own": ((copy(image="ghcr.io/me/notes:1"), copy("db", image="postgres:15")), (), True),
    "it beside another image": ((copy(image="ghcr.io/me/notes:1"), copy("db", image="mysql:8")), (), False),
    "all that is left is an image that many use": ((copy("db", image="bitnami/postgresql:16"),), (), False),
    "beside what is stopped": (
        (copy("db", image="bitnami/postgresql:16"), copy(image="ghcr.io/me/other:1", state="exited")), (), False,
    ),
    "all that is left is called as the app": ((copy(image="ghcr.io/me/notes:1"),), ("", "notes"), True),
    "the same image that everybody has": ((copy(), copy("db", image="postgres:15")), (), False),
    "stopped": ((copy(state="exited"), copy("db", state="exited")), ("notes",), False),
    "ours, of an older version": (
        (copy(), container("db", "notes", labels=(("deploybot.release", "x"),))), ("notes",), False,
    ),
    "ours for another environment": (
        (copy(), container("db", "notes", labels=(("deploybot.image", "x"),))), ("notes",), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("others", "names", "is_copy"), COPIES.values(), ids=COPIES.keys())
def test_a_second_copy_is_refused(others: tuple[Container, ...], names: tuple[str, ...], is_copy: bool) -> None:
    web = service(image="ghcr.io/me/notes:2", ports=(ServicePort(target=80, first=80, last=80),))
    db = service("db", image="bitnami/postgresql:16" if "bitnami" in others[0].image else "postgres:16")
    found = [one for one in problems_of(known(web, db, others=others, names=names))
             if "runs here already" in one.sentence]  # fmt: skip
    assert len(found) == is_copy
    assert all('compose.project = "notes"' in one.advice and "/home/me/notes" in one.sentence for one in found)


def test_where_the_project_runs_nothing_is_a_second_copy() -> None:
    given = known(service(), ours=(container(),), others=(copy(),), names=("notes",))
    assert problems_of(given) == ()
