"""Strategy `compose` with the whole deployment engine on a real Docker Engine, by four ways to have Compose."""

from __future__ import annotations

import asyncio
import fcntl
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploybot.domain import EffectKind, State
from deploybot.errors import UserError
from tests.lab import Engine, Repo
from tests.strategies.compose_shop import (
    ALPINE,
    DOCKERFILE,
    FIVE,
    ONE,
    PLUGIN,
    YAML,
    ComposeInstall,
    MakeShop,
    container,
    flavour,
    image_of,
    labels,
    make_shop,
    our_images,
    page,
)

__all__ = ["flavour", "make_shop"]


@pytest.fixture(params=(PLUGIN, ALPINE, ONE, FIVE), ids=str)
def any_flavour(request: pytest.FixtureRequest) -> ComposeInstall:
    """All of them, and one where there is busybox and no git."""
    assert isinstance(request.param, ComposeInstall)
    return request.param


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """Three releases: v1, v2 and v3, whose health check fails."""
    repo = make_repo("shop")
    files: dict[str, str | None] = {"compose.yaml": YAML, "Dockerfile": DOCKERFILE, "www/healthz": "ok"}
    for version in ("v1", "v2"):
        repo.commit({**files, "www/index.html": version})
        repo.tag(version)
    says = "echo no such table: users; "
    broken = YAML.replace('trap "exit 0"', says + 'trap "exit 0"', 1)
    repo.commit({"compose.yaml": broken, "www/index.html": "v3", "www/healthz": None})
    repo.tag("v3")
    return repo


@pytest.mark.timeout(300)
async def test_cycle_from_source(make_shop: MakeShop, engine: Engine, repo: Repo, any_flavour: ComposeInstall) -> None:
    shop = await make_shop(repo, any_flavour, secrets={"SECRET": {"env": "X"}})
    await shop.good("v1")
    assert page(engine) == "v1"
    first, database = image_of(engine, "web"), container(engine, "db")["Id"]
    assert labels(engine, "web")["deploybot.release"] == repo.sha("v1")
    assert "SECRET=s3cr3t-value" in str(container(engine, "web")["Config"])
    await shop.good("v2")
    assert page(engine) == "v2"
    second = image_of(engine, "web")
    assert second != first
    assert labels(engine, "web")["deploybot.release"] == repo.sha("v2")
    # What did not change was not restarted, and says since when it is there.
    assert container(engine, "db")["Id"] == database
    assert labels(engine, "db")["deploybot.release"] == repo.sha("v1")

    # Back to v2 from its image: nothing that builds would work any more.
    for version in ("v1", "v2"):
        shop.break_dockerfile(repo.sha(version))
    ended = await shop.deploy("v3")
    assert (ended.state, page(engine)) == (State.RESTORED, "v2"), ended.outcome
    assert "web is unhealthy" in ended.outcome
    assert "web | no such table: users" in ended.tail
    assert (image_of(engine, "web"), container(engine, "db")["Id"]) == (second, database)
    facts = await shop.facts()
    assert (facts.current, facts.switching) == (repo.sha("v2"), "")

    ended = await shop.good("v1", rollback=True)
    assert "build" not in {row.name for row in await shop.steps(ended)}
    assert (page(engine), image_of(engine, "web")) == ("v1", first)
    kept = [path for path in shop.directory.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert not kept
    assert "s3cr3t" not in shop.host.said


async def test_deploying_what_runs_changes_nothing(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    shop = await make_shop(repo, flavour)
    await shop.good("v1")
    before = [container(engine, name)["Id"] for name in ("web", "db")]
    (part,) = (await shop.plan("v1")).servers
    assert {one.service: one.kind for one in part.effects} == {"db": EffectKind.KEPT, "web": EffectKind.KEPT}
    await shop.good("v1")
    assert [container(engine, name)["Id"] for name in ("web", "db")] == before


async def test_health_commands_and_tasks_mean_this_project(make_shop: MakeShop, repo: Repo) -> None:
    ask = "docker compose exec -T web cat /www/index.html && docker compose ps -q | wc -l"
    shop = await make_shop(
        repo, health={"command": f"[ $({ask} | tr -d '\\n') = v12 ]", "within": "15s"}, tasks={"ask": ask}
    )
    await shop.good("v1")
    ended = await shop.task("ask")
    assert (ended.state, "".join(ended.tail)) == (State.SUCCEEDED, "v12")
    ended = await shop.deploy("v2")
    assert ended.state is State.RESTORED
    assert "the health command failed" in ended.outcome
    assert "still ends with 1" in "\n".join(ended.tail)


async def test_broken_files_fail_before_the_switch(make_shop: MakeShop, engine: Engine, repo: Repo) -> None:
    shop = await make_shop(repo)
    await shop.good("v1")
    repo.commit({"compose.yaml": YAML.replace("build: .", "biuld: .")})
    with pytest.raises(UserError, match="biuld"):
        await shop.deploy("main")
    repo.commit({"compose.yaml": YAML, "Dockerfile": "FROM lab/busybox\nRUN echo it breaks here; false\n"})
    ended = await shop.deploy("main")
    assert ended.state is State.FAILED
    assert "it breaks here" in "\n".join(ended.tail)
    assert {row.name for row in await shop.steps(ended)} == {"fetch", "build"}
    repo.commit({"compose.yaml": None})
    with pytest.raises(UserError, match=r"There is no compose\.yaml"):
        await shop.deploy("main")
    facts = await shop.facts()
    assert (page(engine), facts.switching, facts.current) == ("v1", "", repo.sha("v1"))


async def test_a_busy_port_is_found_by_the_plan(make_shop: MakeShop, engine: Engine, repo: Repo) -> None:
    engine.docker("run", "-d", "--name", "squatter", "-p", "8000:1", "lab/busybox", "sleep", "1000")
    shop = await make_shop(repo)
    with pytest.raises(
        UserError, match="web publishes port 8000/tcp, which the container squatter already uses"
    ) as caught:
        await shop.deploy("v1")
    assert "docker stop squatter" in caught.value.hint
    assert not engine.docker("ps", "-aq", "--filter", "label=com.docker.compose.project=shop-production")


async def test_a_crashing_container_without_a_health_check(
    make_shop: MakeShop, repo: Repo, flavour: ComposeInstall
) -> None:
    yaml = "services:\n  web:\n    image: lab/busybox\n    restart: {}\n    command: sh -c 'echo no way; exit 3'\n"
    repo.commit({"compose.yaml": yaml.format('"no"')})
    shop = await make_shop(repo, flavour, stable="5s")
    ended = await shop.deploy("main")
    assert ended.state is State.FAILED
    assert "web exited with code 3" in ended.outcome
    assert ended.tail == ("web | no way",)
    repo.commit({"compose.yaml": yaml.format("always")})
    ended = await shop.deploy("main")
    assert ended.state is State.FAILED
    assert re.search(r"web (keeps restarting|is restarting|restarted)", ended.outcome)


async def test_a_container_that_ends_well_is_no_failure(make_shop: MakeShop, engine: Engine, repo: Repo) -> None:
    once = "  once:\n    image: lab/busybox\n    command: echo migrated\n"
    repo.commit({"compose.yaml": YAML.replace("  db:\n", once + "  db:\n"), "www/healthz": "ok"})
    shop = await make_shop(repo)
    await shop.good("main")
    assert (await shop.facts()).current == repo.sha("main")
    states = [container(engine, service)["State"] for service in ("once", "web")]
    assert [state["ExitCode"] for state in states if isinstance(state, dict)] == [0, 0]


async def test_shared_names_order_profiles_files_and_env_file(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall, tmp_path: Path
) -> None:
    base = """
services:
  Web_1:
    build: .
    image: shop:local
    command: ${COMMAND}
    stop_signal: SIGKILL
  worker:
    image: shop:local
    command: sleep 1000
    stop_signal: SIGKILL
  extra:
    image: lab/busybox
    command: sleep 1000
    stop_signal: SIGKILL
    profiles: [extra]
  never:
    image: nothing/at/all
    profiles: [never]
"""
    over = "services:\n  worker:\n    environment: {OVER: 'yes'}\n"
    files = {"deploy/a b.yaml": base, "deploy/over.yaml": over, "deploy/Dockerfile": DOCKERFILE, "deploy/www/x": ""}
    repo.commit(files)
    (tmp_path / "env").write_text("COMMAND=sleep 1234\n")
    shop = await make_shop(
        repo,
        flavour,
        compose={
            "files": ["deploy/a b.yaml", "deploy/over.yaml"],
            "profiles": ["extra"],
            "env_file": str(tmp_path / "env"),
            "project": "the-shop",
            "order": ["worker", "Web_1"],
        },
        tasks={"ask": "docker compose ps --services | sort; docker compose exec -T worker sh -c 'echo over $OVER'"},
    )
    await shop.good("main")
    assert container(engine, "Web_1", "the-shop")["Args"] == ["1234"]
    assert image_of(engine, "worker", "the-shop") == image_of(engine, "Web_1", "the-shop")
    assert container(engine, "extra", "the-shop")
    assert "OVER=yes" in str(container(engine, "worker", "the-shop")["Config"])
    made = [str(container(engine, service, "the-shop")["Created"]) for service in ("worker", "Web_1", "extra")]
    assert made == sorted(made)
    if flavour is PLUGIN:
        assert (await shop.task("ask")).tail == ("Web_1", "extra", "worker", "over yes")
    before = container(engine, "worker", "the-shop")
    assert (await shop.restart()).state is State.SUCCEEDED
    after = container(engine, "worker", "the-shop")
    assert (after["Id"], after["State"] == before["State"]) == (before["Id"], False)


async def test_a_restart_does_not_run_a_job_again(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    job = '  migrate:\n    image: lab/busybox\n    command: ["sh", "-c", "exit 0"]\n'
    repo.branch("main", "v2")
    repo.commit({"compose.yaml": YAML.replace("volumes:\n  data: {}", f"{job}volumes:\n  data: {{}}")})
    shop = await make_shop(repo, flavour)
    await shop.good("main")
    before = {name: started(engine, name) for name in ("web", "db", "migrate")}
    ended = await shop.restart()
    assert ended.state is State.SUCCEEDED, ended.outcome
    assert {name for name, at in before.items() if at != started(engine, name)} == {"web", "db"}


def started(engine: Engine, service: str) -> str:
    """When a service's container was started last."""
    return engine.docker("inspect", "-f", "{{.State.StartedAt}}", str(container(engine, service)["Id"]))


async def test_mounts_that_would_start_empty_are_refused(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    yaml = YAML.replace("data:/data", "./data:/data").replace("volumes:\n  data: {}\n", "")
    repo.branch("main", "v2")
    repo.commit({"compose.yaml": yaml.replace("    ports:", '    volumes: ["./www:/www:ro"]\n    ports:')})
    shop = await make_shop(repo, flavour)
    with pytest.raises(UserError, match=r"mounts ./data, which is not in the repository"):
        await shop.deploy("main")
    (shop.directory / "shared/data").mkdir(parents=True)
    await shop.good("main")
    database = str(container(engine, "db")["Id"])
    engine.docker("exec", database, "touch", "/data/kept")
    assert (shop.directory / "shared/data/kept").exists()
    # What is mounted of the repository changed for one service alone.
    repo.commit({"data/.gitkeep": "", "www/index.html": "other"})
    await shop.good("main")
    assert page(engine) == "other"
    assert str(container(engine, "db")["Id"]) == database
    assert engine.docker("exec", database, "ls", "/data") == "kept\n"


async def test_prune_keeps_what_going_back_needs(make_shop: MakeShop, engine: Engine, repo: Repo) -> None:
    shop = await make_shop(repo, keep=2)
    commits, images = [], []
    other = "deploybot/shop-production2/web:0123456789ab"
    engine.docker("tag", "lab/busybox", other)
    for number in range(4):
        repo.branch("main", "v2")
        repo.commit({"www/index.html": f"page {number}"})
        await shop.good("main")
        commits.append(repo.sha("main"))
        images.append(image_of(engine, "web"))
    facts = await shop.facts()
    assert commits[3] in facts.releases
    assert commits[2] in facts.releases
    assert commits[0] not in facts.releases
    assert not shop.folder(commits[0]).exists()
    assert {images[2], images[3]} < our_images(engine)
    assert images[0] not in our_images(engine)
    assert engine.docker("image", "ls", "-q", other)
    assert engine.docker("image", "ls", "-q", "lab/busybox:latest")
    shop.break_dockerfile(commits[2])
    await shop.good(commits[2], rollback=True)
    assert page(engine) == "page 2"


async def test_an_engine_that_stops_in_mid_switch_is_waited_for(
    make_shop: MakeShop, engine: Engine, repo: Repo
) -> None:
    shop = await make_shop(repo, restore_within="2m")
    await shop.good("v1")
    image = image_of(engine, "web")
    shop.host.before["compose_up"] = engine.stop
    deploying = asyncio.create_task(shop.deploy("v2"))
    await shop.seen(2, State.RESTORING)
    await asyncio.to_thread(engine.start)
    ended = await deploying
    assert ended.state is State.RESTORED, ended.outcome
    assert (page(engine), image_of(engine, "web")) == ("v1", image)
    await shop.good("v2")
    assert page(engine) == "v2"


async def test_images_that_were_deleted_are_made_again(make_shop: MakeShop, engine: Engine, repo: Repo) -> None:
    shop = await make_shop(repo)
    await shop.good("v1")
    image = image_of(engine, "web")
    await shop.good("v2")
    engine.docker("image", "rm", "--force", image)
    # Nobody can say any more that a build makes the very same image.
    with pytest.raises(UserError, match="its image of web is not on web1 any more") as caught:
        await shop.deploy("v1", rollback=True)
    assert caught.value.hint == f"Build it again: deploy shop@{repo.sha('v1')} to production"
    await shop.good("v1")
    assert page(engine) == "v1"


async def test_a_build_waits_for_another_one(make_shop: MakeShop, engine: Engine, repo: Repo) -> None:
    shop = await make_shop(repo)
    with _locked(Path(shop.host.env["HOME"], ".deploybot/build.lock")):
        deploying = asyncio.create_task(shop.deploy("v1"))
        await shop.said("waiting for another build on this server")
    assert (await deploying).state is State.SUCCEEDED
    assert page(engine) == "v1"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock as another build on the server does."""
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


async def test_a_release_of_an_older_compose_file_is_restored_with_its_own(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    shop = await make_shop(repo, flavour)
    await shop.good("v1")
    repo.branch("main", "v2")
    moved = YAML.replace("build: .", "build: ..").replace("/healthz", "/nothing")
    repo.commit({"compose.yaml": None, "ops/compose.yaml": moved})
    shop.set_compose(files=("ops/compose.yaml",))
    ended = await shop.deploy("main")
    assert ended.state is State.RESTORED, ended.outcome
    assert page(engine) == "v1"


async def test_the_version_of_compose_does_not_matter_much(make_shop: MakeShop, engine: Engine, repo: Repo) -> None:
    shop = await make_shop(repo)
    shop.host.compose_version = "2.6.0"
    await shop.good("v1")
    assert page(engine) == "v1"
    ended = await shop.deploy("v3")
    assert "web is unhealthy" in ended.outcome
    assert page(engine) == "v1"


async def test_a_half_made_container_is_no_obstacle(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    """Compose renames the old container before it makes the new one; the Engine refuses that one."""
    shop = await make_shop(repo, flavour)
    await shop.good("v1")
    image = image_of(engine, "web")
    repo.branch("main", "v2")
    repo.commit({"compose.yaml": YAML.replace("    ports:", '    devices: ["/dev/nothing-like-this"]\n    ports:')})
    ended = await shop.deploy("main")
    assert ended.state is State.RESTORED, ended.outcome
    assert (page(engine), image_of(engine, "web")) == ("v1", image)


async def test_another_image_under_the_name_of_the_release_fails_it(
    make_shop: MakeShop, engine: Engine, repo: Repo
) -> None:
    shop = await make_shop(repo)
    await shop.good("v1")
    image = image_of(engine, "web")
    # Somebody at the server is quicker than the bot between its `up` and its look.
    shop.host.before["switch"] = lambda: _run_by_hand(engine, shop.folder(repo.sha("v1")))
    ended = await shop.deploy("v2")
    assert ended.state is State.RESTORED
    assert f"web runs image {image.removeprefix('sha256:')[:12]} instead of" in ended.outcome
    assert (page(engine), image_of(engine, "web")) == ("v1", image)


def _run_by_hand(engine: Engine, folder: Path) -> None:
    """Bring a release up again with its own override, as a person would who found it."""
    files = folder.parent.parent / ".deploybot/releases" / folder.name / "override.json"
    words = ("-p", "shop-production", "-f", "compose.yaml", "-f", str(files))
    engine.docker("compose", *words, "up", "-d", "--no-build", "web", cwd=folder)
