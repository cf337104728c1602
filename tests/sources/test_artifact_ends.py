"""Archives that are damaged, cut off, empty, or not what their names say; zips of many programs."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from deploybot.sources.archive_members import RefusedMember
from deploybot.sources.artifact_archive import writable
from tests.e2e.artifact_builds import tar_of
from tests.sources.test_artifact_archives import members, packed, zip_with

TAR = tar_of({"a": b"1", "b": b"2", "c": b"3"}, zipped=False)
DAMAGED = TAR[:1029] + b"~" + TAR[1030:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (DAMAGED, "damaged or cut off"),
        (TAR[:1224], "damaged or cut off"),
        (TAR[:1024], "damaged or cut off"),
        (TAR[:3072], "damaged or cut off"),
        (TAR + TAR, "something follows its end"),
        (TAR + b"x", "something follows its end"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_half_of_a_tar_is_no_release(content: bytes, words: str, *, zipped: bool) -> None:
    with pytest.raises(RefusedMember, match=words):
        packed(gzip.compress(content) if zipped else content, "a.tar.gz" if zipped else "a.tar")


def test_one_block_of_zeros_is_an_end() -> None:
    assert members(TAR[: 3072 + 512], "a.tar").keys() == {"a", "b", "c"}


def test_an_empty_zip_is_refused() -> None:
    with pytest.raises(RefusedMember, match="it contains no file"):
        packed(zip_with(), "a.zip")


ZIP = zip_with(("index.html", b"hi"))


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (ZIP, "download", r"it is a zip file, .* a name with \.zip"),
        (zip_with(), "download", "it is a zip file"),
        (gzip.compress(TAR, mtime=0), "site-1.4.2", r"it is compressed with gzip, .* a name with \.tar\.gz"),
        (b"\xfd7zXZ\0", "site", r"it is compressed with xz, and the bot unpacks \.tar\.gz"),
        (b"\x28\xb5\x2f\xfd", "site", "it is compressed with Zstandard"),
        (b"BZh9", "site", "it is compressed with bzip2"),
        (gzip.compress(b"x", mtime=0), "model.gz", "the bot unpacks"),
        (b"x", "a.tar.Z", "the bot unpacks"),
    ],
)
def test_an_archive_with_another_name_is_not_sent_as_it_is(content: bytes, name: str, words: str) -> None:
    with pytest.raises(RefusedMember, match=words):
        packed(content, name)


def test_a_program_that_is_a_zip_inside_stays_one() -> None:
    assert members(ZIP, "server.JAR") == {"server.JAR": ZIP}


def test_a_zip_without_a_date_is_of_1980() -> None:
    made = zip_with((zipfile.ZipInfo("index.html", (1980, 1, 1, 0, 0, 0)), b"hi"))
    with packed(made.replace(b"\x00\x00\x21\x00", bytes(4)), "a.zip") as tar:
        assert [info.mtime for info in tar] == [315_532_800]


def test_names_of_zip_on_linux_are_utf_8_without_saying_so() -> None:
    """`zip` of Linux writes the bytes of the name, and no flag."""
    made = zip_with(("caf__.txt", b"x"))
    assert members(made.replace(b"caf__", "caf\u00e9".encode()), "a.zip") == {"caf\u00e9.txt": b"x"}
    with pytest.raises(RefusedMember, match="has a name that is not UTF-8"):
        packed(made.replace(b"caf__", b"caf\xe9_"), "a.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_zip_members_are_stored_or_deflated(method: int) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as made:
        made.writestr("x", b"x" * 1000)
    with pytest.raises(RefusedMember, match="x is compressed by another method than deflate"):
        packed(target.getvalue(), "a.zip")


def test_the_disk_keeps_its_spare_room() -> None:
    assert writable(1_000_000_000, 10_000_000_000_000) == 1_010_000_000 + (64 << 20)
    assert writable(1_000_000_000, 500_000_000) == 244_000_000
    assert writable(1_000_000_000, 1_000) == 0
