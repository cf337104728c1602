"""Content that is mounted from one release to the next: kept, cleaned up, and searched for files of containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploybot.strategies.compose.mounted_paths import LostFile, PathFacts
from tests.strategies.compose.conftest import Host, write


def deploy(host: Host, name: str, files: dict[str, str], *, keep: str) -> Path:
    """Deploy a release that mounts `conf` and `one.conf`, and clean up all but the releases of `keep`."""
    folder = host.release(name, files)
    facts = host.look(name, [f"{folder}/conf", f"{folder}/one.conf"])
    up(host, name, facts)
    values = {"DEPLOYBOT_KEEP": keep, "DEPLOYBOT_IMAGES": "deploybot/shop", "DEPLOYBOT_IMAGES_KEEP": ""}
    host.run("prune", name, **values)
    return folder


def up(host: Host, name: str, facts: PathFacts) -> None:
    """Start a release that mounts all paths of `facts`."""
    names = ("TAGS", "REMOVE", "REMOVE_LAST", "CHANGED", "START", "COMPOSE_ORDER")
    host.run(
        "compose_up",
        name,
        **{f"DEPLOYBOT_{one}": "" for one in names},
        DEPLOYBOT_ACTION="up",
        DEPLOYBOT_COMPOSE="docker compose",
        DEPLOYBOT_COMPOSE_FILES="compose.yaml",
        DEPLOYBOT_FOLDER=f"{host.directory}/releases/{name}",
        DEPLOYBOT_OVERRIDE="\n".join(facts.stable(path) for path in facts.paths),
        DEPLOYBOT_MOUNTS="\n".join(f"{facts.copied(path)} {fact.real}" for path, fact in facts.paths.items()),
    )


def mounted(host: Host) -> set[str]:
    return {path.name for path in (host.directory / ".deploybot/mounts").iterdir()}


BAD = {"conf/a.conf": "x", "conf/new.conf": "x", "one.conf": "y"}
GOOD = {"conf/a.conf": "x", "one.conf": "z"}


@pytest.fixture
def host(any_host: Host, tmp_path: Path) -> Host:
    """A server whose Engine has no images. Its containers mount what is in the file `mounted`."""
    docker = tmp_path / "docker"
    docker.write_text(
        f"#!/bin/sh\n[ ! -e {tmp_path}/mounted ] || case $* in *.Mounts*) cat {tmp_path}/mounted ;; esac\n"
    )
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


def mount(host: Host, name: str, files: dict[str, str], links: dict[str, str] | None = None) -> dict[str, Path]:
    """Start a release that mounts all its files and links, and return the path that Compose gets for each."""
    folder = host.release(name, files)
    for link, target in (links or {}).items():
        (folder / link).symlink_to(target)
    paths = [f"{folder}/{one}" for one in (*files, *(links or {}))]
    facts = host.look(name, paths)
    up(host, name, facts)
    return {path.removeprefix(f"{folder}/"): Path(facts.stable(path)) for path in paths}


def test_files_with_the_same_content_are_there_under_each_name(host: Host) -> None:
    given = mount(host, "r1", {"a b.conf": "same", "c /d": "same", "other": "x"}, {"link.conf": "a b.conf"})
    assert {name: path.read_text() for name, path in given.items()} == {
        "a b.conf": "same",
        "c /d": "same",
        "link.conf": "same",
        "other": "x",
    }
    assert [path.name for path in given.values()] == ["a b.conf", "d", "other", "link.conf"]
    assert not any(path.is_symlink() for path in given.values())


def test_a_renamed_file_is_there_beside_its_old_name(host: Host) -> None:
    old = mount(host, "r1", {"nginx.conf": "x"})["nginx.conf"]
    mark = Path(f"{old.parent}.made")
    os.utime(mark, (1_000_000_000, 1_000_000_000))
    new = mount(host, "r2", {"default.conf": "x"})["default.conf"]
    assert (new.read_text(), old.read_text()) == ("x", "x")
    # What a container wrote into the old one since then is still newer.
    assert mark.stat().st_mtime == 1_000_000_000
    old.write_text("written by a container")
    facts = host.look("r2", [], [f"{host.directory}/releases/r2/default.conf", str(old)])
    assert facts.lost == (LostFile(mounted=str(old), name="", changed=True),)


def test_a_folder_that_docker_made_in_place_of_a_file_is_replaced(host: Host) -> None:
    old = mount(host, "r1", {"nginx.conf": "x"})["nginx.conf"]
    (old.parent / "default.conf").mkdir()
    assert mount(host, "r2", {"default.conf": "x"})["default.conf"].read_text() == "x"
    (old.parent / "third.conf").mkdir()
    (old.parent / "third.conf/of an app").touch()
    with pytest.raises(AssertionError, match=r"third.conf must be a file, but is a folder that is not empty"):
        mount(host, "r3", {"third.conf": "x"})
    assert [path.name for path in (old.parent / "third.conf").iterdir()] == ["of an app"]


def test_the_clean_up_keeps_files_that_a_container_mounts(host: Host, tmp_path: Path) -> None:
    given = mount(host, "r1", {"nginx.conf": "x", "other.conf": "y"})
    (tmp_path / "mounted").write_text(f"data,{given['nginx.conf']}\n/srv/else\n")
    (host.directory / "current").symlink_to("releases/r2")
    deploy(host, "r2", GOOD, keep="r2")
    assert given["nginx.conf"].read_text() == "x"
    assert Path(f"{given['nginx.conf'].parent}.made").exists()
    assert not given["other.conf"].exists()
