"""Which mounted paths are looked at on a server, and what is read of them; no Compose runs."""

from __future__ import annotations

import pytest

from deploybot.domain import Container, Mount
from deploybot.strategies.compose.compose_model import (
    ComposeConfig,
    ComposeService,
    ComposeUnreadable,
    ServiceMount,
)
from deploybot.strategies.compose.compose_reading import LONGEST
from deploybot.strategies.compose.mounted_paths import (
    MOST_CHARACTERS,
    MOST_PATHS,
    LostFile,
    PathFact,
    PathKind,
    bound_at,
    parse_paths,
    wanted_mounted,
    wanted_paths,
)
from tests.strategies.compose.mounted import DIRECTORY, FOLDER, ONE, REAL, TWO, WEB, config, fact, facts

SHARED = "/srv/shop/shared/x"


@pytest.mark.parametrize(
    ("there", "stable", "identity"),
    [
        (None, f"{FOLDER}/x", f"path {FOLDER}/x"),
        (fact(f"{FOLDER}/x", real=f"{REAL}/x", digest=ONE), f"{DIRECTORY}/.deploybot/mounts/{ONE}/x", f"content {ONE}"),
        (
            fact(f"{FOLDER}/x", PathKind.FOLDER, real=f"{REAL}/x", digest=ONE),
            f"{DIRECTORY}/.deploybot/mounts/{ONE}",
            f"content {ONE}",
        ),
        (fact(f"{FOLDER}/x", real=f"{REAL}/x"), f"{FOLDER}/x", f"path {FOLDER}/x"),
        (fact(f"{FOLDER}/x", PathKind.FOLDER, real=SHARED, digest=ONE), SHARED, f"path {SHARED}"),
        (fact(f"{FOLDER}/x", real=REAL), f"{FOLDER}/x", f"path {FOLDER}/x"),
        (fact(f"{FOLDER}/x", real=f"{REAL}-old/x", digest=ONE), f"{REAL}-old/x", f"path {REAL}-old/x"),
    ],
)  # fmt: skip
def test_what_compose_gets_for_a_path_of_the_release(there: PathFact | None, stable: str, identity: str) -> None:
    known = facts(*([there] if there else []))
    assert (known.stable(f"{FOLDER}/x"), known.identity(f"{FOLDER}/x")) == (stable, identity)


def test_paths_elsewhere_stay_as_they_are() -> None:
    known = facts(fact("/etc/x", real="/real/x", digest=ONE), fact(f"{FOLDER}-old/x", digest=ONE))
    for path in ("/etc/x", "/etc/y", f"{FOLDER}-old/x"):
        assert (known.stable(path), known.identity(path), known.is_shipped(path)) == (path, f"path {path}", False)
    assert known.folders == (FOLDER, REAL)
    assert [known.within(path) for path in (FOLDER, f"{REAL}/a", f"{FOLDER}x", "/srv")] == [True, True, False, False]
    assert facts(fact(f"{FOLDER}/d/", digest=ONE)).stable(f"{FOLDER}/d/") == f"{DIRECTORY}/.deploybot/mounts/{ONE}/d"


def test_a_lost_file_has_a_path() -> None:
    assert LostFile(mounted="/d", name="a/b").path == "/d/a/b"
    assert LostFile(mounted="/d", name="").path == "/d"


def mounted(service: str, *mounts: tuple[str, str, str], oneoff: bool = False) -> Container:
    made = tuple(Mount(kind=kind, source=source, target=target) for kind, source, target in mounts)
    return Container(id="c", name="c", service=service, image="x", state="running", mounts=made, oneoff=oneoff)


def test_paths_are_asked_once_for_all_services() -> None:
    other = ComposeService(name="api", mounts=WEB.mounts[:2])
    assert wanted_paths(config(WEB, other)) == (f"{FOLDER}/conf", "/srv/x", f"{FOLDER}/pw")


def test_what_containers_mount_now_is_asked_where_it_is_elsewhere() -> None:
    there = [
        mounted("web", ("bind", "/old/conf", "/conf"), ("bind", "/srv/x", "/x")),
        mounted("web", ("bind", "/old/conf", "/conf")),
        mounted("web", ("bind", "/once", "/conf"), oneoff=True),
        mounted("api", ("bind", "/other", "/conf")),
        mounted("web", ("volume", "/var/lib", "/run/secrets/pw")),
        mounted("web", ("bind", "/old/pw", "/run/secrets/pw/")),
    ]
    assert wanted_mounted(config(WEB), there) == (f"{FOLDER}/conf", "/old/conf", f"{FOLDER}/pw", "/old/pw")
    assert [bound_at(there[0], target) for target in ("/conf/", "/x", "/y")] == ["/old/conf", "/srv/x", ""]


def mounting(*paths: str) -> ComposeConfig:
    return config(
        ComposeService(name="web", mounts=tuple(ServiceMount(kind="bind", source=one, target="/x") for one in paths))
    )


def test_paths_have_limits() -> None:
    most = [f"/{at}" for at in range(2 * MOST_PATHS)]
    assert len(wanted_paths(mounting(*most))) == 2 * MOST_PATHS
    for paths in ([*most, "/more"], ["/" + "x" * MOST_CHARACTERS], ["/" + "ä" * (MOST_CHARACTERS // 2)]):
        with pytest.raises(ComposeUnreadable) as caught:
            wanted_paths(mounting(*paths))
        assert caught.value.sentence == f"The Compose files mount more than {MOST_PATHS} paths."
        assert caught.value.hint == "Mount the folders that hold them instead."
    assert wanted_paths(mounting("/" + "x" * (MOST_CHARACTERS - 2)))
    with pytest.raises(ComposeUnreadable) as caught:
        wanted_paths(mounting("/a\nb"))
    assert caught.value.sentence == "A path that the Compose files mount has a line break in its name."
    assert caught.value.hint == "Rename the file or folder."


def fields(*rows: tuple[str, str, str, str, str]) -> bytes:
    return b"".join(f"{one}\0".encode() for row in rows for one in row)


RELEASE, END = ("release", FOLDER, "folder", REAL, ""), ("end", "", "", "", "")


def test_every_record_about_paths_is_read() -> None:
    output = fields(
        RELEASE,
        ("path", f"{FOLDER}/a", "file", f"{REAL}/a", ONE),
        ("mounted", "/old/a", "folder", "/old/a/", TWO),
        ("path", "/old/a", "folder", "/old/a", ""),
        ("path", "/root", "folder", "/", ""),
        ("path", "/old/X", "file", "/old/X", ""),
        ("mounted", "/old/X", "file", "/old/X", ONE),
        ("lost", "/old/a", "x", "new", ""),
        ("lost", "/old/a", "y", "changed", ""),
        END,
    )
    found = parse_paths(output, DIRECTORY)
    assert found == facts(
        fact(f"{FOLDER}/a", real=f"{REAL}/a", digest=ONE),
        fact("/old/a", PathKind.FOLDER, digest=TWO),
        fact("/root", PathKind.FOLDER, real="/"),
        fact("/old/X", digest=ONE),
        lost=(LostFile(mounted="/old/a", name="x"), LostFile(mounted="/old/a", name="y", changed=True)),
    )


@pytest.mark.parametrize(
    "output",
    [
        b"",
        fields(RELEASE),
        fields(END),
        fields(RELEASE, END)[:-1],
        fields(RELEASE, END) + b"more\0",
        fields(END, RELEASE),
        fields(("path", FOLDER, "folder", REAL, ""), END),
        fields(RELEASE, ("path", "/a", "file", "/a", ""), ("path", "/a", "file", "/a", "")),
        fields(RELEASE, ("path", "/a", "thing", "/a", ""), END),
        fields(RELEASE, ("path", "/a", "file", "a", ""), END),
        fields(RELEASE, ("path", "/a", "file", "/a", "1"), END),
        fields(RELEASE, ("path", "/a", "file", "/a", "G" * 64), END),
        fields(RELEASE, ("path", "/a", "file", "/a", "1" * 63), END),
        fields(RELEASE, ("lost", "/a", "x", "gone", ""), END),
        fields(RELEASE, ("word", "/a", "new", "new", ""), END),
        fields(("release", FOLDER, "folder", "relative", ""), END),
        fields(RELEASE, ("path", "/" + "a" * LONGEST, "file", "/a", ""), END),
    ],
)
def test_other_answers_about_paths_are_refused(output: bytes) -> None:
    with pytest.raises(ComposeUnreadable) as caught:
        parse_paths(output, DIRECTORY)
    assert caught.value.sentence == "The server's answer about the mounted paths is cut off or malformed."
