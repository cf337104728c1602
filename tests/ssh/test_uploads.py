"""An upload arrives whole, or the old file stays and the error says why."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from deploybot.errors import StepFailed, Unreachable
from deploybot.ssh import ssh_upload
from deploybot.ssh.ssh_host import SshHost
from tests.conftest import MakeSshd
from tests.lab import Lab, Proxy, Sshd
from tests.ssh.conftest import Reach, server_of, through, until
from tests.ssh.shim import lie, shimmed

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty"
    path.touch()
    return path


async def test_a_file_arrives_whole_and_with_the_directories_above_it(
    server: Sshd, host: SshHost, source: Path, empty: Path
) -> None:
    base = (await host.facts()).home
    await host.upload(source, f"{base}/a dir/it's/bundle")
    placed = server.home / "a dir/it's/bundle"
    assert placed.read_bytes() == CONTENT
    assert placed.parent.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in placed.parent.iterdir()] == ["bundle"]
    await host.upload(empty, f"{base}/a dir/it's/bundle")
    assert placed.read_bytes() == b""


async def test_a_file_that_is_there_is_not_sent_again(sshd: Sshd, reach: Reach, source: Path) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        await host.upload(source, f"{sshd.home}/once")
        sent = proxy.sent
        await host.upload(source, f"{sshd.home}/once")
        assert proxy.sent - sent < 20_000


async def test_a_file_that_cannot_be_placed_is_reported_in_the_servers_words(
    server: Sshd, host: SshHost, source: Path
) -> None:
    home = (await host.facts()).home
    (server.home / "file").touch()
    for target, reasons in ((f"{home}/file/below", "Not a directory|File exists"), ("/proc/x/y", "No such file")):
        with pytest.raises(StepFailed) as caught:
            await host.upload(source, target)
        assert caught.value.server == "web1"
        assert any(word in caught.value.tail[0] for word in reasons.split("|")), caught.value.tail


async def test_a_full_disk_is_reported_and_the_old_file_stays(
    lab: Lab, make_sshd: MakeSshd, reach: Reach, source: Path
) -> None:
    server = make_sshd()
    disk = lab.full_disk(sshd=server)
    target = disk.outside / "bundle"
    target.write_bytes(b"old")
    with pytest.raises(StepFailed) as caught:
        await reach(server_of(server)).upload(source, str(disk.path / "bundle"))
    assert "No space left on device" in caught.value.tail[0]
    assert "KiB are free there" in caught.value.tail[-1]
    assert [path.name for path in disk.outside.iterdir()] == ["bundle"]
    assert target.read_bytes() == b"old"


async def test_an_upload_that_is_cut_leaves_the_old_file(sshd: Sshd, reach: Reach, source: Path) -> None:
    (sshd.home / "kept").write_bytes(b"old")
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        await host.facts()
        proxy.cut_after(1_000_000)
        with pytest.raises(Unreachable, match="the connection broke"):
            await host.upload(source, f"{sshd.home}/kept")
        await until(lambda: not list(sshd.home.glob("kept.part-*")))
        assert (sshd.home / "kept").read_bytes() == b"old"
        await host.upload(source, f"{sshd.home}/kept")
    assert (sshd.home / "kept").read_bytes() == CONTENT


async def test_an_upload_whose_answer_is_lost_ends_long_before_its_deadline(
    make_sshd: MakeSshd, reach: Reach, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = shimmed(make_sshd, call="exec cat >/dev/null")
    host = reach(server_of(server))
    await host.facts()
    monkeypatch.setattr(ssh_upload, "ANSWER_WITHIN", 0.3)
    with pytest.raises(Unreachable, match=r"did not answer to an upload within 0\.3 s"):
        await asyncio.wait_for(host.upload(source, f"{server.home}/lost"), timeout=30)
    lie(server)
    monkeypatch.undo()
    await host.upload(source, f"{server.home}/lost")
    assert (server.home / "lost").read_bytes() == CONTENT


async def test_an_upload_that_the_server_no_longer_reads_ends_long_before_its_deadline(
    make_sshd: MakeSshd, reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(20_000_000))
    server = shimmed(make_sshd, call="echo send; exec tail -f /dev/null")
    host = reach(server_of(server))
    await host.facts()
    monkeypatch.setattr(ssh_upload, "STALLED_AFTER", 0.3)
    with pytest.raises(Unreachable, match=r"took nothing of an upload for 0\.3 s"):
        await asyncio.wait_for(host.upload(big, f"{server.home}/lost"), timeout=30)
