"""The steps of `compose` on a real Docker Engine, with Compose 2 as plugin and alone, and with Compose 1."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploybot.domain import Release, ServerFacts, ServerPlan, Step
from deploybot.redact import Redactor
from deploybot.sources.git import GitSource
from deploybot.strategies import STRATEGIES
from tests.lab import COMPOSE_ALONE, Engine, Registry, Repo, web
from tests.lab.sshd import COMPOSE_1
from tests.strategies.conftest import LocalServer, StepEnded, busybox_path, make_app, only

COMPOSE = STRATEGIES["compose"]
SERVE = 'trap "exit 0" TERM; httpd -f -p 8000 -h /www & wait'
DOCKERFILE = "FROM lab/busybox\nCOPY www /www\n"
YAML = f"""
services:
  web:
    build: .
    command: ["sh", "-c", '{SERVE}']
    ports: ["8000:8000"]
    environment:
      SECRET: ${{SECRET:-}}
    healthcheck:
      test: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8000/healthz"]
      interval: 0.5s
      timeout: 2s
      retries: 2
  db:
    image: lab/busybox
    command: ["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']
    volumes: ["data:/data"]
    healthcheck: {{test: ["CMD", "true"], interval: 0.3s}}
volumes:
  data: {{}}
"""


@dataclass(frozen=True)
class Flavour:
    """A way to have Compose on a server."""

    compose: tuple[str, ...]
    version: str
    path: Path | None = None
    busybox: bool = False


PLUGIN = Flavour(("docker", "compose"), "2.26.1")
ALPINE = Flavour(("docker-compose",), "2.26.1", COMPOSE_ALONE, busybox=True)
ONE = Flavour(("docker-compose",), "1.29.2", COMPOSE_1)
NAMES = {PLUGIN: "plugin", ALPINE: "alone, busybox", ONE: "1"}
MakeComposeServer = Callable[..., LocalServer]


@pytest.fixture(params=[PLUGIN, ONE], ids=NAMES.__getitem__)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Compose 2 and Compose 1."""
    assert isinstance(request.param, Flavour)
    return request.param


@pytest.fixture(params=NAMES, ids=NAMES.__getitem__)
def any_flavour(request: pytest.FixtureRequest) -> Flavour:
    """Both, and Compose 2 alone where there is busybox and no git."""
    assert isinstance(request.param, Flavour)
    return request.param


@pytest.fixture(params=[ALPINE, ONE], ids=NAMES.__getitem__)
def lone_flavour(request: pytest.FixtureRequest) -> Flavour:
    """Compose 2 and Compose 1 as binaries of their own."""
    assert isinstance(request.param, Flavour)
    return request.param


@pytest.fixture
def make_server(engine: Engine, tmp_path: Path) -> MakeComposeServer:
    """Make a server with the laboratory's engine, run with dash and GNU tools or busybox and docker alone."""

    def make(repo: Repo, flavour: Flavour = PLUGIN, **more: object) -> LocalServer:
        directory = tmp_path / "srv" / "shop"
        directory.mkdir(parents=True, exist_ok=True)
        (tmp_path / "srv" / ".deploybot").mkdir(exist_ok=True)
        (tmp_path / "docker-config").mkdir(exist_ok=True)
        source = GitSource(tmp_path / "data", Redactor())
        app = make_app("compose", repo=repo.url, directory=str(directory), **more)
        path = "/usr/bin:/bin"
        if flavour.busybox:
            path = busybox_path(tmp_path / "busybox")
            Path(path, "docker").symlink_to("/usr/bin/docker")
        shell = f"{path}/sh" if flavour.busybox else "dash"
        path = f"{flavour.path}:{path}" if flavour.path else path
        docker = {"DOCKER_HOST": engine.url, "DOCKER_CONFIG": str(tmp_path / "docker-config")}
        facts = ServerFacts(home="/", docker="20.10", compose=flavour.compose, compose_version=flavour.version)
        return LocalServer(
            directory, source, app, (shell,), path, git=not flavour.busybox, more=docker, facts_more=facts
        )

    return make


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


def planned(server: LocalServer, ref: str) -> ServerPlan:
    facts = server.facts()
    previous = Release(commit=facts.current) if facts.current else None
    return COMPOSE.deploy(server.app, only(server.app), server.release(ref), previous, facts)


def deploy(server: LocalServer, ref: str, secrets: dict[str, str] | None = None) -> ServerPlan:
    plan = planned(server, ref)
    server.run(plan.steps, secrets)
    return plan


def page(engine: Engine) -> str:
    with urllib.request.urlopen(f"http://{engine.address}:8000/", timeout=5) as reply:
        return str(reply.read().decode())


def container(engine: Engine, service: str, project: str = "shop-production") -> dict[str, object]:
    """What `docker inspect` says of a service's only container."""
    filters = (f"label=com.docker.compose.project={project}", f"label=com.docker.compose.service={service}")
    ids = engine.docker("ps", "-aq", *(word for text in filters for word in ("--filter", text))).split()
    assert len(ids) == 1, (service, ids)
    (found,) = json.loads(engine.docker("inspect", ids[0]))
    assert isinstance(found, dict)
    return found


def labels(engine: Engine, service: str) -> dict[str, str]:
    config = container(engine, service)["Config"]
    assert isinstance(config, dict)
    return dict(config["Labels"])


def image_of(engine: Engine, service: str) -> str:
    return str(container(engine, service)["Image"])


def test_cycle_from_source(make_server: MakeComposeServer, engine: Engine, repo: Repo, any_flavour: Flavour) -> None:
    server = make_server(repo, any_flavour, secrets={"SECRET": {"env": "X"}}, compose={"wait": "20s"})
    secrets = {"SECRET": "s3cr3t-value"}
    deploy(server, "v1", secrets)
    assert page(engine) == "v1"
    first, database = image_of(engine, "web"), container(engine, "db")["Id"]
    assert labels(engine, "web")["deploybot.release"] == repo.sha("v1")
    plan = deploy(server, "v2", secrets)
    assert page(engine) == "v2"
    second = image_of(engine, "web")
    assert second != first
    assert labels(engine, "web")["deploybot.release"] == repo.sha("v2")
    # What did not change was not restarted, and says since when it is there.
    assert container(engine, "db")["Id"] == database
    assert labels(engine, "db")["deploybot.release"] == repo.sha("v1")

    broken = planned(server, "v3")
    with pytest.raises(StepEnded) as caught:
        server.run(broken.steps, secrets)
    assert caught.value.step.name == "up"
    assert server.facts().switching == repo.sha("v3")
    assert server.facts().current == repo.sha("v2")
    end = caught.value.said.splitlines()[-15:]
    assert end[-1] == "web is unhealthy"
    assert "web | no such table: users" in end
    # Back to v2 from its image: nothing that builds would work any more.
    (server.directory / "releases" / repo.sha("v2") / "Dockerfile").write_text("FROM nothing/at/all\n")
    server.run(broken.restore, secrets)
    assert page(engine) == "v2"
    assert image_of(engine, "web") == second
    assert container(engine, "db")["Id"] == database
    assert (server.facts().current, server.facts().switching) == (repo.sha("v2"), "")
    assert repo.sha("v3") not in server.facts().releases

    # Back to v1, also without a build.
    (server.directory / "releases" / repo.sha("v1") / "Dockerfile").write_text("FROM nothing/at/all\n")
    plan = planned(server, "v1")
    assert [step.name for step in plan.steps] == ["build", "up", "switch"]
    server.run(plan.steps, secrets)
    assert (page(engine), image_of(engine, "web")) == ("v1", first)
    kept = [path for path in server.directory.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert not kept
    assert "s3cr3t" not in "".join(server.log)


def test_deploying_what_runs_changes_nothing(make_server: MakeComposeServer, engine: Engine, repo: Repo) -> None:
    server = make_server(repo)
    deploy(server, "v1")
    before = [container(engine, name)["Id"] for name in ("web", "db")]
    deploy(server, "v1")
    assert [container(engine, name)["Id"] for name in ("web", "db")] == before


def test_health_commands_and_tasks_mean_this_project(make_server: MakeComposeServer, repo: Repo) -> None:
    server = make_server(repo)
    server.run((plan := planned(server, "v1")).steps)
    command = "docker compose exec -T web cat /www/index.html && docker compose ps -q | wc -l"
    env = (*plan.steps[-1].env, ("DEPLOYBOT_HEALTH", command), ("DEPLOYBOT_WITHIN", "5"))
    assert server.run([Step(name="health", script="health_command", env=env)]).split() == ["v12"]
    wrong = (*plan.steps[-1].env, ("DEPLOYBOT_HEALTH", "false"), ("DEPLOYBOT_WITHIN", "1"))
    with pytest.raises(StepEnded, match="still ends with 1"):
        server.run([Step(name="health", script="health_command", env=wrong)])


def test_broken_files_fail_before_the_switch(make_server: MakeComposeServer, engine: Engine, repo: Repo) -> None:
    repo.commit({"compose.yaml": YAML.replace("build: .", "biuld: .")})
    server = make_server(repo)
    deploy(server, "v1")
    with pytest.raises(StepEnded, match="biuld") as caught:
        deploy(server, "main")
    assert caught.value.step.name == "build"
    assert (page(engine), server.facts().switching, server.facts().current) == ("v1", "", repo.sha("v1"))
    repo.commit({"compose.yaml": YAML, "Dockerfile": "FROM lab/busybox\nRUN echo it breaks here; false\n"})
    with pytest.raises(StepEnded, match="it breaks here") as caught:
        deploy(server, "main")
    assert caught.value.step.name == "build"
    repo.commit({"compose.yaml": None})
    with pytest.raises(StepEnded, match=r"There is no compose\.yaml") as caught:
        deploy(server, "main")
    assert page(engine) == "v1"


def test_busy_port_is_told_in_the_engines_words(make_server: MakeComposeServer, engine: Engine, repo: Repo) -> None:
    engine.docker("run", "-d", "-p", "8000:1", "lab/busybox", "sleep", "1000")
    server = make_server(repo)
    with pytest.raises(StepEnded, match="port is already allocated") as caught:
        deploy(server, "v1")
    assert caught.value.step.name == "up"


def test_crashing_container_without_a_health_check(
    make_server: MakeComposeServer, repo: Repo, flavour: Flavour
) -> None:
    yaml = "services:\n  web:\n    image: lab/busybox\n    restart: {}\n    command: sh -c 'echo no way; exit 3'\n"
    repo.commit({"compose.yaml": yaml.format('"no"')})
    server = make_server(repo, flavour, compose={"wait": "5s"})
    with pytest.raises(StepEnded) as caught:
        deploy(server, "main")
    assert caught.value.said.splitlines()[-2:] == ["web | no way", "web exited with code 3"]
    repo.commit({"compose.yaml": yaml.format("always")})
    with pytest.raises(StepEnded) as caught:
        deploy(server, "main")
    assert caught.value.said.splitlines()[-1] == "web keeps restarting"


def test_a_container_that_ends_well_is_no_failure(make_server: MakeComposeServer, engine: Engine, repo: Repo) -> None:
    once = "  once:\n    image: lab/busybox\n    command: echo migrated\n"
    repo.commit({"compose.yaml": YAML.replace("  db:\n", once + "  db:\n"), "www/healthz": "ok"})
    server = make_server(repo)
    deploy(server, "main")
    assert server.facts().current == repo.sha("main")
    state = container(engine, "web")["State"]
    assert isinstance(state, dict)
    assert state["Health"]["Status"] == "healthy"


def test_shared_names_order_profiles_files_and_env_file(
    make_server: MakeComposeServer, engine: Engine, repo: Repo, flavour: Flavour
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
    repo.commit(
        {"deploy/a b.yaml": base, "deploy/over.yaml": over, "deploy/Dockerfile": DOCKERFILE, "deploy/www/x": ""}
    )
    server = make_server(
        repo,
        flavour,
        compose={
            "files": ["deploy/a b.yaml", "deploy/over.yaml"],
            "profiles": ["extra"],
            "env_file": str(make_server(repo).directory / "env"),
            "project": "the-shop",
            "order": ["worker", "Web_1"],
        },
        tasks={"ask": "docker compose ps --services | sort; docker compose exec -T worker sh -c 'echo over $OVER'"},
    )
    (server.directory / "env").write_text("COMMAND=sleep 1234\n")
    deploy(server, "main")
    assert container(engine, "Web_1", "the-shop")["Args"] == ["1234"]
    assert image_of_project(engine, "worker") == image_of_project(engine, "Web_1")
    assert container(engine, "extra", "the-shop")
    assert "OVER=yes" in str(container(engine, "worker", "the-shop")["Config"])
    if flavour is PLUGIN:
        task = COMPOSE.task(server.app, only(server.app), server.release("main"), "ask", server.facts())
        assert server.run(task.steps) == "Web_1\nextra\nworker\nover yes\n"
    restart = COMPOSE.restart(server.app, only(server.app), server.release("main"), server.facts())
    before = container(engine, "worker", "the-shop")
    server.run(restart.steps)
    after = container(engine, "worker", "the-shop")
    assert (after["Id"], after["State"] == before["State"]) == (before["Id"], False)


def image_of_project(engine: Engine, service: str) -> str:
    return str(container(engine, service, "the-shop")["Image"])


def test_mounts_that_would_start_empty_are_refused(
    make_server: MakeComposeServer, engine: Engine, repo: Repo, flavour: Flavour
) -> None:
    yaml = YAML.replace("data:/data", "./data:/data").replace("volumes:\n  data: {}\n", "")
    repo.branch("main", "v2")
    repo.commit({"compose.yaml": yaml.replace("    ports:", '    volumes: ["./www:/www:ro"]\n    ports:')})
    server = make_server(repo, flavour)
    with pytest.raises(StepEnded, match=r"mounts ./data, which is not in the repository") as caught:
        deploy(server, "main")
    assert caught.value.step.name == "build"
    (server.directory / "shared/data").mkdir(parents=True)
    deploy(server, "main")
    engine.docker("exec", str(container(engine, "db")["Id"]), "touch", "/data/kept")
    assert (server.directory / "shared/data/kept").exists()
    repo.commit({"data/.gitkeep": "", "www/index.html": "other"})
    deploy(server, "main")
    assert engine.docker("exec", str(container(engine, "db")["Id"]), "ls", "/data") == "kept\n"


def test_prune_keeps_what_going_back_needs(make_server: MakeComposeServer, engine: Engine, repo: Repo) -> None:
    server = make_server(repo)
    commits = []
    for number in range(3):
        repo.branch("main", "v2")
        repo.commit({"www/index.html": f"page {number}"})
        deploy(server, "main")
        commits.append(repo.sha("main"))
    other = "deploybot/shop-production2/web:0123456789ab"
    engine.docker("tag", "lab/busybox", other)
    assert len(our_images(engine)) >= 4
    steps = COMPOSE.prune(server.app, only(server.app), (commits[2], commits[0]), server.facts())
    server.run(steps)
    assert set(server.facts().releases) == {commits[2], commits[0]}
    assert len(our_images(engine)) == 3
    assert engine.docker("image", "ls", "-q", other)
    assert engine.docker("image", "ls", "-q", "lab/busybox:latest")
    (server.directory / "releases" / commits[0] / "Dockerfile").write_text("FROM nothing/at/all\n")
    repo.branch("back", commits[0])
    deploy(server, "back")
    assert page(engine) == "page 0"


def our_images(engine: Engine) -> list[str]:
    return engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "deploybot/shop-production/*").split()


def push(engine: Engine, registry: Registry, text: str) -> str:
    """Make the registry's `shop:latest` mean an image that serves `text`; its digest."""
    name = registry.name("shop")
    engine.load(web(name, text))
    engine.docker("push", name)
    digest = engine.docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", name).strip()
    engine.docker("image", "rm", name)
    return digest


@pytest.fixture
def trusted(engine: Engine, registry: Registry) -> Registry:
    if registry not in engine._registries:
        engine.trust(registry)
    return registry


def test_cycle_from_images(
    make_server: MakeComposeServer, engine: Engine, trusted: Registry, repo: Repo, lone_flavour: Flavour
) -> None:
    yaml = 'services:\n  web:\n    image: {}\n    ports: ["8000:8000"]\n    # {}\n'
    server = make_server(repo, lone_flavour, compose={"source": "images"})
    for text in ("one", "two"):
        digest = push(engine, trusted, text)
        repo.commit({"compose.yaml": yaml.format(trusted.name("shop"), text)})
        repo.tag(text)
        deploy(server, text)
        assert page(engine) == text
        assert labels(engine, "web")["deploybot.image"] == digest
    # The tag has moved, and is gone even: back to the first release by what was pinned.
    trusted.stop()
    plan = deploy(server, "one")
    assert page(engine) == "one"
    # Back, too.
    server.run(plan.restore)
    assert page(engine) == "two"
    trusted.start()
    # The same commit again takes what the tag means now; if that fails, what it meant before is there still.
    push(engine, trusted, "three")
    plan = deploy(server, "two")
    assert page(engine) == "three"
    server.run(plan.restore)
    assert page(engine) == "two"
    steps = COMPOSE.prune(server.app, only(server.app), (repo.sha("two"),), server.facts())
    server.run(steps)
    assert len(our_images(engine)) == 1
    assert (
        len(engine.docker("image", "ls", "-aq", "--digests", trusted.name("shop").removesuffix(":latest")).split()) < 3
    )


def test_image_that_cannot_be_pulled(make_server: MakeComposeServer, trusted: Registry, repo: Repo) -> None:
    repo.commit({"compose.yaml": f"services:\n  web:\n    image: {trusted.name('nothing')}\n"})
    server = make_server(repo, compose={"source": "images"})
    with pytest.raises(StepEnded, match="nothing") as caught:
        deploy(server, "main")
    assert caught.value.step.name == "build"
    repo.commit({"compose.yaml": "services:\n  web:\n    build: .\n"})
    with pytest.raises(StepEnded, match="Service web has no image to pull"):
        deploy(server, "main")


def test_images_that_were_deleted_are_made_again(make_server: MakeComposeServer, engine: Engine, repo: Repo) -> None:
    server = make_server(repo)
    for ref in ("v1", "v2"):
        deploy(server, ref)
    gone = (server.directory / "releases" / repo.sha("v1") / "deploybot.images.yaml").read_text()
    (image,) = [line.split('"')[1] for line in gone.splitlines() if "/web:" in line]
    engine.docker("image", "rm", image)
    deploy(server, "v1")
    assert page(engine) == "v1"


def test_engine_that_stops_in_mid_step_is_no_success(
    make_server: MakeComposeServer, engine: Engine, repo: Repo
) -> None:
    server = make_server(repo)
    plan = planned(server, "v1")
    server.run(plan.steps[:2])
    engine.stop()
    with pytest.raises(StepEnded, match="Is the docker daemon running"):
        server.run(plan.steps[2:])
    assert server.facts().current == ""
    engine.start()
    server.run(plan.steps[2:])
    assert page(engine) == "v1"


def test_builds_wait_for_each_other(make_server: MakeComposeServer, repo: Repo) -> None:
    server = make_server(repo)
    lock = server.directory.parent / ".deploybot/build.lock"
    plan = planned(server, "v1")
    assert "waiting" not in server.run(plan.steps)
    assert lock.exists()


def test_release_of_an_older_compose_file_goes_back_with_its_own(
    make_server: MakeComposeServer, engine: Engine, repo: Repo
) -> None:
    server = make_server(repo)
    deploy(server, "v1")
    repo.branch("main", "v2")
    repo.commit({"compose.yaml": None, "ops/compose.yaml": YAML.replace("build: .", "build: ..")})
    server.app = server.app.model_copy(
        update={"compose": server.app.compose.model_copy(update={"files": ("ops/compose.yaml",)})}
    )
    plan = deploy(server, "main")
    assert page(engine) == "v2"
    server.run(plan.restore)
    assert page(engine) == "v1"


def test_facts_of_another_version_do_not_matter(make_server: MakeComposeServer, engine: Engine, repo: Repo) -> None:
    server = make_server(repo)
    server.facts_more = replace(server.facts_more, compose_version="2.6.0")
    deploy(server, "v1")
    assert page(engine) == "v1"
    with pytest.raises(StepEnded, match="web is unhealthy"):
        deploy(server, "v3")
