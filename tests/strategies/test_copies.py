"""Whether a project on the server is the app that would be deployed, or only looks a little like it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploybot.domain import Container, Observed, PublishedPort, ServerFacts
from deploybot.strategies.compose.compose_model import ComposeConfig, parse_config
from deploybot.strategies.compose.second_copies import DeployedHere, copies_of, second_copies


def config(**images: str) -> ComposeConfig:
    services = {name: {"image": image} if image else {"build": {"context": "."}} for name, image in images.items()}
    return parse_config(json.dumps({"name": "shop-live", "services": services}), project="shop-live")


def running(**images: str) -> list[Container]:
    return [
        Container(id=name, name=f"other-{name}-1", service=name, image=image, state="running", project="other")
        for name, image in images.items()
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (
            {"web": "ghcr.io/ana/notes:2", "db": "postgres:16"},
            {"web": "ghcr.io/ana/notes:1", "db": "postgres:15"},
            True,
        ),
        (
            {"web": "ghcr.io/ana/notes:2", "db": "postgres:16"},
            {"web": "ghcr.io/ben/blog:1", "db": "postgres:16"},
            False,
        ),
        # Two apps that are built, with the same cache beside them.
        ({"web": "", "cache": "bitnami/redis:7"}, {"web": "other-web", "cache": "bitnami/redis:7"}, False),
        ({"web": "nginx", "db": "postgres"}, {"web": "nginx", "db": "postgres"}, False),
        # The port of a registry is no tag, and a digest is none either.
        ({"web": "10.0.0.9:5000/notes"}, {"web": "10.0.0.9:5000/notes:3"}, True),
        ({"web": "10.0.0.9:5000/notes:2"}, {"web": "10.0.0.9:5000/blog:2"}, False),
        ({"web": "ghcr.io/ana/notes@sha256:" + "a" * 64}, {"web": "ghcr.io/ana/notes:1"}, True),
        ({"web": "docker.io/library/nginx:1"}, {"web": "nginx:2"}, False),
        # What is left of a project is the app where its image is called so, whatever the case.
        ({"web": "ghcr.io/ana/Shop:2", "db": "postgres:16"}, {"web": "ghcr.io/ana/Shop:1"}, True),
        ({"web": "ghcr.io/ana/notes:2", "db": "postgres:16"}, {"web": "ghcr.io/ana/notes:1"}, False),
    ],
)
def test_one_shared_image_does_not_make_two_apps_one(ours: dict[str, str], theirs: dict[str, str], same: bool) -> None:
    assert bool(copies_of(config(**ours), running(**theirs), ["shop"])) is same


def test_a_service_that_is_switched_off_is_no_part_of_the_app() -> None:
    services = {"web": {"image": "ghcr.io/ana/notes:2"}, "idle": {"image": "x", "scale": 0}}
    ours = parse_config(json.dumps({"name": "shop-live", "services": services}), project="shop-live")
    assert copies_of(ours, running(web="ghcr.io/ana/notes:1"), []).keys() == {"other"}
    assert copies_of(ours, running(web="ghcr.io/ana/notes:1", mail="y"), ["OTHER"]).keys() == {"other"}


def test_a_folder_with_the_name_of_the_app_makes_it_the_app() -> None:
    there = named("x", image="built", labels=(("com.docker.compose.project.working_dir", "/home/me/Notes"),))
    assert [bool(copies_of(config(web=""), [there], [name])) for name in ("notes", "NOTES", "me", "")] == [
        *(True, True),
        *(False, False),
    ]


def test_ports_that_are_not_published_are_not_shared() -> None:
    services = {"web": {"build": {"context": "."}, "ports": [{"target": 80}, {"target": 81, "published": "8081"}]}}
    ours = parse_config(json.dumps({"name": "shop-live", "services": services}), project="shop-live")
    for port, same in ((0, False), (80, False), (8081, True)):
        there = named("other", image="built", ports=(PublishedPort(port=port),))
        assert bool(copies_of(ours, [there], [])) is same


def named(project: str, **more: object) -> Container:
    (one,) = running(web="ghcr.io/ana/notes:1")
    return replace(one, project=project, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("project", "services", "release", "same"),
    [
        ("store-live", {"web": ""}, "1" * 40, True),
        ("store-live", {"web": "", "db": "postgres"}, "1" * 40, True),
        ("store-live", {"mail": ""}, "1" * 40, False),
        ("store-live", {"web": ""}, "2" * 40, False),
        ("shop-test", {"web": ""}, "1" * 40, False),
    ],
)
def test_what_the_bot_deployed_under_another_name_is_the_app(
    project: str, services: dict[str, str], release: str, same: bool
) -> None:
    """The app or its project was renamed in bot.toml. Another target of bot.toml is no copy."""
    here = DeployedHere(projects=("shop-live", "shop-test"), once=("1" * 40,))
    labels = (("deploybot.release", release), ("deploybot.image", "sha256:1"))
    there = named(project, image="deploybot/store-live/web:1", labels=labels)
    assert bool(copies_of(config(**services), [there], ["shop"], here)) is same
    assert copies_of(config(**services), [replace(there, state="exited")], ["shop"], here) == {}


def test_what_has_stopped_runs_nowhere() -> None:
    assert copies_of(config(web="ghcr.io/ana/notes:2"), [named("notes", state="exited")], ["notes"]) == {}


@pytest.mark.parametrize("odd", [{"oneoff": True}, {"service": ""}, {"project": ""}])
def test_only_services_of_projects_are_copies(odd: dict[str, object]) -> None:
    assert copies_of(config(web="ghcr.io/ana/notes:2"), [replace(named("notes"), **odd)], ["notes"]) == {}  # type: ignore[arg-type]
    assert copies_of(config(web="ghcr.io/ana/notes:2"), [named("notes")], ["notes"]).keys() == {"notes"}


def observed_with(*others: Container) -> Observed:
    return Observed(facts=ServerFacts(home="/"), project="shop-live", others=others)


def test_an_app_that_is_switched_off_has_no_copies() -> None:
    ours = parse_config('{"name": "shop-live", "services": {"web": {"image": "x", "scale": 0}}}', project="shop-live")
    assert copies_of(ours, [named("notes")], ["notes"]) == {}


def test_copies_are_named_in_the_order_of_their_projects() -> None:
    others = (named("zoo"), named("ark"))
    observed = observed_with(*others)
    found = [one.sentence for one in second_copies(config(web="ghcr.io/ana/notes:2"), observed, ["notes"])]
    more = [named("notes", service=name) for name in ("zoo", "job", "db", "mail", "api", "cron")]
    (one,) = second_copies(config(web="ghcr.io/ana/notes:2"), observed_with(named("notes"), *more), ["notes"])
    assert "project notes has api, cron, db, job, mail, web, zoo. A second copy" in one.sentence
    assert ["project ark" in found[0], "project zoo" in found[1], len(found)] == [True, True, 2]


@pytest.mark.parametrize(("name", "same"), [("a_name", True), ("another", False)])
def test_a_container_name_of_ours_makes_it_the_app(name: str, same: bool) -> None:
    services = {"web": {"build": {"context": "."}, "container_name": "a_name"}}
    ours = parse_config(json.dumps({"name": "shop-live", "services": services}), project="shop-live")
    assert bool(copies_of(ours, [named("other", image="built", name=name)], ["shop"])) is same
