"""Files that the bot believes: refused where anybody but root and its user could change them, and why."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploybot import trusted_files
from deploybot.trusted_files import UnsafeFileError

ME, STRANGER = os.geteuid(), 54_321
needs_root = pytest.mark.needs("root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the bot's own below another."""
    made = tmp_path / "srv" / "bot"
    made.mkdir(parents=True)
    for path in (made, made.parent):
        path.chmod(0o755)
    return made


def put(path: Path, mode: int = 0o600, content: str = "hello") -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def refusal(path: Path, *, private: bool = False, uid: int | None = None) -> str:
    """Why it is refused: both ways to look give the same answer."""
    with pytest.raises(UnsafeFileError) as read:
        trusted_files.read(path, private=private, uid=uid)
    with pytest.raises(UnsafeFileError) as verified:
        trusted_files.verify(path, private=private, uid=uid)
    assert str(read.value) == str(verified.value)
    return str(read.value)


def test_a_file_of_ones_own_is_read(folder: Path) -> None:
    path = put(folder / "bot.toml", 0o644)
    assert trusted_files.read(path) == b"hello"
    trusted_files.verify(path)
    trusted_files.verify(folder)


@pytest.mark.parametrize(
    ("mode", "who", "cure"),
    [(0o620, "its group", "g-w"), (0o602, "everybody", "o-w"), (0o666, "its group and everybody", "go-w")],
)
def test_who_may_write_to_it_is_named_with_what_to_run(folder: Path, mode: int, who: str, cure: str) -> None:
    path = put(folder / "bot.toml", mode)
    told = refusal(path)
    assert told.startswith(f"{who} may write to {path} (owner ")
    assert told.endswith(f", mode {mode:04o}); run `chmod {cure} {path}`")
    subprocess.run(told.partition("`")[2].rstrip("`"), shell=True, check=True)  # noqa: S602  the advice itself is tried
    trusted_files.verify(path)


@pytest.mark.parametrize("which", [0, 1])
def test_every_folder_above_counts(folder: Path, which: int) -> None:
    path, above = put(folder / "bot.toml"), (folder, folder.parent)[which]
    above.chmod(0o775)
    told = refusal(path)
    assert told.startswith(f"its group may write to the folder {above} (owner ")
    assert told.endswith(f"run `chmod g-w {above}`")


def test_a_sticky_folder_may_be_open_to_all(folder: Path) -> None:
    path = put(folder / "bot.toml")
    folder.chmod(0o1777)
    assert trusted_files.read(path) == b"hello"


@needs_root
@pytest.mark.parametrize("name", ["bot.toml", ".", ".."])
def test_files_and_folders_of_others_are_refused_whatever_their_mode(folder: Path, name: str) -> None:
    path = put(folder / "bot.toml")
    folder.chmod(0o1777)
    os.chown(folder / name, STRANGER, STRANGER)
    told = refusal(path)
    assert f"(owner {STRANGER}:{STRANGER}, mode" in told
    assert f"belongs to {STRANGER}, not to root" in told
    assert re.search(r"run `chown root /\S+`, or start this as 54321$", told)


@needs_root
def test_roots_files_are_good_for_any_user_and_the_users_own_for_that_user_alone(folder: Path) -> None:
    path = put(folder / "bot.toml", 0o644)
    assert trusted_files.read(path, uid=STRANGER) == b"hello"
    os.chown(path, STRANGER, STRANGER)
    assert trusted_files.read(path, uid=STRANGER) == b"hello"
    told = refusal(path, uid=STRANGER + 1)
    assert f"belongs to {STRANGER}, not to {STRANGER + 1} or root" in told
    assert told.endswith(f"run `chown {STRANGER + 1} {path}` as root")


def test_links_are_followed_and_every_step_is_looked_at(folder: Path) -> None:
    path = put(folder / "real.toml")
    (folder / "away").mkdir(mode=0o755)
    (folder / "away" / "link").symlink_to("../second")
    (folder / "second").symlink_to(path)
    assert trusted_files.read(folder / "away" / "link") == b"hello"
    open_to_all = folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    put(open_to_all / "bot.toml")
    (folder / "third").symlink_to(open_to_all / "bot.toml")
    assert f"the folder {open_to_all} (owner" in refusal(folder / "third")
    (open_to_all / "back").symlink_to(path)
    (folder / "fourth").symlink_to("open/back")
    assert f"the folder {open_to_all} (owner" in refusal(folder / "fourth")
    (folder / "round").symlink_to("round")
    with pytest.raises(OSError, match="Too many levels"):
        trusted_files.read(folder / "round")


@needs_root
def test_a_link_that_somebody_else_made_leads_nowhere(folder: Path) -> None:
    path = put(folder / "bot.toml")
    folder.chmod(0o1777)
    (folder / "link").symlink_to(path)
    os.lchown(folder / "link", STRANGER, STRANGER)
    told = refusal(folder / "link")
    assert told.startswith(f"the link {folder}/link (owner {STRANGER}")
    assert f"run `chown -h root {folder}/link`" in told


@pytest.mark.parametrize("name", [".", "fifo", "/dev/null", "socket"])
def test_what_is_no_file_is_none_and_nothing_waits_for_it(folder: Path, name: str) -> None:
    os.mkfifo(folder / "fifo", 0o600)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        with pytest.raises(UnsafeFileError, match="is not a file"):
            trusted_files.read(folder / name)


def test_what_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        trusted_files.read(folder / "nope" / "bot.toml")
    assert caught.value.filename == str(folder / "nope")
    with pytest.raises(NotADirectoryError):
        trusted_files.read(put(folder / "file") / "bot.toml")


def test_a_file_that_is_too_large(folder: Path) -> None:
    with pytest.raises(UnsafeFileError, match="larger than 1 MB: is it the right file"):
        trusted_files.read(put(folder / "big", content="x" * 1_000_001))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o610])
def test_a_secret_of_the_users_own_is_for_nobody_else(folder: Path, mode: int) -> None:
    path = put(folder / "token", mode)
    assert trusted_files.read(path) == b"hello"
    told = refusal(path, private=True)
    assert told.startswith(f"others can read {path} (owner ")
    assert told.endswith(f"run `chmod 600 {path}`")


@needs_root
def test_a_secret_of_roots_may_be_read_by_its_group_but_not_by_everybody(folder: Path) -> None:
    path = put(folder / "token", 0o640)
    assert trusted_files.read(path, private=True, uid=STRANGER) == b"hello"
    path.chmod(0o644)
    assert refusal(path, private=True, uid=STRANGER).endswith(f"run `chmod o-rwx {path}`")


def test_secrets_that_systemd_hands_out_are_readable_as_it_makes_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(folder / "token", 0o440)
    with pytest.raises(UnsafeFileError):
        trusted_files.read(path, private=True)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert trusted_files.read(path, private=True) == b"hello"
    path.chmod(0o460)
    assert "its group may write" in refusal(path, private=True)


def test_secrets_that_kubernetes_mounts_are_readable_as_it_makes_them(folder: Path) -> None:
    """The layout of its AtomicWriter: a link to a link to a file, in a folder that all may write to (sticky)."""
    version = folder / "..2026_11_29_07_00_00.123456789"
    version.mkdir(mode=0o755)
    put(version / "token", 0o644)
    (folder / "..data").symlink_to(version.name)
    (folder / "token").symlink_to("..data/token")
    folder.chmod(0o1777)
    assert trusted_files.read(folder / "token", private=True) == b"hello"
    with pytest.raises(UnsafeFileError):
        trusted_files.read(version / "token", private=True)


@pytest.mark.needs("root", "unshare", "mounts")
@pytest.mark.parametrize("user", [0, STRANGER])
def test_secrets_that_docker_mounts_are_readable_as_it_makes_them(user: int) -> None:
    """In a mount namespace with a /run of its own, as root and as the user of the image."""
    program = (
        "from pathlib import Path; from deploybot import trusted_files as files; "
        f"print(files.read(Path('/run/secrets/token'), private=True, uid={user}).decode(), "
        f"files.read(Path('/var/run/secrets/token'), private=True, uid={user}).decode())"
    )
    script = (
        "mount -t tmpfs tmpfs /run && mkdir /run/secrets && printf hello >/run/secrets/token && "
        'chmod 444 /run/secrets/token && exec "$0" -c "$1"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, program],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.stdout == b"hello hello\n", done.stderr


def opened() -> set[tuple[str, str]]:
    """The descriptors of this process, and what each is of."""
    found = set()
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add((one.name, str(one.readlink())))
    return found


def test_nothing_is_left_open(folder: Path) -> None:
    path = put(folder / "bot.toml")
    (folder / "link").symlink_to(path)
    folder.parent.chmod(0o777)
    before = opened()
    for name in ("bot.toml", "link", "nope", "link/x", ".."):
        for look in (trusted_files.read, trusted_files.verify):
            with pytest.raises((UnsafeFileError, OSError)):
                look(folder / name)
    # What an earlier test left to the garbage collector may be closed meanwhile.
    assert not opened() - before


def test_a_file_that_is_exchanged_meanwhile_is_never_the_one_that_is_refused(folder: Path) -> None:
    """Somebody swaps a good file for a bad one all the time: what is read was looked at."""
    good, bad, at = put(folder / "good", content="good"), put(folder / "bad", 0o666, "bad"), folder / "bot.toml"
    stop, seen = threading.Event(), set[bytes]()

    def swap() -> None:
        while not stop.is_set():
            for one in (good, bad):
                draft = folder / "draft"
                os.link(one, draft)
                draft.rename(at)
                # Renaming a file to a link of itself does nothing, and leaves it.
                draft.unlink(missing_ok=True)

    os.link(good, at)
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        refused = 0
        for _ in range(3_000):
            try:
                seen.add(trusted_files.read(at))
            except UnsafeFileError:
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert seen == {b"good"}
    assert refused


@settings(max_examples=200, deadline=None)
@given(mode=st.integers(0, 0o777), above=st.integers(0, 0o1777), private=st.booleans())
def test_all_modes(tmp_path_factory: pytest.TempPathFactory, mode: int, above: int, *, private: bool) -> None:
    """For each mode of a file and its folder: read just where nobody else can write, nor read what is private."""
    folder = tmp_path_factory.mktemp("modes")
    path = put(folder / "file")
    path.chmod(mode | (0 if ME == 0 else 0o400))
    folder.chmod(above | 0o700)
    mode, above = stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)
    good = not mode & 0o022 and (not above & 0o022 or bool(above & 0o1000)) and not (private and mode & 0o077)
    try:
        assert trusted_files.read(path, private=private) == b"hello"
        was_read = True
    except UnsafeFileError:
        was_read = False
    assert was_read is good
