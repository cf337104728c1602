"""Content that is mounted from one release to the next: kept, cleaned up, and searched for files of containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploybot.strategies.compose.mounted_paths import LostFile
from tests.strategies.compose.conftest import Host, write


def deploy(host: Host, name: str, files: dict[str, str], *, keep: str) -> Path:
    """Deploy a release that mounts `conf` and `one.conf`, and clean up all but the releases of `keep`."""
    folder = host.release(name, files)
    facts = host.look(name, [f"{folder}/conf", f"{folder}/one.conf"])
    paths = {f"{folder}/conf": "conf", f"{folder}/one.conf": "one.conf"}
    digests = {facts.paths[path].digest: given for path, given in paths.items()}
    names = ("TAGS", "REMOVE", "REMOVE_LAST", "CHANGED", "START", "COMPOSE_ORDER")
    host.run(
        "compose_up",
        name,
        **{f"DEPLOYBOT_{one}": "" for one in names},
        DEPLOYBOT_ACTION="up",
        DEPLOYBOT_COMPOSE="docker compose",
        DEPLOYBOT_COMPOSE_FILES="compose.yaml",
        DEPLOYBOT_FOLDER=str(folder),
        DEPLOYBOT_OVERRIDE="\n".join(facts.stable(path) for path in paths),
        DEPLOYBOT_MOUNTS="\n".join(f"{digest} {given}" for digest, given in digests.items()),
    )
    values = {"DEPLOYBOT_KEEP": keep, "DEPLOYBOT_IMAGES": "deploybot/shop", "DEPLOYBOT_IMAGES_KEEP": ""}
    host.run("prune", name, **values)
    return folder


def mounted(host: Host) -> set[str]:
    return {path.name for path in (host.directory / ".deploybot/mounts").iterdir()}


BAD = {"conf/a.conf": "x", "conf/new.conf": "x", "one.conf": "y"}
GOOD = {"conf/a.conf": "x", "one.conf": "z"}


@pytest.fixture
def host(any_host: Host, tmp_path: Path) -> Host:
    """A server whose Engine has no containers and no images."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    any_host.path = f"{tmp_path}:{any_host.path}"
    return any_host


def test_after_the_clean_up_a_release_with_fewer_files_loses_nothing(host: Host) -> None:
    bad = deploy(host, "r2", BAD, keep="r2")
    good = host.release("r1", GOOD)
    there = host.look("r2", [f"{bad}/conf", f"{bad}/one.conf"])
    now = {name: there.stable(f"{bad}/{name}") for name in ("conf", "one.conf")}
    facts = host.look("r1", [], [part for name in now for part in (f"{good}/{name}", now[name])])
    assert facts.lost == ()


def test_after_the_clean_up_files_of_a_container_are_still_known(host: Host) -> None:
    bad = deploy(host, "r2", BAD, keep="r2")
    good = host.release("r1", GOOD)
    now = host.look("r2", [f"{bad}/conf"]).stable(f"{bad}/conf")
    # busybox compares whole seconds.
    os.utime(f"{now}.made", (1_000_000_000, 1_000_000_000))
    write(Path(now), {"cert.pem": "secret", "a.conf": "changed"})
    facts = host.look("r1", [], [f"{good}/conf", now])
    assert set(facts.lost) == {
        LostFile(mounted=now, name="cert.pem"),
        LostFile(mounted=now, name="a.conf", changed=True),
    }


def test_content_goes_with_its_mark_when_no_release_needs_it(host: Host) -> None:
    deploy(host, "r1", GOOD, keep="r1")
    before = mounted(host)
    assert len(before) == 4
    deploy(host, "r2", BAD, keep="r1\nr2")
    both = mounted(host)
    assert (before < both, len(both)) == (True, 8)
    (host.directory / "current").symlink_to("releases/r2")
    host.run("prune", "r2", DEPLOYBOT_KEEP="r2", DEPLOYBOT_IMAGES="deploybot/shop", DEPLOYBOT_IMAGES_KEEP="")
    assert mounted(host) == both - before


def test_where_the_marks_are_gone_content_as_it_was_shipped_loses_nothing(host: Host) -> None:
    bad = deploy(host, "r2", BAD, keep="r2")
    good = host.release("r1", {"www/a": "x"})
    there = host.look("r2", [f"{bad}/conf", f"{bad}/one.conf"])
    now = {name: there.stable(f"{bad}/{name}") for name in ("conf", "one.conf")}
    for mark in (host.directory / ".deploybot/mounts").glob("*.made"):
        mark.unlink()
    pairs = [part for name in now for part in (f"{good}/{name}", now[name])]
    assert host.look("r1", [], pairs).lost == ()
    write(Path(now["conf"]), {"cert.pem": "secret"})
    assert "cert.pem" in {one.name for one in host.look("r1", [], pairs).lost}
