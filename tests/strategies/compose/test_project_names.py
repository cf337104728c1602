"""What exists under the name that Compose itself uses in a server's own folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Container, Observed, ServerFacts
from deploybot.strategies.compose.compose_answers import ConfigAnswer, ConfigAnswers
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeResource
from deploybot.strategies.compose.project_names import other_projects, own_name
from deploybot.strategies.compose.settings_label import IMAGE_LABEL, RELEASE_LABEL

FOLDER = "/srv/My.Web"
ANSWERS = ConfigAnswers(release=ConfigAnswer(folder=FOLDER, code=0))
WEB = Container(
    id="1",
    name="x",
    service="web",
    image="acme/web",
    project="mine",
    state="exited",
    labels=(("com.docker.compose.project.working_dir", FOLDER),),
)
EMPTY = Observed(facts=ServerFacts(home="/"))


def config(**more: object) -> ComposeConfig:
    volume = ComposeResource(key="data", name="web-production_data", external=False)
    return ComposeConfig(name="web-production", volumes=(replace(volume, **more),))  # type: ignore[arg-type]


def said(observed: Observed, answers: ConfigAnswers = ANSWERS, **more: object) -> list[tuple[str, bool]]:
    found = other_projects(config(**more), observed, answers, FOLDER, "web-production", known=["web-staging"])
    return [(one.sentence, one.warning) for one in found]


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        (ANSWERS, "myweb"),
        (replace(ANSWERS, named="shop"), "shop"),
        (replace(ANSWERS, named="shop", env={"COMPOSE_PROJECT_NAME": "_Env"}), "env"),
        (replace(ANSWERS, named="${NAME}"), ""),
    ],
)
def test_the_name_is_what_compose_would_use(answers: ConfigAnswers, name: str) -> None:
    assert own_name(FOLDER, answers) == name


def test_volumes_of_a_stopped_project_are_not_left_behind() -> None:
    there = replace(EMPTY, volumes=("myweb_data",))
    ((sentence, warning),) = said(there)
    assert sentence == (
        f"Compose calls this project myweb in {FOLDER}, and myweb_data exists here. Project web-production would start "
        "with new, empty volumes."
    )
    assert not warning
    assert said(replace(there, volumes=("myweb_data", "web-production_data"))) == []
    assert said(there, replace(ANSWERS, named="other")) == []
    assert said(there, replace(ANSWERS, named="web-production")) == []
    assert said(there, name="shared") == []
    assert said(there, external=True) == []


def test_containers_from_the_same_folder_are_found() -> None:
    for there in (WEB, replace(WEB, state="running")):
        ((sentence, warning),) = said(replace(EMPTY, others=(there,)))
        assert sentence == f"Project mine has containers of web from {FOLDER}. A second copy would start beside it."
        assert not warning
    for other in (
        replace(WEB, labels=()),
        replace(WEB, labels=(*WEB.labels, (IMAGE_LABEL, "x"))),
        replace(WEB, oneoff=True),
        replace(WEB, project="web-staging"),
    ):
        assert said(replace(EMPTY, others=(other,))) == []


def test_a_second_copy_beside_what_the_bot_runs_is_a_warning() -> None:
    ours = replace(WEB, id="2", project="web-production", state="running")
    running = replace(EMPTY, containers=(ours,), others=(replace(WEB, state="running"),))
    assert said(running) == [(f"Project mine runs from {FOLDER}, too: a second copy of the app.", True)]
    assert said(replace(running, others=(WEB,))) == []


TAKE = 'To continue with {0}, set compose.project = "{0}" in bot.toml. For a new one, set "web-production" there.'


def advice(observed: Observed, **more: object) -> list[str]:
    answers = replace(ANSWERS, **more)  # type: ignore[arg-type]
    return [
        one.advice
        for one in other_projects(config(), observed, answers, FOLDER, "web-production", known=["web-staging"])
    ]


def test_each_problem_says_how_to_continue() -> None:
    assert advice(replace(EMPTY, others=(WEB,))) == [TAKE.format("mine")]
    assert advice(replace(EMPTY, volumes=("myweb_data",))) == [TAKE.format("myweb")]
    ours = replace(WEB, id="2", project="web-production", state="running")
    both = (replace(WEB, state="running"), replace(WEB, id="3", project="a", state="running"))
    assert advice(replace(EMPTY, containers=(ours,), others=both)) == [
        f"If that is not wanted, stop one of them: docker compose -p {name} down" for name in ("a", "mine")
    ]


def test_projects_and_services_are_in_order_each_with_its_own() -> None:
    others = tuple(
        replace(WEB, id=f"{project}{service}", project=project, service=service)
        for project, service in (("z", "web"), ("z", "db"), ("a", "web"), ("", "lost"), ("b", "job"))
    )
    assert [sentence.split(" from ")[0] for sentence, _ in said(replace(EMPTY, others=others))] == [
        "Project a has containers of web",
        "Project b has containers of job",
        "Project z has containers of db and web",
    ]


@pytest.mark.parametrize("name", ["", "web-production", "web-staging"])
def test_volumes_of_the_project_itself_or_of_a_known_one_are_no_problem(name: str) -> None:
    volumes = tuple(f"{one}_data" for one in ("", "web-staging"))
    answers = replace(ANSWERS, named=name or "${NAME}")
    assert said(replace(EMPTY, volumes=volumes), answers) == []


def test_what_the_bot_started_is_no_second_copy() -> None:
    ours = replace(WEB, labels=(*WEB.labels, (RELEASE_LABEL, "r1")))
    assert said(replace(EMPTY, others=(ours,))) == []
