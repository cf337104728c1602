from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Release, ServerFacts
from deploybot.errors import UserError
from deploybot.strategies import STRATEGIES
from deploybot.strategies.server_requirements import check_compose, compose_version
from tests.strategies.conftest import make_app, site_of

NEW = Release.of_commit("b" * 40, ref="v2")
GOOD = ServerFacts(
    home="/home/deploy",
    server="web1",
    user="deploy",
    git=True,
    disk_free=10**10,
    memory_available=10**9,
    docker="24.0.5",
    compose=("docker", "compose"),
    compose_version="2.26.1",
)


def refusal(facts: ServerFacts, **more: object) -> UserError:
    app = make_app("files", **more)
    with pytest.raises(UserError) as caught:
        STRATEGIES["files"].deploy(site_of(app, facts), NEW, None)
    return caught.value


def no_compose(facts: ServerFacts) -> UserError:
    with pytest.raises(UserError) as caught:
        check_compose(site_of(make_app("compose"), facts))
    return caught.value


@pytest.mark.parametrize("strategy", ["files", "script"])
def test_a_good_server_is_taken(strategy: str) -> None:
    app = make_app(strategy, need_memory="500MB")
    assert STRATEGIES[strategy].deploy(site_of(app, GOOD), NEW, None).steps


def test_disk() -> None:
    error = refusal(replace(GOOD, disk_free=200_000_000))
    assert error.sentence == "web1 is low on disk space: 200 MB free for /srv/shop, but shop needs 500 MB."
    assert "docker system df" in error.hint
    assert "apps.shop.need_disk" in error.hint


def test_memory() -> None:
    error = refusal(replace(GOOD, memory_available=100_000_000), need_memory="256MB")
    assert error.sentence == "web1 is low on memory: 100 MB available, but shop needs 256 MB."


def test_what_is_unknown_does_not_refuse() -> None:
    app = make_app("files", need_memory="1GB")
    unknown = replace(GOOD, disk_free=-1, memory_available=-1)
    assert STRATEGIES["files"].deploy(site_of(app, unknown), NEW, None).steps


def test_going_back_needs_no_room() -> None:
    app = make_app("files", need_memory="1GB")
    full = replace(GOOD, disk_free=0, memory_available=0, releases=(NEW.id,))
    assert STRATEGIES["files"].deploy(site_of(app, full, NEW), NEW, None).steps
    assert "low on disk" in refusal(full, need_memory="1GB").sentence


def test_rights() -> None:
    error = refusal(replace(GOOD, writable=False))
    assert error.sentence == "deploy cannot write to /srv/shop on web1."
    assert error.hint == "Run once as root there: install -d -o deploy /srv/shop"


def test_tools() -> None:
    error = refusal(replace(GOOD, git=False, tools_missing=("tar", "curl", "gzip")))
    assert error.sentence == "web1 has neither git nor tar nor gzip, so no release can be unpacked there."
    app = make_app("files")
    for facts in (replace(GOOD, tools_missing=("tar",)), replace(GOOD, git=False, tools_missing=("curl",))):
        assert STRATEGIES["files"].deploy(site_of(app, facts), NEW, None).steps


def test_docker_and_compose() -> None:
    error = no_compose(replace(GOOD, docker=""))
    assert error.sentence == "web1 has no Docker that deploy can use, but shop needs it."
    assert "systemctl status docker" in error.hint
    error = no_compose(replace(GOOD, docker="", compose=()))
    assert error.sentence == "web1 has no Docker that deploy can use, but shop needs it."
    assert error.hint == "Install Docker there, and let the user use it: usermod -aG docker deploy"
    error = no_compose(replace(GOOD, compose=()))
    assert error.sentence == "web1 has no Docker Compose, but shop needs it."
    error = no_compose(replace(GOOD, compose=("docker-compose",), compose_version="1.25.0"))
    assert error.sentence == "web1 has Docker Compose 1.25.0, but at least 1.27 is required."
    check_compose(site_of(make_app("compose"), GOOD))


def test_versions() -> None:
    texts = ("2.26.1", "v2.24.5-desktop.1", "1.29.2", "5.0.0", "", "dev")
    sites = [site_of(make_app("compose"), replace(GOOD, compose_version=text)) for text in texts]
    assert [compose_version(site) for site in sites] == [
        *((2, 26), (2, 24), (1, 29), (5, 0), (2, 0), (2, 0)),
    ]
