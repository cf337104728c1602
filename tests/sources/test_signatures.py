"""Signatures of real commits and tags, made by ssh-keygen and gpg, as git finds them in a mirror."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploybot.domain import Holding, Signature
from deploybot.errors import Unreachable
from deploybot.masking import Redactor
from deploybot.settings import App, FileRef, Signer
from deploybot.sources.commit_signatures import fingerprint, ssh_signer, valid_key
from deploybot.sources.git_source import GitSource
from tests.lab import Repo
from tests.lab.run import run

MakeApp = Callable[..., App]
pytestmark = pytest.mark.needs("ssh-keygen")


class Keys:
    """SSH keys of people."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def private(self, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
        return path

    def public(self, name: str) -> str:
        return " ".join(self.private(name).with_suffix(".pub").read_text().split()[:2])

    def config(self, name: str) -> tuple[str, ...]:
        """What makes git sign by this person."""
        return ("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.private(name)}")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    made = make_repo("shop")
    made.commit({"a": "1"}, "Begin")
    return made


@pytest.fixture
def app(make_app: MakeApp, repo: Repo) -> App:
    return make_app(repo.url)


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., GitSource]:
    """Return a function that makes a source whose bot.toml lists signers."""

    def make(**signers: Signer) -> GitSource:
        return GitSource(tmp_path / "data with spaces", Redactor(), signers=signers)

    return make


def signed(repo: Repo, *config: str, message: str = "Signed") -> str:
    """Commit to `main` with a signature; `config` are git's words that say whose."""
    tree = repo.git("rev-parse", "main^{tree}").strip()
    commit = repo.git(*config, "commit-tree", "-S", "-p", "main", "-m", message, tree).strip()
    repo.branch("main", commit)
    return commit


def store(repo: Repo, kind: str, text: str) -> str:
    """Put an object into the repository as it is."""
    return repo.git("hash-object", "-t", kind, "-w", "--stdin", stdin=text).strip()


def day(days: int) -> dt.date:
    return dt.datetime.now(dt.UTC).date() + dt.timedelta(days=days)


async def test_a_commit_of_a_listed_key_is_good_and_says_whose(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys
) -> None:
    commit = signed(repo, *keys.config("ana"))
    source = listed(ben=Signer(ssh=(keys.public("ben"),)), ana=Signer(ssh=(keys.public("old"), keys.public("ana"))))
    assert await source.signature(app, commit) == Signature("ana", "the commit")


async def test_an_annotated_tag_of_a_listed_key_is_good_for_its_commit_alone(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys
) -> None:
    commit = repo.sha("main")
    repo.git(*keys.config("ana"), "tag", "-s", "-m", "One", "v1", commit)
    other = repo.commit({"a": "2"})
    source = listed(ana=Signer(ssh=(keys.public("ana"),)))
    assert str(await source.signature(app, commit)) == "ana on tag v1"
    assert await source.signature(app, other) == Signature(problem="the commit has no signature")


async def test_the_signature_of_an_unlisted_key_counts_for_nothing(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys
) -> None:
    commit = signed(repo, *keys.config("eve"))
    repo.git(*keys.config("eve"), "tag", "-s", "-m", "One", "v1", commit)
    found = await listed(ana=Signer(ssh=(keys.public("ana"),))).signature(app, commit)
    key = fingerprint(keys.public("eve"))
    unlisted = f"is signed with a key that bot.toml does not list, {key}"
    assert found == Signature(problem=f"the commit {unlisted}; tag v1 {unlisted}")


async def test_without_signers_nothing_is_good(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys
) -> None:
    found = await listed().signature(app, signed(repo, *keys.config("ana")))
    assert not found.by


async def test_unsigned_commits_and_tags_are_reported(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys
) -> None:
    commit = repo.tag("v1", message="One")
    repo.tag("light")
    found = await listed(ana=Signer(ssh=(keys.public("ana"),))).signature(app, commit)
    assert found == Signature(problem="the commit has no signature; tag v1 has no signature")


@pytest.mark.parametrize("change", ["message", "tree", "other"])
async def test_a_signature_of_something_else_is_refused(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys, change: str
) -> None:
    """A changed message, other files, and the signature of one commit put into another."""
    good = repo.git("cat-file", "commit", signed(repo, *keys.config("ana")))
    text = good
    if change == "message":
        text = good.replace("Signed", "Forged")
    elif change == "tree":
        repo.commit({"a": "evil"}, branch="evil")
        text = good.replace(good.split()[1], repo.git("rev-parse", "evil^{tree}").strip())
    else:
        another = repo.git("cat-file", "commit", signed(repo, *keys.config("ana"), message="Another one"))
        text = _signature_of(good).join(another.split(_signature_of(another)))
    assert text != good
    repo.branch("main", store(repo, "commit", text))
    found = await listed(ana=Signer(ssh=(keys.public("ana"),))).signature(app, repo.sha("main"))
    assert not found.by
    assert "that does not match: it was changed, or the signature was copied" in found.problem


def _signature_of(commit: str) -> str:
    start, end = commit.index("gpgsig "), commit.index("-----END SSH SIGNATURE-----")
    return commit[start:end]


async def test_a_signed_tag_under_another_name_or_moved_to_another_commit_does_not_count(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys
) -> None:
    first = repo.sha("main")
    repo.git(*keys.config("ana"), "tag", "-s", "-m", "One", "v1", first)
    tag = repo.git("rev-parse", "v1").strip()
    repo.delete("refs/tags/v1")
    repo.git("update-ref", "refs/tags/v9", tag)
    source = listed(ana=Signer(ssh=(keys.public("ana"),)))
    assert not (await source.signature(app, first)).by
    evil = repo.commit({"a": "evil"})
    moved = repo.git("cat-file", "tag", tag).replace(f"object {first}", f"object {evil}")
    repo.git("update-ref", "refs/tags/v1", store(repo, "tag", moved))
    found = await source.signature(app, evil)
    assert not found.by
    assert "tag v1 has a signature that does not match" in found.problem


async def test_a_tag_of_a_tag_does_not_vouch_for_the_commit(
    listed: Callable[..., GitSource], app: App, repo: Repo, keys: Keys
) -> None:
    commit = repo.tag("inner", message="Not signed")
    repo.git(*keys.config("ana"), "tag", "-s", "-m", "One", "outer", "refs/tags/inner")
    assert not (await listed(ana=Signer(ssh=(keys.public("ana"),))).signature(app, commit)).by


@pytest.mark.parametrize(
    ("since", "until", "good"),
    [(None, None, True), (-9000, 0, True), (0, None, False), (None, -1, False), (1, None, False), (-9000, -1, False)],
)
async def test_keys_count_in_their_days_only_whatever_time_the_commit_claims(
    listed: Callable[..., GitSource],
    app: App,
    repo: Repo,
    keys: Keys,
    *,
    since: int | None,
    until: int | None,
    good: bool,
) -> None:
    """The commit says that it is of 2023: with a key that has ended, git alone would take it."""
    commit = signed(repo, *keys.config("ana"))
    days = {name: None if ends is None else day(ends) for name, ends in (("since", since), ("until", until))}
    signer = Signer(ssh=(keys.public("ana"),), since=days["since"], until=days["until"])
    found = await listed(ana=signer).signature(app, commit)
    assert bool(found.by) is good
    if not good:
        assert "the commit is signed by ana, whose key is not valid" in found.problem


async def test_what_a_repository_ships_and_the_users_own_configuration_count_for_nothing(
    app: App, repo: Repo, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = f"eve {keys.public('eve')}\n"
    (tmp_path / "eve").write_text(mine)
    config = f'[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tallowedSignersFile = {tmp_path / "eve"}\n\tprogram = true\n'
    repo.commit({".gitconfig": config, "config": config, "allowed_signers": mine})
    repo.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "eve"))
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(config)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'gpg.ssh.allowedSignersFile={tmp_path / 'eve'}'")
    commit = signed(repo, *keys.config("eve"))
    source = GitSource(tmp_path / "data", Redactor(), signers={"ana": Signer(ssh=(keys.public("ana"),))})
    assert not (await source.signature(app, commit)).by
    (mirror,) = (tmp_path / "data" / "mirrors").glob("*.git")
    run("git", f"--git-dir={mirror}", "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "eve"))
    assert not (await source.signature(app, commit)).by
    run("git", "-c", f"gpg.ssh.allowedSignersFile={tmp_path / 'eve'}", f"--git-dir={mirror}", "verify-commit", commit)


async def test_a_machine_without_the_program_says_so(
    app: App, repo: Repo, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, bare = signed(repo, *keys.config("ana")), tmp_path / "bin"
    bare.mkdir()
    for name in ("git", "sh"):
        (bare / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(bare))
    source = GitSource(tmp_path / "data", Redactor(), signers={"ana": Signer(ssh=(keys.public("ana"),))})
    found = await source.signature(app, commit)
    why = "the commit has a signature that cannot be checked: ssh-keygen is not installed on deploybot's machine"
    assert found == Signature(problem=why)


async def test_a_program_that_does_not_end_is_stopped(
    app: App, repo: Repo, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = signed(repo, *keys.config("ana"))
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "ssh-keygen").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:{os.environ['PATH']}")
    signers = {"ana": Signer(ssh=(keys.public("ana"),))}
    source = GitSource(tmp_path / "data", Redactor(), signers=signers, verify_within=0.3)
    async with asyncio.timeout(10):
        with pytest.raises(Unreachable, match="no answer within"):
            await source.signature(app, commit)


class Ring:
    """OpenPGP keys of people, in a home of their own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.home = home

    def gpg(self, *argv: str) -> str:
        return run("gpg", "--batch", "--homedir", self.home, "--passphrase", "", *argv)

    def make(self, name: str, *more: str, expires: str = "never") -> Path:
        what = (f"{name} <{name}@example.com>", "ed25519", "sign", expires)
        self.gpg("--pinentry-mode", "loopback", *more, "--quick-gen-key", *what)
        path = self.home.with_name(f"{name}.asc")
        path.write_text(self.gpg("--armor", "--export", f"{name}@example.com"))
        return path

    def config(self, name: str, program: str = "gpg") -> tuple[str, ...]:
        script = self.home.with_name("sign")
        script.write_text(f'#!/bin/sh\nexec {program} --homedir "{self.home}" "$@"\n')
        script.chmod(0o755)
        return ("-c", f"gpg.program={script}", "-c", f"user.signingkey={name}@example.com")


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    made = Ring(tmp_path / "ring")
    yield made
    run("gpgconf", "--homedir", made.home, "--kill", "gpg-agent")


async def test_openpgp_keys_of_bot_toml_count_and_no_others(
    listed: Callable[..., GitSource], app: App, repo: Repo, ring: Ring, keys: Keys
) -> None:
    ana, ben, _ = ring.make("ana"), ring.make("ben"), ring.make("eve")
    source = listed(
        ana=Signer(gpg=FileRef(file=ana)),
        ben=Signer(gpg=FileRef(file=ben), until=day(-1)),
        cem=Signer(ssh=(keys.public("c"),)),
    )
    assert str(await source.signature(app, signed(repo, *ring.config("ana")))) == "ana on the commit"
    found = await source.signature(app, signed(repo, *ring.config("eve")))
    assert "is signed with a key that bot.toml does not list" in found.problem
    assert not (await source.signature(app, signed(repo, *ring.config("ben")))).by
    assert str(await source.signature(app, signed(repo, *keys.config("c")))) == "cem on the commit"
    forged = repo.git("cat-file", "commit", signed(repo, *ring.config("ana"))).replace("Signed", "Forged")
    repo.branch("main", store(repo, "commit", forged))
    assert "that does not match" in (await source.signature(app, repo.sha("main"))).problem


async def test_an_expired_openpgp_key_does_not_count(
    listed: Callable[..., GitSource], app: App, repo: Repo, ring: Ring
) -> None:
    """Both signatures are of 2020; one key was to last for two days, which git's date would still be in."""
    then, later = "20200101T000000", "20200102T000000"
    ana = ring.make("ana", "--faked-system-time", then)
    ben = ring.make("ben", "--faked-system-time", then, expires="2d")
    source = listed(ana=Signer(gpg=FileRef(file=ana)), ben=Signer(gpg=FileRef(file=ben)))
    program = f"gpg --faked-system-time {later}"
    assert (await source.signature(app, signed(repo, *ring.config("ana", program)))).by == "ana"
    found = await source.signature(app, signed(repo, *ring.config("ben", program)))
    assert not found.by


GOODSIG, VALIDSIG = "[GNUPG:] GOODSIG 8D87 ana <a@x>", "[GNUPG:] VALIDSIG SUB 2026-11-29 1795919414 0 4 0 22 8 00 KEY"


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ((GOODSIG, VALIDSIG), "KEY"),
        ((VALIDSIG,), ""),
        ((GOODSIG,), ""),
        ((GOODSIG, VALIDSIG, GOODSIG, VALIDSIG), ""),
        ((GOODSIG, VALIDSIG, "[GNUPG:] EXPKEYSIG 8D87 ana"), ""),
        ((GOODSIG, VALIDSIG, "[GNUPG:] REVKEYSIG 8D87 ana"), ""),
        ((f" {GOODSIG}", f"x {VALIDSIG}"), ""),
        ((), ""),
    ],
)
def test_what_gpg_says_of_one_good_signature(lines: tuple[str, ...], key: str) -> None:
    assert valid_key("\n".join(lines)) == key


def test_what_ssh_keygen_says_of_one_good_signature() -> None:
    good = 'Good "git" signature for ana with ED25519 key SHA256:abc'
    assert ssh_signer(f"{good}\n") == "ana"
    unlisted = 'Good "git" signature with ED25519 key SHA256:abc\nNo principal matched.'
    for words in (unlisted, f"x {good}", good.replace("git", "file"), f"{good} more", ""):
        assert not ssh_signer(words)


async def test_who_holds_a_commit(listed: Callable[..., GitSource], app: App, repo: Repo) -> None:
    first = repo.tag("v1")
    repo.branch("old")
    second = repo.tag("main", repo.commit({"a": "2"}))
    repo.tag("v2", message="Two")
    third = repo.commit({"a": "3"}, branch="feature/x")
    source = listed()
    assert await source.holding(app, first) == Holding(("main", "old"), ("v1",), ())
    assert await source.holding(app, second) == Holding(("main",), ("main", "v2"), ("main",))
    assert await source.holding(app, third) == Holding(("feature/x",), (), ())
    repo.branch("main", first)
    assert await source.holding(app, second) == Holding((), ("main", "v2"), ("main",)), "pushed over"
    repo.delete("refs/tags/main")
    repo.delete("refs/tags/v2")
    assert await source.holding(app, second) == Holding((), (), ()), "it is kept in the mirror, and on no ref"
