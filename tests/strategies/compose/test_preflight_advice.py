"""What people read of the problems before a start, word by word, and the cases between two rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Container, Effect, EffectKind, Image, Mount, PublishedPort
from deploybot.strategies.compose.blockers import unresolved
from deploybot.strategies.compose.compose_answers import ConfigAnswer, ConfigAnswers
from deploybot.strategies.compose.compose_model import ServiceFile, ServiceMount, ServicePort
from deploybot.strategies.compose.mounted_paths import LostFile, PathFacts, PathKind
from deploybot.strategies.compose.preflight import Preflight, problems_of
from deploybot.strategies.compose.service_effects import UNLESS_BUILT
from tests.strategies.compose.preflights import FOLDER, RELEASE, WORKING_DIR, at, container, known, mounting, service

EIGHTY = ServicePort(target=80, first=80, last=80)
TAKEN = (PublishedPort(port=80), PublishedPort(port=81))
LINKED = "It is linked into every release. Or name an existing folder with `shared` in bot.toml, or use a named volume."


def said(given: Preflight) -> list[tuple[str, str]]:
    return [(one.sentence, one.advice) for one in problems_of(given)]


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("", ("Compose cannot read the release's files: bad file", "Fix that in the repository.")),
        ("/srv/web", ("Compose cannot read the files in /srv/web: bad file", "Fix that on the server.")),
    ],
)
def test_files_that_compose_cannot_read_are_corrected_where_they_are(folder: str, words: tuple[str, str]) -> None:
    answers = ConfigAnswers(release=ConfigAnswer(folder=FOLDER, code=1, errors="bad file"), running=())
    (found,) = unresolved(answers, PathFacts(directory="/srv", release=RELEASE), folder)
    assert (found.sentence, found.advice) == words


def test_a_missing_file_outside_of_the_release_is_created_there() -> None:
    file = ServiceFile(kind="configs", key="c", target="/c", path="/etc/c")
    found = said(known(service(files=(file,)), paths=(at("/etc/c", PathKind.MISSING),)))
    assert found == [("The config c of web needs /etc/c, which is not on the server.", "Create /etc/c there.")]


def test_each_mount_counts_whatever_comes_before_it() -> None:
    data = f"{FOLDER}/data"
    mounts = (
        ServiceMount(kind="volume", source="data", target="/v"),
        ServiceMount(kind="bind", source="/unknown", target="/u"),
        ServiceMount(kind="bind", source=data, target="/x"),
    )
    found = said(known(service(mounts=mounts), paths=(at(data, PathKind.MISSING), at("data", PathKind.MISSING))))
    assert found == [
        (
            "web mounts ./data, which is not in the repository: each release would start with its own empty one.",
            f"Create /srv/shared/data. {LINKED}",
        )
    ]


def test_a_path_that_compose_would_have_to_create_is_named_only_if_it_is_missing() -> None:
    assert said(known(mounting("/data", creates=False), paths=(at("/data", PathKind.FOLDER),))) == []


def test_blocking_problems_come_first() -> None:
    anonymous = Mount(kind="volume", source="0a" * 32, target="/data")
    given = known(service(provided=True), ours=(container("db", mounts=(anonymous,)),))
    found = problems_of(replace(given, effects=(Effect("db", EffectKind.REMOVED),), version=(1, 29)))
    assert [one.warning for one in found] == [False, True]
    assert found[0].advice == "Remove it from the Compose file, or start it by hand and exclude it with a profile."


def losing(*names: str, mounted: str = "/old/ssl", service_first: bool = False) -> Preflight:
    now = container(mounts=(Mount(kind="bind", source="/old/ssl", target="/x"),))
    lost = tuple(LostFile(mounted=mounted, name=name) for name in names)
    kept = (service("kept"),) if service_first else ()
    given = known(
        *kept,
        mounting(f"{FOLDER}/ssl"),
        ours=(now, container("kept")),
        paths=(at(f"{FOLDER}/ssl", PathKind.FOLDER),),
        lost=lost,
    )
    return replace(given, effects=(Effect("kept", EffectKind.KEPT), Effect("web", EffectKind.RECREATED)))


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (("",), "/old/ssl"),
        (("a", "b"), "a, b"),
        (tuple("abcde"), "a, b, c, d, e"),
        (tuple("abcdef"), "a, b, c, d, e and 1 more"),
    ],
)
def test_files_that_would_be_lost_are_listed(names: tuple[str, ...], listed: str) -> None:
    sentence = f"web mounts /old/ssl now. These files exist only there and would be lost: {listed}."
    advice = f"Move ssl to /srv/shared/ssl. {LINKED}"
    assert said(losing(*names, service_first=True)) == [(sentence, advice)]
    own = said(replace(losing(*names), own_folder="/srv/web"))
    copy = f"Copy them to {FOLDER}/ssl on the server, or mount /old/ssl in the Compose file."
    assert [one for _, one in own if "Copy" in one] == [copy]


def test_nothing_is_lost_of_what_is_mounted_elsewhere_or_stays_mounted() -> None:
    assert said(losing("a", mounted="/other")) == []
    same = container(mounts=(Mount(kind="bind", source="/data", target="/x"),))
    lost = (LostFile(mounted="/data", name="a"),)
    assert said(known(mounting("/data"), ours=(same,), paths=(at("/data", PathKind.FOLDER),), lost=lost)) == []


def test_all_anonymous_volumes_of_a_removed_service_are_named() -> None:
    mounts = tuple(Mount(kind="volume", source=one * 64, target=f"/{one}") for one in "ab")
    given = replace(known(ours=(container("db", mounts=mounts),)), effects=(Effect("db", EffectKind.REMOVED),))
    assert said(given) == [
        (
            "db is removed and keeps data in an anonymous volume. A restored db would have a new, empty one.",
            f"The data stays on the server until unused volumes are deleted: {'a' * 64}, {'b' * 64}",
        )
    ]


def test_a_project_has_the_name_that_runs_first_then_that_of_the_files() -> None:
    two = service(replicas=2)
    other = container("x", "", name="shop-web-2")
    given = known(two, others=(other,))
    unnamed = replace(given.observed, project="")
    assert len(said(replace(given, observed=unnamed))) == 1
    assert said(replace(given, observed=replace(given.observed, project="other"))) == []


def test_ports_without_a_number_or_a_container_are_passed_over_and_the_next_counts() -> None:
    other = container("proxy", "edge", ports=TAKEN)
    loose = replace(EIGHTY, first=0, last=0)
    found = said(known(service(ports=(loose, EIGHTY)), others=(other,)))
    assert found == [
        (
            "web publishes port 80/tcp, which the service proxy of the project edge already uses.",
            "Change the port in the Compose file, or stop that one: docker stop edge-proxy-1",
        )
    ]
    assert said(known(service(replicas=0, ports=(EIGHTY,)), others=(other,))) == []


def test_a_range_that_is_taken_is_named_whole() -> None:
    other = container("proxy", "edge", ports=TAKEN)
    (found,) = said(known(service(ports=(replace(EIGHTY, last=81),)), others=(other,)))
    assert found[0] == "web publishes port 80-81/tcp, which the service proxy of the project edge already uses."


def test_replicas_need_a_port_each() -> None:
    found = said(known(service(replicas=2, ports=(EIGHTY,))))
    assert found == [
        (
            "web has 2 replicas, which cannot all publish port 80.",
            "Publish a range of ports, or only the container's port.",
        )
    ]


def test_two_services_with_one_port_are_told_apart_by_their_addresses() -> None:
    first, second = (replace(EIGHTY, address=one) for one in ("127.0.0.1", "127.0.0.2"))
    assert said(known(service(ports=(first,)), service("api", ports=(second,)))) == []
    found = said(known(service(ports=(first,)), service("api", ports=(replace(EIGHTY, address=""),))))
    assert found == [("api and web both publish port 80.", "Change one in the Compose file.")]


def test_a_port_stays_with_another_service_of_the_project_that_stays() -> None:
    """One container of the service itself is replaced, so its port is free."""
    web = service(ports=(EIGHTY,))
    own = container(ports=(PublishedPort(port=80),))
    kept = replace(known(web, ours=(own,)), effects=(Effect("web", EffectKind.KEPT),))
    assert said(kept) == []


def test_a_port_of_a_program_is_free_only_if_ours_on_the_network_of_the_host_goes() -> None:
    web = service(ports=(EIGHTY,))
    made = known(web, ours=(container("old"),))
    facts = replace(made.observed.facts, listening=(PublishedPort(port=80),))
    (found,) = said(replace(made, observed=replace(made.observed, facts=facts)))
    assert found[0] == "web publishes port 80/tcp, which a program outside of Docker already uses on the server."


def stuck(*services: Container) -> Preflight:
    made = known(*(service(one.service) for one in services), ours=services, version=(1, 29))
    images = (Image(id="sha256:1", has_container_config=False),)
    effects = tuple(Effect(one.service, EffectKind.KEPT, UNLESS_BUILT) for one in services)
    return replace(made, observed=replace(made.observed, images=images), effects=effects)


def test_an_old_compose_says_what_it_cannot_recreate_and_what_helps() -> None:
    found = said(stuck(container(image_id="sha256:1"), container("db", image_id="sha256:1")))
    new = "Install Compose 2 there: the package docker-compose-plugin (from Docker) or docker-compose-v2 (Ubuntu)."
    assert found == [
        (
            (
                "This docker-compose cannot recreate web, db: it is too old for the Docker on the server, and would "
                "stop there with KeyError: 'ContainerConfig'."
            ),
            f"{new} deploybot uses it as soon as `docker compose version` works.",
        )
    ]


@pytest.mark.parametrize("root", ["", "/var/lib/docker"])
def test_a_disk_without_any_room_says_what_to_delete(root: str) -> None:
    made = known(service(), need_disk=500)
    facts = replace(made.observed.facts, docker_free=0, docker_inodes=0, docker_root=root)
    where = root or "Docker's disk"
    free = "Free some there: docker system df, docker image prune -a."
    assert said(replace(made, observed=replace(made.observed, facts=facts))) == [
        (
            f"Docker is low on disk space: 0 B free in {where}, 500 B needed.",
            f"{free} Or lower need_disk in bot.toml.",
        ),
        (f"Docker is low on inodes: it can create only 0 more files in {where}.", free),
    ]


def outdated(*services: str) -> Preflight:
    old = tuple(container(one, labels=((WORKING_DIR, "/home/me/shop"),)) for one in services)
    return replace(known(*map(service, services), ours=old), outdated=old)


def test_containers_that_were_started_with_other_settings_are_named() -> None:
    (found,) = problems_of(outdated("web", "db"))
    assert found.sentence == (
        "`docker compose up` in /home/me/shop would recreate web, db, too: the variables, the files or Compose "
        "changed since the start."
    )
    assert found.advice == (
        "If the release fails, what Compose reads there now is restored. "
        "Put variables of a shell into /home/me/shop/.env and /srv/shared/.env first."
    )
    assert found.warning
    assert said(replace(outdated("web"), kept=True)) == [], "a copy of the settings is restored"


BLANK = 'time="x" level=warning msg="The \\"{}\\" variable is not set. Defaulting to a blank string."\n'


@pytest.mark.parametrize(
    ("folder", "names", "words"),
    [
        ("/srv/web", ("DEPLOYBOT_TAG", "OTHER"), "Set them in /srv/web/.env, or as `env` or `secrets` in bot.toml."),
        ("", ("DEPLOYBOT_TAG",), "Set it in /srv/shared/.env, or as `env` or `secrets` in bot.toml."),
    ],
)
def test_where_a_variable_is_set(folder: str, names: tuple[str, ...], words: str) -> None:
    errors = "".join(map(BLANK.format, names))
    (found,) = said(replace(known(service(), errors=errors), own_folder=folder))
    assert found[1].startswith(words)
