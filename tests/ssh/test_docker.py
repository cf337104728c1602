"""The adapter for Docker Engines, on real ones."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing

import pytest

from deploybot.domain import Mount, PublishedPort
from deploybot.engine.docker_engine import DockerEngine
from deploybot.engine.docker_errors import explain
from deploybot.errors import BadAnswer, DeploybotError, EngineError, Unreachable
from tests.lab import Engine, Image
from tests.ssh.engine_containers import BUSYBOX, LABELS, LOCAL, read, shell, start, version, watch


async def test_version_is_the_engines(docker: DockerEngine, engine: Engine) -> None:
    assert await docker.version() == engine.docker("version", "-f", "{{.Server.Version}}").strip()


async def test_containers_are_those_of_the_project(docker: DockerEngine, engine: Engine) -> None:
    began = time.time() - 1
    running = start(engine, "sleep", "1000", options=("--name", "web-1", "--label", "com.docker.compose.oneoff=True"))
    ended = shell(engine, "exit 3", options=("--name", "web-2"))
    engine.docker("run", "-d", BUSYBOX, "sleep", "1000")
    first, second = await docker.containers("shop")
    assert (first.id, first.name, first.service, first.image) == (running, "web-1", "web", BUSYBOX)
    assert (first.state, first.health, first.oneoff) == ("running", "", True)
    assert began < first.started < time.time() + 1
    assert began - 1 < first.asked < time.time() + 1
    assert (second.id, second.state, second.exit_code) == (ended, "exited", 3)
    assert ("com.docker.compose.project", "shop") in second.labels


@pytest.mark.parametrize(("healthy", "word"), [("true", "healthy"), ("false", "unhealthy")])
async def test_health_and_restarts_are_reported(docker: DockerEngine, engine: Engine, healthy: str, word: str) -> None:
    engine.load(Image("lab/checked:1", ("sleep", "1000"), healthcheck=healthy))
    engine.docker("run", "-d", *LABELS, "--name", "aa", "lab/checked:1")
    shell(engine, "exit 1", options=("--restart", "on-failure:2"))
    async with asyncio.timeout(20):
        while (found := await docker.containers("shop"))[0].health != word or found[1].restarts != 2:
            assert found[0].health in {"starting", word}


async def test_images_are_listed(docker: DockerEngine, engine: Engine) -> None:
    engine.load(Image("lab/labelled:1", labels={"who": "ada"}))
    found = {tag: image for image in await docker.images() for tag in image.tags}
    assert found[BUSYBOX].size > 1_000_000
    assert found["lab/labelled:1"].labels == (("who", "ada"),)
    assert found["lab/labelled:1"].created == 1_577_836_800


async def test_what_a_container_really_is_publishes_and_mounts(docker: DockerEngine, engine: Engine) -> None:
    engine.docker("volume", "create", "data")
    options = (
        *("--name", "web-1", "-p", "8080:80", "-p", "127.0.0.1:5300:53/udp"),
        *("-v", "data:/data", "-v", "/etc/hostname:/name:ro"),
    )
    running = start(engine, "sleep", "1000", options=options)
    engine.docker("create", "--name", "other", "-p", "9090:90", BUSYBOX)
    image = engine.docker("inspect", "-f", "{{.Image}}", running).strip()
    (one,) = await docker.containers("shop")
    listed = {each.name: each for each in await docker.all_containers()}
    for seen in (one, listed["web-1"]):
        assert (seen.id, seen.image, seen.image_id, seen.project, seen.service) == (
            *(running, BUSYBOX, image),
            *("shop", "web"),
        )
        assert set(seen.ports) == {PublishedPort(port=8080), PublishedPort(port=5300, protocol="udp", address=LOCAL)}
        assert seen.mounts == (
            Mount(kind="volume", source="data", target="/data"),
            Mount(kind="bind", source="/etc/hostname", target="/name"),
        )
        assert abs(time.time() - seen.created) < 60
    assert (listed["other"].project, listed["other"].state, listed["other"].ports) == ("", "created", ())
    engine.docker("stop", "-t", "0", "web-1")
    assert set((await docker.containers("shop"))[0].ports) == set(one.ports)


async def test_a_container_without_the_network_that_it_was_created_with(docker: DockerEngine, engine: Engine) -> None:
    """Docker 29 forgets the network if a start fails at a taken port; a person can take it away, too."""
    engine.docker("network", "create", "front")
    start(engine, "sleep", "1000", options=("--name", "web-1", "--network", "front", "-p", "8080:80"))
    for mode in ("none", "host", "bridge"):
        start(engine, "sleep", "1000", options=("--name", mode, "--network", mode))
    start(engine, "sleep", "1000", options=("--name", "beside", "--network", "container:bridge"))
    engine.docker("network", "create", "--internal", "inside")
    for number, mode in enumerate(("inside", "host", "none")):  # whose ports Docker never publishes
        start(
            engine, "sleep", "1000", options=("--name", f"{mode}-port", "--network", mode, "-p", f"{8081 + number}:80")
        )
    there = {one.name: one for one in await docker.containers("shop")}
    assert [one.name for one in there.values() if one.cut_off] == []
    assert [one.name for one in there.values() if there["bridge"].is_called(one.network_of)] == ["beside"]
    assert [one.name for one in there.values() if one.network_of] == ["beside"]
    engine.docker("network", "disconnect", "front", "web-1")
    found = {one.name: one for one in await docker.containers("shop")}["web-1"]
    assert (found.state, found.cut_off) == ("running", True)
    engine.docker("stop", "-t", "0", "web-1")
    engine.docker("start", "web-1")
    found = {one.name: one for one in await docker.containers("shop")}["web-1"]
    assert (found.state, found.cut_off) == ("running", True)


async def test_a_moved_tag_does_not_change_what_a_container_is(docker: DockerEngine, engine: Engine) -> None:
    engine.load(Image("lab/moves:1", ("sleep", "1000")), Image("lab/moves:2", ("sleep", "2000")))
    engine.docker("run", "-d", *LABELS, "lab/moves:1")
    (before,) = await docker.containers("shop")
    engine.docker("tag", "lab/moves:2", "lab/moves:1")
    (after,) = await docker.containers("shop")
    moved = await docker.image("lab/moves:1")
    assert (before.image_id, before.image) == (after.image_id, "lab/moves:1")
    assert moved
    assert moved.id != after.image_id
    (listed,) = [one for one in await docker.all_containers() if one.id == after.id]
    assert listed.image_id == after.image_id


async def test_one_image_by_its_tag_and_its_id(docker: DockerEngine, engine: Engine) -> None:
    engine.load(Image("lab/labelled:1", labels={"who": "ada"}))
    found = await docker.image("lab/labelled:1")
    assert found
    assert (found.tags, found.labels, found.created) == (("lab/labelled:1",), (("who", "ada"),), 1_577_836_800)
    assert await docker.image(found.id) == found
    assert found.has_container_config
    assert await docker.image("lab/none:1") is None
    assert await docker.image(f"sha256:{'0' * 64}") is None


async def test_networks_and_volumes_by_name(docker: DockerEngine, engine: Engine) -> None:
    engine.docker("network", "create", "front")
    engine.docker("volume", "create", "data")
    assert {"bridge", "front", "host", "none"} <= set(await docker.networks())
    assert "data" in await docker.volumes()


async def test_an_engine_reports_which_it_is(docker: DockerEngine, engine: Engine) -> None:
    told = engine.docker("info", "-f", "{{.ID}} {{.ServerVersion}} {{.DockerRootDir}}").split()
    info = await docker.info()
    assert [info.id, info.version, info.root] == told


async def test_usage_of_a_busy_container(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sh", "-c", "while :; do :; done")
    first = await docker.usage(container, quick=True)
    assert first.cpu == -1
    assert 0 < first.memory < first.memory_limit
    # What share of a core it gets is the machine's affair; that it takes any is ours to see.
    assert 1 < (await docker.usage(container)).cpu < 120


async def test_usage_of_a_stopped_container_is_unknown(docker: DockerEngine, engine: Engine) -> None:
    usage = await docker.usage(shell(engine, "exit 0"))
    assert (usage.cpu, usage.memory) == (-1, -1)


async def test_events_report_containers(docker: DockerEngine, engine: Engine) -> None:
    began = time.time()
    container = shell(engine, "exit 3", options=("--name", "eve"))
    events = []
    async with aclosing(docker.events(since=began, timeout=60)) as heard:
        async for event in heard:
            if event.id == container:
                events.append(event)
                if event.action == "die":
                    break
    assert [event.action for event in events] == ["create", "attach", "start", "die"][: len(events)] or events
    last = events[-1]
    assert (last.action, last.exit_code, last.name) == ("die", 3, "eve")
    assert (last.project, last.service, last.image) == ("shop", "web", BUSYBOX)
    assert began < last.at < time.time()


async def test_what_is_not_there_is_named(docker: DockerEngine) -> None:
    with pytest.raises(EngineError, match="No such container: nope"):
        await docker.usage("nope")
    with pytest.raises(EngineError, match="No such container: nope"):
        await read(docker.logs("nope", tail=None))


async def test_a_stopped_daemon_is_unreachable_and_back_when_started(docker: DockerEngine, engine: Engine) -> None:
    await docker.version()
    engine.stop()
    with pytest.raises(Unreachable) as caught:
        await docker.containers("shop")
    assert "systemctl status docker" in caught.value.hint or "Is Docker installed" in caught.value.hint
    with pytest.raises(Unreachable):
        await watch(docker)
    engine.start()
    assert await docker.containers("shop") == ()


async def test_a_hanging_daemon_costs_a_bounded_time(docker: DockerEngine, engine: Engine) -> None:
    hurried = DockerEngine("web1", engine.url, timeout=0.5)
    await version(hurried)
    engine.pause()
    for call in (hurried.containers("shop"), hurried.version(), read(hurried.logs("x", tail=None)), watch(hurried)):
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"no answer at .* in time"):
            await call
        assert time.monotonic() - began < 20
    engine.resume()
    assert await docker.containers("shop") == ()
    await hurried.close()


async def test_many_calls_at_once_share_the_threads(docker: DockerEngine, engine: Engine) -> None:
    start(engine, "sleep", "1000")
    answers = await asyncio.gather(*(docker.containers("shop") for _ in range(40)))
    assert {len(found) for found in answers} == {1}


def test_docker_py_is_imported_only_when_an_engine_is_used() -> None:
    code = "import sys, deploybot.engine.docker_engine; sys.exit('docker' in sys.modules or 'requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("problem", "kind", "says", "hint"),
    [
        (FileNotFoundError(2, "no"), Unreachable, "there is no socket at /s", "installed"),
        (PermissionError(13, "no"), Unreachable, "no permission for the socket /s", "group docker"),
        (ConnectionRefusedError(111, "no"), Unreachable, "nothing listens at /s", "daemon seems to be stopped"),
        (TimeoutError(), Unreachable, "no answer at /s in time", "hangs"),
        (ConnectionResetError(104, "no"), Unreachable, "the connection to /s was closed", "group docker"),
        (ValueError("Expecting value"), BadAnswer, "not Docker's API", ""),
    ],
)
def test_failures_become_plain_words(problem: Exception, kind: type[DeploybotError], says: str, hint: str) -> None:
    packed = OSError("connection aborted", problem) if not isinstance(problem, ValueError) else problem
    error = explain("Docker on web1", "/s", packed)
    assert type(error) is kind
    assert str(error).startswith("Docker on web1")
    assert says in str(error)
    assert hint in getattr(error, "hint", "")
