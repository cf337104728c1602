"""Files of logs."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.applogs.log_export import KEPT, export
from deploybot.errors import UserError
from tests.lab import FullDisk


async def lines(count: int, size: int = 10) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"%0*d\n" % (size, number)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_all_lines_are_in_the_file_for_its_owner_alone(tmp_path: Path) -> None:
    made = await export(tmp_path / "exports/shop.log.gz", lines(100_000))
    assert gzip.decompress(made.path.read_bytes()).splitlines() == [b"%010d" % number for number in range(100_000)]
    assert (made.lines, made.raw, made.whole) == (100_000, 1_100_000, True)
    assert made.size == made.path.stat().st_size
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.path.parent.stat().st_mode & 0o777 == 0o700


async def test_it_ends_at_the_bound(tmp_path: Path) -> None:
    made = await export(tmp_path / "shop.log.gz", lines(1_000_000, 99), most=2_000_000)
    assert not made.whole
    assert 2_000_000 < made.raw < 4_000_000
    assert len(gzip.decompress(made.path.read_bytes())) == made.raw


async def test_nothing_is_left_when_reading_fails(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000 + b"\n"
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await export(tmp_path / "shop.log.gz", broken())
    assert names_in(tmp_path) == []


async def test_the_oldest_files_go(tmp_path: Path) -> None:
    for number in range(KEPT + 5):
        path = tmp_path / f"{number:03}.log.gz"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    await export(tmp_path / "new.log.gz", lines(1))
    names = names_in(tmp_path)
    assert len(names) == KEPT
    assert names[0] == "006.log.gz"
    assert "new.log.gz" in names


async def test_a_full_disk_is_reported(full_disk: FullDisk) -> None:
    with pytest.raises(UserError, match="no space") as caught:
        await export(full_disk.path / "shop.log.gz", lines(1))
    assert "Free space" in caught.value.hint


async def test_a_disk_that_fills_up_is_reported(full_disk: FullDisk) -> None:
    with pytest.raises(UserError, match="could not be written"):
        await export(full_disk.path / "shop.log.gz", lines(500_000, 99), leave=0)
