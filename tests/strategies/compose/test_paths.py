"""What is mounted: looked at by the script with dash and busybox, read, and given another path."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deploybot.domain import Container, Mount
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, ServiceFile, ServiceMount
from deploybot.strategies.compose.compose_reading import LONGEST, ComposeUnreadable
from deploybot.strategies.compose.mounted_paths import (
    LostFile,
    PathFacts,
    PathKind,
    parse_paths,
    wanted_mounted,
    wanted_paths,
)
from deploybot.strategies.compose.settings_label import same_content, same_settings, settings_of
from tests.strategies.compose.conftest import Host, write
from tests.strategies.conftest import SCRIPTS


def digest(facts: PathFacts, path: Path | str) -> str:
    fact = facts.of(str(path))
    assert fact is not None
    return fact.digest


def kind(facts: PathFacts, path: Path | str) -> PathKind:
    fact = facts.of(str(path))
    assert fact is not None
    return fact.kind


def test_kinds(any_host: Host) -> None:
    folder = any_host.release("r1", {"file": "x", "conf/a": "x", "hollow/.gitkeep": "", "hollow/b/.gitignore": "*"})
    (folder / "link").symlink_to("/nowhere/at/all")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "sock"))
    names = ["file", "conf", "hollow", "link", "pipe", "sock", "no/such/file"]
    facts = any_host.look("r1", [f"{folder}/{name}" for name in names])
    assert [kind(facts, f"{folder}/{name}") for name in names] == [
        *(PathKind.FILE, PathKind.FOLDER, PathKind.HOLLOW, PathKind.LINK),
        *(PathKind.OTHER, PathKind.SOCKET, PathKind.MISSING),
    ]
    assert [name for name in names if digest(facts, f"{folder}/{name}")] == ["file", "conf"]


def test_what_leads_into_shared_is_its_real_path_readable_or_not(any_host: Host) -> None:
    folder = any_host.release("r1", {"x": ""})
    shared = write(any_host.directory / "shared", {"data/mysql/ibdata": "x"})
    (folder / "data").symlink_to(shared / "data")
    (shared / "data").chmod(0)
    facts = any_host.look("r1", [f"{folder}/data/mysql", f"{folder}/data"])
    for name in ("data", "data/mysql"):
        assert facts.stable(f"{folder}/{name}") == f"{shared}/{name}"
        assert facts.identity(f"{folder}/{name}") == f"path {shared}/{name}"
        assert digest(facts, f"{folder}/{name}") == ""


@pytest.fixture
def open_host() -> Iterator[Host]:
    """A server's directory that other users may look into; pytest's own they may not."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Host(Path(folder))


def test_what_the_user_may_not_see_is_not_missing(open_host: Host, lab: object) -> None:
    assert lab
    folder = open_host.release("r1", {"x": ""})
    shared = write(open_host.directory / "shared", {"data/mysql/ibdata": "x"})
    (folder / "data").symlink_to(shared / "data")
    (shared / "data").chmod(0o700)
    seen = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "dash", SCRIPTS / "compose_paths.sh"],
        env={
            "PATH": "/usr/bin:/bin",
            "DEPLOYBOT_DIRECTORY": str(open_host.directory),
            "DEPLOYBOT_RELEASE": "r1",
            "DEPLOYBOT_PATHS": f"{folder}/data/mysql",
        },
        cwd="/",
        capture_output=True,
        check=True,
    ).stdout
    facts = parse_paths(seen, str(open_host.directory))
    assert kind(facts, f"{folder}/data/mysql") is PathKind.HIDDEN
    assert facts.stable(f"{folder}/data/mysql") == f"{shared}/data/mysql"


def test_content_of_the_repository_gets_a_path_that_names_it(any_host: Host) -> None:
    folder = any_host.release("r1", {"conf/a.conf": "x", "one.conf": "y"})
    facts = any_host.look("r1", [f"{folder}/conf", f"{folder}/one.conf", str(folder), "/srv/else"])
    mounts = f"{any_host.directory}/.deploybot/mounts"
    assert facts.stable(f"{folder}/conf") == f"{mounts}/{digest(facts, f'{folder}/conf')}"
    assert facts.stable(f"{folder}/one.conf") == f"{mounts}/{digest(facts, f'{folder}/one.conf')}/one.conf"
    assert facts.stable(str(folder)) == str(folder)
    assert facts.stable("/srv/else") == "/srv/else"


CHANGES = {
    "nothing": (lambda folder: os.utime(folder / "a", (1, 1)), True),
    "an empty folder": (lambda folder: (folder / "empty").mkdir(), True),
    "permissions that git does not know": (lambda folder: (folder / "a").chmod(0o664), True),
    "what git keeps": (lambda folder: write(folder, {".git/HEAD": "x"}), True),
    "a byte": (lambda folder: (folder / "a").write_text("b"), False),
    "a name": (lambda folder: (folder / "a").rename(folder / "c"), False),
    "a file more": (lambda folder: (folder / "c").touch(), False),
    "what is executable": (lambda folder: (folder / "a").chmod(0o755), False),
    "where a link leads": (lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("b")), False),
    "a file for a link": (lambda folder: ((folder / "link").unlink(), (folder / "link").write_text("a")), False),
    "a place": (lambda folder: (folder / "a").rename(folder / "sub/a"), False),
}


@pytest.mark.parametrize(("change", "is_same"), CHANGES.values(), ids=CHANGES.keys())
def test_equal_content_has_equal_hashes_and_other_content_has_not(
    any_host: Host, change: object, is_same: bool
) -> None:
    for name in ("r1", "r2"):
        folder = any_host.release(name, {"conf/a": "a", "conf/sub/b": "b", "conf/strange 'näme\\": "c"})
        (folder / "conf/link").symlink_to("a")
    assert callable(change)
    change(any_host.directory / "releases/r2/conf")
    one, other = (
        digest(any_host.look(name, [path]), path)
        for name in ("r1", "r2")
        for path in [f"{any_host.directory}/releases/{name}/conf"]
    )
    assert (one == other) is is_same
    assert len(one) == len(other) == 64


def test_what_cannot_be_read_has_no_hash_and_keeps_its_path(host: Host) -> None:
    folder = host.release("r1", {"conf/a": "x"})
    for number in range(20_001):
        (folder / f"conf/{number}").touch()
    facts = host.look("r1", [f"{folder}/conf"])
    assert digest(facts, f"{folder}/conf") == ""
    assert facts.stable(f"{folder}/conf") == f"{folder}/conf"


def lost(facts: PathFacts) -> set[tuple[str, bool]]:
    return {(one.name, one.changed) for one in facts.lost}


def test_files_that_an_app_wrote_into_a_release_would_be_lost(any_host: Host) -> None:
    old = any_host.release("r1", {"ssl/ca.pem": "x", "ssl/gone.pem": "x", "ssl/conf": "old"})
    new = any_host.release("r2", {"ssl/ca.pem": "x", "ssl/conf": "new"})
    write(old / "ssl", {"cert.pem": "secret", "sub/key.pem": "secret", "ca.pem": "other"})
    facts = any_host.look("r2", [f"{new}/ssl"], [f"{new}/ssl", f"{old}/ssl"])
    assert lost(facts) == {("cert.pem", False), ("sub/key.pem", False), ("ca.pem", True)}
    assert facts.lost[0].path.startswith(f"{old}/ssl/")


@pytest.mark.parametrize("marks", ["all", "none", "none but the one of the version before"])
def test_a_release_that_is_there_already_keeps_the_time_at_which_its_files_came(any_host: Host, marks: str) -> None:
    old = any_host.release("r1", {"ssl/ca.pem": "x", ".deploybot-complete": ""})
    new = any_host.release("r2", {"ssl/ca.pem": "y"})
    (any_host.directory / "current").symlink_to("releases/r1")
    if marks != "all":
        shutil.rmtree(any_host.directory / ".deploybot/releases/r1")
    if marks == "none":
        (old / ".deploybot-complete").unlink()
    write(old / "ssl", {"cert.pem": "secret"})
    given = {"DEPLOYBOT_COMMIT": "r1", "DEPLOYBOT_FROM": "have", "DEPLOYBOT_UPLOAD": "", "DEPLOYBOT_BUILT": "yes"}
    for _ in range(2):
        assert b"is here already" in any_host.run("fetch", "r1", **given)
        facts = any_host.look("r2", [f"{new}/ssl"], [f"{new}/ssl", f"{old}/ssl"])
        assert lost(facts) == {("cert.pem", False)}
    # It is complete, so it is not put there again when it is no longer in use.
    (any_host.directory / "current").unlink()
    assert b"is here already" in any_host.run("fetch", "r1", **given)


def test_files_written_into_a_copy_of_the_repository(any_host: Host) -> None:
    new = any_host.release("r2", {"ssl/ca.pem": "x"})
    copy = write(any_host.directory / ".deploybot/mounts/abc", {"ca.pem": "older"})
    mark = any_host.directory / ".deploybot/mounts/abc.made"
    mark.touch()
    os.utime(copy / "ca.pem", (1_000_000_000, 1_000_000_000))
    os.utime(mark, (1_000_000_000, 1_000_000_000))
    write(copy, {"cert.pem": "x"})
    assert lost(any_host.look("r2", [], [f"{new}/ssl", str(copy)])) == {("cert.pem", False)}


def test_a_checkout_has_what_git_does_not_track(host: Host, tmp_path: Path) -> None:
    checkout = write(
        tmp_path / "notes", {"ssl/ca.pem": "x", "ssl/gone.pem": "x", "ssl/changed": "x", ".gitignore": "*.key"}
    )
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", checkout, *command], check=True)
    write(checkout, {"ssl/cert.pem": "x", "ssl/a.key": "x", "ssl/changed": "y"})
    new = host.release("r1", {"ssl/ca.pem": "x", "ssl/changed": "x"})
    facts = host.look("r1", [f"{new}/ssl"], [f"{new}/ssl", f"{checkout}/ssl"])
    assert lost(facts) == {("cert.pem", False), ("a.key", False), ("changed", True)}


def test_where_nobody_knows_what_was_shipped_changes_do_not_count(any_host: Host, tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", {"ssl/ca.pem": "old", "ssl/cert.pem": "x", "one.conf": "old"})
    new = any_host.release("r1", {"ssl/ca.pem": "new", "one.conf": "new"})
    pairs = [f"{new}/ssl", f"{folder}/ssl", f"{new}/one.conf", f"{folder}/one.conf"]
    facts = any_host.look("r1", [f"{new}/ssl"], pairs)
    assert facts.lost == (LostFile(mounted=f"{folder}/ssl", name="cert.pem"),)
    assert digest(facts, f"{folder}/ssl") != digest(facts, f"{new}/ssl") != ""


def test_no_more_than_fifty_are_named(any_host: Host, tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", {f"data/{number}": "" for number in range(80)})
    new = any_host.release("r1", {"data/x": ""})
    assert len(any_host.look("r1", [], [f"{new}/data", f"{folder}/data"]).lost) == 50


def test_what_is_mounted_already_loses_nothing(any_host: Host) -> None:
    new = any_host.release("r1", {"x": ""})
    shared = write(any_host.directory / "shared", {"data/db": "x"})
    (new / "data").symlink_to(shared / "data")
    assert any_host.look("r1", [], [f"{new}/data", f"{shared}/data"]).lost == ()


BAD = {
    "nothing": b"",
    "cut off": b"release\0/a\0folder\0/a\0\0path\0/a/b\0file\0/a/b",
    "no end": b"release\0/a\0folder\0/a\0\0",
    "half a record": b"release\0/a\0folder\0/a\0\0path\0end\0\0\0\0\0",
    "another word": b"release\0/a\0folder\0/a\0\0rm\0/\0-\0r\0f\0end\0\0\0\0\0",
    "another kind": b"release\0/a\0castle\0/a\0\0end\0\0\0\0\0",
    "no path": b"release\0/a\0folder\0a\0\0end\0\0\0\0\0",
    "no hash": b"release\0/a\0folder\0/a\0" + b"z" * 64 + b"\0end\0\0\0\0\0",
    "endless": b"\0" * (LONGEST + 1),
    "a greeting": b"Welcome!\n\0",
}


@pytest.mark.parametrize("output", BAD.values(), ids=BAD.keys())
def test_another_answer_is_one_error(output: bytes) -> None:
    with pytest.raises(ComposeUnreadable):
        parse_paths(output, "/srv/shop")


def bind(source: str, target: str = "/x") -> ServiceMount:
    return ServiceMount(kind="bind", source=source, target=target)


def test_which_paths_are_asked_for() -> None:
    files = (ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path="/r/pw"),)
    mounts = (bind("/r/conf"), bind("/r/conf", "/y/"), ServiceMount(kind="volume", source="data", target="/d"))
    config = ComposeConfig(services=(ComposeService(name="web", mounts=mounts, files=files),))
    running = Container(
        id="1", name="web", service="web", image="", state="running",
        mounts=(Mount(kind="bind", source="/old/conf", target="/y"), Mount(kind="volume", source="data", target="/x")),
    )  # fmt: skip
    assert wanted_paths(config) == ("/r/conf", "/r/pw")
    assert wanted_mounted(config, [running]) == ("/r/conf", "/old/conf")


@pytest.mark.parametrize("mounts", [[bind("/a\nb")], [bind(f"/{'x' * 300}/{n}") for n in range(400)]])
def test_paths_that_no_variable_holds_are_refused(mounts: list[ServiceMount]) -> None:
    config = ComposeConfig(services=(ComposeService(name="web", mounts=tuple(mounts)),))
    with pytest.raises(ComposeUnreadable):
        wanted_paths(config)


def test_a_changed_byte_changes_the_services_that_mount_it(any_host: Host) -> None:
    texts = {"conf/a": "a", "www/b": "b", "pw": "c"}
    releases = {"r1": texts, "r2": texts, "r3": {**texts, "conf/a": "z"}}
    labels = {}
    for name, files in releases.items():
        folder = any_host.release(name, files)
        secret = ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path=f"{folder}/pw")
        services = (
            ComposeService(name="conf", mounts=(bind(f"{folder}/conf"),), base="a" * 64),
            ComposeService(name="www", mounts=(bind(f"{folder}/www"),), base="b" * 64),
            ComposeService(name="both", mounts=(bind(f"{folder}/www"), bind(f"{folder}/conf", "/c")), base="c" * 64),
            ComposeService(name="secret", files=(secret,), base="d" * 64),
            ComposeService(name="none", base="e" * 64),
        )
        facts = any_host.facts(name, ComposeConfig(services=services))
        labels[name] = {one.name: settings_of(one, facts) for one in services}
    assert labels["r1"] == labels["r2"]
    differ = {name for name in labels["r1"] if labels["r1"][name] != labels["r3"][name]}
    assert differ == {"conf", "both"}
    assert all(same_settings(labels["r1"][name], labels["r3"][name]) for name in differ)
    assert not any(same_content(labels["r1"][name], labels["r3"][name]) for name in differ)
    assert labels["r1"]["none"] == "e" * 12


def test_a_release_that_was_deleted_is_an_answer(any_host: Host) -> None:
    folder = any_host.release("r1", {"conf/a": "a"})
    shutil.rmtree(folder)
    facts = any_host.look("r1", [f"{folder}/conf"])
    assert (facts.release.kind, kind(facts, f"{folder}/conf")) == (PathKind.MISSING, PathKind.MISSING)
