"""Facts of servers: read from a probe's output, and from real servers."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.domain import LocalTime, PublishedPort
from deploybot.errors import Unreachable
from deploybot.ssh.probe_facts import DockerFacts, parse
from tests.conftest import MakeSshd
from tests.lab import Access, Repo, Sshd
from tests.ssh.conftest import Reach, server_of

MakeRepo = Callable[[str], Repo]

NEW, OLD, HALF = "a" * 40, "b" * 40, "c" * 64


def told(*records: str) -> bytes:
    return b"\0" + b"".join(record.encode() + b"\0" for record in (*records, "end=end"))


def test_everything_that_is_reported() -> None:
    facts = parse(
        told(
            "home=/home/deploy",
            "user=deploy",
            "uid=1000",
            "system=Debian GNU/Linux 12 (bookworm)",
            "boot_id=7a-b",
            "disk_total_kib=100",
            "disk_free_kib=40",
            "memory_available_kib=7",
            "git=yes",
            "tool_missing=tar",
            "tool_missing=gzip",
            "docker=20.10.24+dfsg1",
            "compose=docker compose",
            "compose_version=v2.26.1-4",
            "writable=yes",
            f"current=releases/{NEW}",
            f"switching={OLD}",
            f"release={OLD}",
            f"release={NEW}",
            f"have={NEW}",
            f"have={NEW}",
            "docker_host=unix:///run/user/1000/docker.sock",
            "docker_root=/home/deploy/.local/share/docker",
            "docker_free_kib=4",
            "docker_inodes=77",
            "tcp=0100007F:0050\n00000000:01BB\n0101A8C0:1F9",
            "udp=00000000000000000000000001000000:0035\n0000000000000000FFFF00000100007F:0035\nG0000000:0035",
            "current_is_folder=yes",
            f"legacy={OLD}",
            f"legacy_switching={NEW}",
            "time_zone=America/Argentina/Buenos_Aires",
            "time_offset=-0300 -03",
        ),
        server="web1",
        directory="/srv/shop",
    )
    assert facts is not None
    assert (facts.home, facts.user, facts.uid, facts.boot_id) == ("/home/deploy", "deploy", 1000, "7a-b")
    assert (facts.disk_total, facts.disk_free, facts.memory_available) == (102_400, 40_960, 7_168)
    assert (facts.git, facts.tools_missing, facts.writable) == (True, ("tar", "gzip"), True)
    assert (facts.docker, facts.compose, facts.compose_version) == (
        "20.10.24+dfsg1",
        ("docker", "compose"),
        "2.26.1-4",
    )
    assert (facts.current, facts.switching, facts.releases, facts.have) == (NEW, OLD, (NEW, OLD), (NEW,))
    assert (facts.server, facts.directory) == ("web1", "/srv/shop")
    assert facts.local_time == LocalTime(zone="America/Argentina/Buenos_Aires", offset=-10_800)
    assert facts.docker_host == "unix:///run/user/1000/docker.sock"
    assert facts.docker_root == "/home/deploy/.local/share/docker"
    assert (facts.docker_free, facts.docker_inodes) == (4_096, 77)
    assert facts.listening == (
        PublishedPort(port=80, address="127.0.0.1"),
        PublishedPort(port=443),
        PublishedPort(port=53, protocol="udp", address="::1"),
        PublishedPort(port=53, protocol="udp", address="127.0.0.1"),
    )
    assert (facts.current_is_folder, facts.legacy, facts.legacy_switching) == (True, (OLD,), NEW)


def test_what_is_not_reported_is_unknown() -> None:
    facts = parse(told("home=/root", "disk_free_kib=", "uid=x"), server="web1", directory="")
    assert facts is not None
    assert (facts.disk_free, facts.disk_total, facts.memory_available, facts.uid) == (-1, -1, -1, -1)
    assert not facts.writable
    assert (facts.docker_host, facts.docker_root, facts.docker_free, facts.docker_inodes) == ("", "", -1, -1)
    assert (facts.current_is_folder, facts.legacy) == (False, ())
    assert (facts.docker, facts.compose, facts.current) == ("", (), "")


def test_a_probe_that_was_cut_reports_nothing() -> None:
    assert parse(told("home=/root")[:-8], server="web1", directory="") is None


def test_what_a_login_shell_prints_does_not_count() -> None:
    facts = parse(b"Welcome!\nhome=/tmp\n" + told("home=/root"), server="web1", directory="")
    assert facts is not None
    assert facts.home == "/root"


def test_names_that_are_no_commits_are_no_releases() -> None:
    facts = parse(
        told(
            *("release=../../etc", "release=v1", "legacy=..", "current=releases/20240101"),
            *("switching=$(id)", "legacy_switching=x", "have=HEAD"),
        ),
        server="web1",
        directory="/srv",
    )
    assert facts is not None
    assert (facts.releases, facts.current, facts.switching, facts.have) == ((), "", "", ())
    assert (facts.legacy, facts.legacy_switching) == ((), "")


@given(st.binary())
def test_no_output_breaks_it(output: bytes) -> None:
    parse(output + told(), server="web1", directory="")


def test_docker_is_asked_for_until_it_is_known() -> None:
    nothing = DockerFacts()
    compose = DockerFacts(compose=("docker", "compose"), compose_version="2.1")
    both = DockerFacts("26.1", ("docker", "compose"), "2.1")
    assert (nothing.wanted, compose.wanted, both.wanted) == ("yes", "engine", "no")


async def test_a_server_as_it_is(sshd: Sshd, reach: Reach) -> None:
    facts = await reach(server_of(sshd)).facts(str(sshd.home))
    disk = os.statvfs(sshd.home)
    assert (facts.home, facts.user, facts.uid) == (str(sshd.home), sshd.user, sshd.box.account.uid)
    assert facts.system == "Debian GNU/Linux 12 (bookworm)"
    assert facts.boot_id == (sshd.box.directory / "etc/boot_id").read_text().strip()
    assert facts.disk_total == pytest.approx(disk.f_blocks * disk.f_frsize, rel=0.1)
    assert facts.disk_free == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.1)
    assert facts.memory_available > 100_000_000
    assert (facts.git, facts.tools_missing, facts.writable) == (True, (), True)
    assert facts.compose == ("docker", "compose")
    assert facts.compose_version.startswith("2.")


async def test_a_server_with_busybox_alone(busybox_server: Sshd, reach: Reach) -> None:
    facts = await reach(server_of(busybox_server)).facts("/home/deploy")
    assert (facts.home, facts.git, facts.docker, facts.compose) == ("/home/deploy", False, "", ())
    assert facts.tools_missing == ()
    assert facts.disk_free > 0
    assert facts.writable


async def test_commits_that_are_packed_or_half_written(sshd: Sshd, reach: Reach, make_repo: MakeRepo) -> None:
    repo, directory = make_repo("shop"), sshd.home / "packed"
    first, second = repo.commit({"page": "first"}), repo.commit({"page": "second"})
    repo.git("update-ref", f"refs/deploybot/{first}", first)
    repo.git("pack-refs", "--all")
    repo.git("update-ref", f"refs/deploybot/{second}", second)
    (repo.path / "refs/deploybot" / OLD).touch()
    shutil.copytree(repo.path, directory / "repo.git")
    facts = await reach(server_of(sshd)).facts(str(directory))
    assert set(facts.have) == {first, second}
    shutil.rmtree(directory)


def complete(directory: Path, commit: str) -> None:
    """A release as it is when it is complete."""
    (directory / "releases" / commit).mkdir(parents=True)
    (directory / ".deploybot/releases" / commit).mkdir(parents=True)
    (directory / ".deploybot/releases" / commit / "complete").touch()


async def test_what_the_files_of_a_release_say_is_not_believed(sshd: Sshd, reach: Reach) -> None:
    """It is told apart: the version before kept its marks among them."""
    directory = sshd.home / "shop"
    for commit in (NEW, OLD):
        (directory / "releases" / commit).mkdir(parents=True)
    (directory / "releases" / NEW / ".deploybot-complete").touch()
    (directory / "releases" / OLD / ".deploybot-complete").symlink_to("/etc/passwd")
    (directory / "switching").write_text(f"{OLD}\n")
    facts = await reach(server_of(sshd)).facts(str(directory))
    assert (facts.releases, facts.switching) == ((), "")
    assert (facts.legacy, facts.legacy_switching) == ((NEW,), OLD)
    shutil.rmtree(directory)


async def test_marks_count_as_files_with_a_folder_beside_them_and_links_do_not(sshd: Sshd, reach: Reach) -> None:
    directory = sshd.home / "shop"
    gone, linked, foreign = NEW, OLD, HALF
    for commit in (gone, linked, foreign):
        complete(directory, commit)
    shutil.rmtree(directory / "releases" / gone)
    (directory / "releases" / foreign).rmdir()
    (directory / "releases" / foreign).symlink_to("/etc")
    mark = directory / ".deploybot/releases" / linked / "complete"
    mark.unlink()
    mark.symlink_to("/etc/passwd")
    (directory / ".deploybot/switching").symlink_to("/etc/hostname")
    (directory / "current").mkdir()
    facts = await reach(server_of(sshd)).facts(str(directory))
    assert (facts.releases, facts.switching, facts.current, facts.current_is_folder) == ((), "", "", True)
    shutil.rmtree(directory)


async def test_who_listens_on_the_server(sshd: Sshd, reach: Reach) -> None:
    host = reach(server_of(sshd, docker="/run/none.sock"))
    itself = PublishedPort(port=sshd.port, address=sshd.address)
    assert itself in (await host.facts("/srv/shop")).listening
    assert (await host.facts()).listening == (), "nothing is deployed there"


async def test_an_apps_directory(sshd: Sshd, reach: Reach, make_repo: MakeRepo) -> None:
    directory = sshd.home / "shop with blank"
    for commit in (NEW, OLD):
        complete(directory, commit)
    (directory / "releases" / HALF).mkdir()
    (directory / ".deploybot/switching").write_text(f"{NEW}\n")
    (directory / "current").symlink_to(f"releases/{OLD}")
    repo = make_repo("shop")
    commit = repo.commit({"page": "first"})
    shutil.copytree(repo.path, directory / "repo.git")
    refs = directory / "repo.git/refs/deploybot"
    refs.mkdir(parents=True)
    (refs / commit).write_text(f"{commit}\n")
    facts = await reach(server_of(sshd)).facts(str(directory))
    assert facts.releases == (NEW, OLD)
    assert (facts.current, facts.switching, facts.have) == (OLD, NEW, (commit,))
    shutil.rmtree(directory)
    gone = await reach(server_of(sshd)).facts(str(directory))
    assert (gone.releases, gone.current, gone.switching, gone.have, gone.writable) == ((), "", "", (), True)


@pytest.mark.parametrize("directory", ["/", "/srv/not/there/at/all", "/etc/passwd/below"])
async def test_a_directory_that_cannot_be_written(sshd: Sshd, reach: Reach, directory: str) -> None:
    facts = await reach(server_of(sshd)).facts(directory)
    assert not facts.writable
    assert facts.disk_free > 0 or "passwd" in directory


@pytest.mark.parametrize("directory", ["$(touch {0})", "`touch {0}`", "'; touch {0}; '", "-rf {0}", "a\ntouch {0}"])
async def test_a_directory_is_a_value_and_no_code(sshd: Sshd, reach: Reach, directory: str) -> None:
    canary = sshd.home / "canary"
    await reach(server_of(sshd)).facts("/" + directory.format(canary))
    assert not canary.exists()


async def test_a_server_without_a_tool_says_which(sshd: Sshd, make_sshd: MakeSshd, reach: Reach) -> None:
    tools = sshd.box.directory.parent / "few-tools"
    tools.mkdir(exist_ok=True)
    for name in ("sh", "df", "head", "cat", "grep", "readlink", "id"):
        (tools / name).symlink_to(shutil.which(name) or name)
    bare = make_sshd(access=Access(path=str(tools)))
    facts = await reach(server_of(bare)).facts()
    assert {"setsid", "mkfifo", "sha256sum", "tar"} <= set(facts.tools_missing)


async def test_a_shell_that_does_not_work_is_reported(make_sshd: MakeSshd, reach: Reach) -> None:
    server = make_sshd(shell="/bin/false")  # noqa: S604  a login shell
    with pytest.raises(Unreachable, match="its shell gives no answer: it printed nothing"):
        await reach(server_of(server)).facts()


@pytest.mark.parametrize(
    ("zone", "offset", "local"),
    [
        ("Europe/Berlin", "+0100 CET", LocalTime(zone="Europe/Berlin", offset=3600, short="CET")),
        ("UTC", "+0000 UTC", LocalTime(zone="UTC", offset=0, short="UTC")),
        ("Asia/Kathmandu", "+0545 +0545", LocalTime(zone="Asia/Kathmandu", offset=20_700)),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "+0100 CET", LocalTime(offset=3600, short="CET")),
        ("../../etc/passwd", "+9900 X", LocalTime()),
        ("/dev/zero", "+01", LocalTime()),
        ("A" * 40, "+0160 X", LocalTime()),
        ("a/b/c/d", "", LocalTime()),
        ("Europe/Berlin\n", "+0100 CET; rm", LocalTime(zone="Europe/Berlin", offset=3600)),
        ("", "", LocalTime()),
    ],
)
def test_the_time_zone_is_read_and_what_is_none_is_left_out(zone: str, offset: str, local: LocalTime) -> None:
    facts = parse(told(f"time_zone={zone}", f"time_offset={offset}"), server="web1", directory="")
    assert facts is not None
    assert facts.local_time == local


@pytest.mark.parametrize(
    ("told_by", "zone", "offset"),
    [("America/St_Johns", "America/St_Johns", None), ("XYZ3", "XYZ3", -10_800), (":Asia/Tokyo", "Asia/Tokyo", 32_400)],
)
async def test_a_server_reports_the_time_zone_of_its_sessions(
    make_sshd: MakeSshd, reach: Reach, told_by: str, zone: str, offset: int | None
) -> None:
    server = make_sshd("zone", access=Access(time_zone=told_by))
    local = (await reach(server_of(server)).facts(docker=False)).local_time
    assert local.zone == zone
    assert local.offset is not None
    assert local.offset == offset or (offset is None and local.offset in {-12_600, -9_000})


async def test_a_server_reports_the_time_zone_of_its_clock(sshd: Sshd, reach: Reach) -> None:
    local = (await reach(server_of(sshd)).facts(docker=False)).local_time
    link = await asyncio.to_thread(Path("/etc/localtime").readlink)
    assert local.offset is not None
    assert local.zone == str(link).rpartition("zoneinfo/")[2]
