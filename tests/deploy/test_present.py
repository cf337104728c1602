"""What is said of servers that a deployment did not touch."""

from __future__ import annotations

import pytest

from deploybot.deploy.present import all_well
from deploybot.domain import Container, Observed, ServerFacts
from deploybot.ports import Site
from tests.strategies.conftest import make_app, only


def site(*containers: Container) -> Site:
    app = make_app("compose")
    observed = Observed(facts=ServerFacts(home="/"), project="shop", containers=containers)
    return Site(app=app, environment=only(app), facts=observed.facts, observed=observed)


def container(**more: object) -> Container:
    return Container(**{"id": "1", "name": "web-1", "service": "web", "image": "web", "state": "running", **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("there", "well"),
    [
        (site(), True),
        (site(container(health="healthy")), True),
        (site(container(state="exited", exit_code=0)), True),
        (site(container(state="exited", exit_code=137)), False),
        (site(container(), container(health="unhealthy")), False),
        (site(container(state="dead", oneoff=True)), True),
        ("nothing listens there", False),
    ],
)
def test_servers_are_well_when_they_answer_and_nothing_failed(there: Site | str, well: bool) -> None:
    assert all_well({"web1": there, "web2": site()}) is well
