"""What an artifact may contain, what is refused by name, and what servers get of it."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from deploybot.errors import UserError
from deploybot.sources import archive_members
from deploybot.sources.archive_members import ArchiveMember, MemberRules, RefusedMember
from deploybot.sources.artifact_archive import pack, repack
from tests.e2e.artifact_builds import tar_of

MOST = 10_000_000


Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, to: str = "", data: bytes = b"", mode: int = 0o644) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, to, len(data), mode
    return info, data


def tar_with(*entries: Entry, zipped: bool = True) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", encoding="utf-8", errors="surrogateescape") as made:
        for info, data in entries:
            made.addfile(info, io.BytesIO(data))
    return gzip.compress(target.getvalue()) if zipped else target.getvalue()


def zip_with(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for info, data in entries:
            made.writestr(info, data)
    return target.getvalue()


def link_in_zip(name: str, to: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, to.encode()


def packed(content: bytes, name: str = "site.tar.gz", most: int = MOST) -> tarfile.TarFile:
    """What servers get of a file."""
    target = io.BytesIO()
    repack(io.BytesIO(content), target, name, most=most)
    return tarfile.open(fileobj=io.BytesIO(target.getvalue()), mode="r:gz")


def members(content: bytes, name: str = "site.tar.gz") -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    with packed(content, name) as tar:
        for info in tar:
            file = tar.extractfile(info) if info.isfile() else None
            found[info.name] = file.read() if file else f"{info.type!r} {info.linkname}"
    return found


@pytest.mark.parametrize("name", ["site.tar.gz", "SITE.TGZ", "site.tar", "site.zip"])
def test_archives_come_out_as_the_same_files(name: str) -> None:
    files = {"index.html": b"<p>\n", "a/b/c.txt": b"c" * 100_000, "a/ü.txt": b"", "./a//d": b"d"}
    content = zip_with(*files.items()) if name.endswith("zip") else tar_of(files, zipped=not name.endswith(".tar"))
    assert members(content, name) == {"index.html": b"<p>\n", "a/b/c.txt": b"c" * 100_000, "a/ü.txt": b"", "a/d": b"d"}


def test_owners_and_special_bits_do_not_come_along() -> None:
    info = tarfile.TarInfo("run")
    info.size, info.mode, info.uid, info.gid, info.uname, info.mtime = 1, 0o6777, 1000, 1000, "mallory", -5
    with packed(tar_with((info, b"x"), entry("read", data=b"y", mode=0o666))) as tar:
        run, read = tar.getmembers()
    assert (run.mode, run.uid, run.gid, run.uname, run.mtime) == (0o755, 0, 0, "", 0)
    assert read.mode == 0o644


def test_the_same_file_gives_the_same_bytes() -> None:
    made = []
    for _ in range(2):
        target = io.BytesIO()
        repack(io.BytesIO(tar_of({"a": b"a"})), target, "a.tar.gz", most=MOST)
        made.append(target.getvalue())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("content", "mode"), [(b"\x7fELF rest", 0o755), (b"#!/bin/sh\n", 0o755), (b"text", 0o644), (b"", 0o644)]
)
def test_another_file_stays_as_it_is_under_its_name(content: bytes, mode: int) -> None:
    with packed(content, "server-1.4.2.jar") as tar:
        (info,) = tar.getmembers()
        file = tar.extractfile(info)
        assert file is not None
        assert (info.name, info.mode, file.read()) == ("server-1.4.2.jar", mode, content)


LINK, HARD, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize(
    "entries",
    [
        (entry("a/b", data=b"b"), entry("c", LINK, to="a/b")),
        (entry("a/c", LINK, to="../b"), entry("b", data=b"b")),
        (entry("x/y/z", LINK, to="../../b"), entry("b", data=b"b")),
        (entry("b", data=b"b"), entry("hard", HARD, to="./b")),
        (entry("one", LINK, to="two"), entry("two", LINK, to="nowhere"), entry("x", data=b"x")),
        (entry("a", FOLDER), entry("a/", FOLDER), entry("./", FOLDER), entry("a/b", data=b"b")),
    ],
)
def test_links_that_stay_inside_are_kept(entries: tuple[Entry, ...]) -> None:
    assert members(tar_with(*entries))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("../evil", data=b"x")], "../evil leads out of the release"),
        ([entry("a/../../evil", data=b"x")], "a/../../evil leads out of the release"),
        ([entry("a/../b", data=b"x")], "a/../b leads out of the release"),
        ([entry("/etc/passwd", data=b"x")], "/etc/passwd has an absolute name"),
        ([entry("a\\b", data=b"x")], "a\\b has a backslash or a control character in its name"),
        ([entry("a\nb", data=b"x")], "a?b has a backslash or a control character in its name"),
        ([entry("a" * 300, data=b"x")], "has a name that is too long"),
        ([entry("l", LINK, to="/etc/passwd")], "l is a link to /etc/passwd, outside of the release"),
        ([entry("l", LINK, to="../x")], "l is a link to ../x, outside of the release"),
        ([entry("a/l", LINK, to="../../x")], "a/l is a link to ../../x, outside of the release"),
        # Each link alone looks harmless: together they lead out.
        (
            [entry("d/e/f", FOLDER), entry("d/up", LINK, to="e/.."), entry("out", LINK, to="d/up/../../x")],
            "at its beginning",
        ),
        ([entry("l", LINK, to="data/../../x")], "l is a link to data/../../x: `..` may be at its beginning only"),
        ([entry("a/l", LINK, to="../data/../x")], "a/l is a link to ../data/../x: `..` may be at its beginning only"),
        ([entry("d", FOLDER), entry("l", LINK, to="d")], "it contains no file"),
        ([], "it contains no file"),
        ([entry("in", LINK, to="b"), entry("b", LINK, to="in")], "in is a link that leads to itself"),
        (
            [entry("l", LINK, to="d"), entry("d", FOLDER), entry("l/x", data=b"x")],
            "l/x lies below l, which is no folder",
        ),
        ([entry("f", data=b"x"), entry("f/x", data=b"x")], "f/x lies below f, which is no folder"),
        ([entry("f/x", data=b"x"), entry("f", data=b"x")], "f is there twice"),
        ([entry("f", data=b"1"), entry("./f", data=b"2")], "./f is there twice"),
        ([entry("h", HARD, to="/etc/shadow")], "h has an absolute name"),
        (
            [entry("h", HARD, to="later"), entry("later", data=b"x")],
            "h is a hard link to later, which is no file before it",
        ),
        ([entry("l", LINK, to="f"), entry("h", HARD, to="l")], "h is a hard link to l, which is no file before it"),
        ([entry("dev", tarfile.CHRTYPE)], "dev is a device, a pipe or a socket"),
        ([entry("dev", tarfile.BLKTYPE)], "dev is a device, a pipe or a socket"),
        ([entry("pipe", tarfile.FIFOTYPE)], "pipe is a device, a pipe or a socket"),
        ([entry(".", data=b"x")], ". has no name"),
    ],
)
def test_members_that_could_do_harm_are_refused_by_name(entries: list[Entry], words: str) -> None:
    with pytest.raises(RefusedMember) as caught:
        packed(tar_with(*entries))
    assert words in str(caught.value)


def test_names_that_are_not_utf_8_are_refused() -> None:
    content = tar_with(entry("caf\udce9", data=b"x"))
    with pytest.raises(RefusedMember, match=r"caf\\udce9 has a name that is not UTF-8"):
        packed(content)


def chain(links: int) -> bytes:
    """Links that each lead to the next one, and the last one to a file."""
    return tar_with(*(entry(f"l{at}", LINK, to=f"l{at + 1}") for at in range(links)), entry(f"l{links}", data=b"x"))


def test_links_lead_through_forty_others_and_no_more() -> None:
    assert len(members(chain(40))) == 41
    with pytest.raises(RefusedMember, match="l0 is a link that leads to itself"):
        packed(chain(41))


@pytest.mark.parametrize(("length", "is_kept"), [(4000, True), (4001, False)])
def test_the_target_of_a_link_is_bounded(length: int, *, is_kept: bool) -> None:
    content = tar_with(entry("l", LINK, to="x" * length), entry("f", data=b"x"))
    if is_kept:
        assert members(content)
        return
    with pytest.raises(RefusedMember, match=r"l is a link to x{100}…, outside of the release"):
        packed(content)


def test_a_link_to_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(RefusedMember, match=r"l is a link to caf\\udce9, outside of the release"):
        packed(tar_with(entry("l", LINK, to="caf\udce9")))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("../evil", b"x")], "../evil leads out of the release"),
        ([("/evil", b"x")], "/evil has an absolute name"),
        ([("a\\..\\evil", b"x")], "backslash"),
        ([link_in_zip("l", "../../etc")], "l is a link to ../../etc, outside of the release"),
        ([link_in_zip("l", "x" * 5000)], "l is a link with a target that is too long"),
    ],
)
def test_zip_files_follow_the_same_rules(entries: list[tuple[str | zipfile.ZipInfo, bytes]], words: str) -> None:
    with pytest.raises(RefusedMember) as caught:
        packed(zip_with(*entries), "site.zip")
    assert words in str(caught.value)


def test_an_executable_in_a_zip_stays_one() -> None:
    info = zipfile.ZipInfo("run")
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o755) << 16
    with packed(zip_with((info, b"x"), ("read", b"y")), "a.zip") as tar:
        assert [one.mode for one in tar] == [0o755, 0o644]


def test_what_unpacks_to_too_much_is_refused_at_once() -> None:
    bomb = {"zeros": bytes(MOST), "one": b"1"}
    for content, name in ((tar_of(bomb), "a.tar.gz"), (zip_with(*bomb.items()), "a.zip"), (bytes(MOST + 1), "a.bin")):
        with pytest.raises(RefusedMember, match=r"unpacks to more than 10 MB"):
            packed(content, name)
    assert members(tar_with(entry("a", FOLDER), entry("a/zeros", data=bytes(MOST)))).keys() == {"a", "a/zeros"}


def test_a_header_of_any_size_is_not_read() -> None:
    """tarfile reads extended headers whole."""
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, 50_000_000
    bomb = gzip.compress(info.tobuf() + bytes(50_000_000))
    with pytest.raises(RefusedMember, match="a header in it is too large"):
        packed(bomb)


def test_a_zip_that_lies_about_a_size_is_refused() -> None:
    content = bytearray(zip_with(("zeros", bytes(1_000_000))))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises((RefusedMember, zipfile.BadZipFile)):
        packed(bytes(content), "a.zip")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_members, "MOST_MEMBERS", 5)
    with pytest.raises(RefusedMember, match="it has more than 5 members"):
        packed(tar_of({f"f{at}": b"" for at in range(6)}))
    assert len(members(tar_of({f"f{at}": b"" for at in range(5)}))) == 5


@pytest.mark.parametrize("name", ["a.tar.xz", "a.tar.bz2", "a.tar.zst", "a.txz"])
def test_other_archives_are_refused(name: str) -> None:
    with pytest.raises(RefusedMember, match=r"the bot unpacks \.tar\.gz, \.tgz, \.tar and \.zip only"):
        packed(b"x", name)


async def test_a_separate_process_packs_a_file(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(tar_of({"index.html": b"hello"}))
    await pack(source, target, "site.tar.gz", most=MOST)
    with tarfile.open(target) as tar:
        assert tar.getnames() == ["index.html"]


def broken(content: bytes) -> bytes:
    return content[:-10]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (tar_of({"../x": b"x"}), "a.tar.gz", "a.tar.gz is refused: ../x leads out of the release."),
        (b"not gzip", "a.tar.gz", "a.tar.gz is refused: it is damaged, or not what its name says."),
        (b"not a tar" * 100, "a.tar", "a.tar is refused: it is damaged, or not what its name says."),
        (b"not a zip", "a.zip", "a.zip is refused: it is damaged, or not what its name says."),
        (broken(tar_of({"a": b"a" * 1000})), "a.tar.gz", "a.tar.gz is refused: it is damaged"),
    ],
)
async def test_the_process_says_why_it_refuses_a_file(tmp_path: Path, content: bytes, name: str, words: str) -> None:
    (tmp_path / "in").write_bytes(content)
    with pytest.raises(UserError) as caught:
        await pack(tmp_path / "in", tmp_path / "out", name, most=MOST)
    assert caught.value.sentence.startswith(words)


async def test_a_process_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(tar_of({"a": b"a"}))
    with pytest.raises(UserError, match="could not be checked within 0 s"):
        await pack(tmp_path / "in", tmp_path / "out", "a.tar.gz", most=MOST, within=0.001)


def link(name: str, target: str) -> ArchiveMember:
    return ArchiveMember(name=name, kind="link", target=target)


def refusal(*given: ArchiveMember) -> str:
    """Why members are refused; empty if they are not."""
    rules = MemberRules(10)
    try:
        for one in given:
            rules.admit(one)
        rules.check_links()
    except RefusedMember as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (link("l", ""), "l is a link to nothing, outside of the release"),
        (link("l", "a\0b"), "l is a link to a?b, outside of the release"),
        (link("l", "x//../../y"), "l is a link to x//../../y: `..` may be at its beginning only"),
        (link("d/l", "l"), "d/l is a link that leads to itself"),
        (ArchiveMember(name="a\x7fb", kind="file"), "a?b has a backslash or a control character in its name"),
        (ArchiveMember(name="a b", kind="file"), ""),
        (ArchiveMember(name="ab/" * 1333 + "c", kind="file"), ""),
        (ArchiveMember(name="ab/" * 1333 + "cd", kind="file"), f"{('ab/' * 40)[:100]}… has a name that is too long"),
        (ArchiveMember(name="/" + "a" * 99, kind="file"), f"/{'a' * 99} has an absolute name"),
        (ArchiveMember(name="/" + "a" * 100, kind="file"), f"/{'a' * 99}… has an absolute name"),
        (ArchiveMember(name="folder", kind="folder", size=11), ""),
        (ArchiveMember(name="file", kind="file", size=11), "with file it unpacks to more than 10 B"),
    ],
)
def test_each_rule_has_its_bound(member: ArchiveMember, words: str) -> None:
    assert refusal(member) == words


def test_a_folder_can_always_be_entered_and_is_there_once() -> None:
    with packed(tar_with(entry("a", FOLDER, mode=0o600), entry("a/", FOLDER), entry("a/b", data=b"b"))) as tar:
        assert [(info.name, info.mode) for info in tar] == [("a", 0o755), ("a/b", 0o644)]
