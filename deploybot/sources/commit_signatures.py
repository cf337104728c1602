"""Verify signatures of commits and annotated tags with git and only the keys of bot.toml.

The configuration of the bot's user and of the repository is ignored. git gets a list of signers and a key ring that
this module creates, and may run only ssh-keygen and gpg.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploybot import trusted_files
from deploybot.domain import Signature
from deploybot.errors import UserError
from deploybot.settings import Signer
from deploybot.sources.git_mirror import Mirror
from deploybot.sources.git_process import GitFailed, GitTimeout, run, run_git
from deploybot.sources.git_remote import environment
from deploybot.untrusted_input import lines

VERIFY_WITHIN = 20.0
MOST_TAGS = 10
_MOST_WORDS = 200
_SSH_GOOD = re.compile(r'Good "git" signature for ([a-z0-9_-]{1,40}) with \S{1,40} key SHA256:\S{1,60}', re.ASCII)
_SSH_KEY = re.compile(r"\bkey (SHA256:[A-Za-z0-9+/]{43})", re.ASCII)
_GPG_STATUS = "[GNUPG:] "
_GPG_KEY = re.compile(r"^\[GNUPG:\] (?:NO_PUBKEY|ERRSIG) ([0-9A-F]{16,40})", re.ASCII | re.MULTILINE)
_GPG_BAD = frozenset({"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"})
_GPG_CONF = "trust-model always\nno-auto-key-retrieve\nno-autostart\nbatch\n"
_UNSIGNED = ("", "error: no signature found")
_MISSING = re.compile(r"cannot (?:run|exec) ['\"]?(ssh-keygen|gpg)\b")
"""What git prints if it has no program to verify a signature with."""
_TAMPERED = re.compile(r"incorrect signature|BADSIG|couldn't parse|Could not verify signature")


class Signatures:
    """Verify signatures with the keys of `signers` that are valid today, in a private `folder`."""

    def __init__(self, folder: Path, signers: Mapping[str, Signer], *, verify_within: float = VERIFY_WITHIN) -> None:
        """Take the folder for the lists of keys, the signers of bot.toml, and the timeout of one check in seconds."""
        self._folder = folder
        self._signers = signers
        self._within = verify_within
        self._making = asyncio.Lock()

    async def of(self, mirror: Mirror, commit: str, tags: Mapping[str, str]) -> Signature:
        """Find a good signature of a commit or of its tags; `tags` maps names to annotated tag objects.

        It checks at most the first ten tags by name. Raises GitFailed if git times out.
        """
        env = await self._environment()
        found = await self._verify(mirror, "verify-commit", commit, env, "the commit")
        problems = [found.problem]
        for name, tag in sorted(tags.items())[:MOST_TAGS]:
            if found.by:
                return found
            if await _is_tag_of(mirror, tag, name, commit):
                found = await self._verify(mirror, "verify-tag", tag, env, f"tag {name}")
                problems.append(found.problem)
        return found if found.by else Signature(problem="; ".join(problems))

    async def _verify(self, mirror: Mirror, how: str, name: str, env: Mapping[str, str], on: str) -> Signature:
        """Verify one object with git. Only a clearly good signature counts."""
        where = f"--git-dir={mirror.path}"
        try:
            output = await run_git(where, how, "--raw", name, env=env, timeout=self._within, words=True)
        except GitTimeout:
            raise
        except GitFailed as problem:
            return Signature(problem=f"{on} {self._explained(problem.words)}")
        words = output.decode("utf-8", errors="replace")
        by = ssh_signer(words) or await self._owner(valid_key(words))
        return Signature(by, on) if by else Signature(problem=f"{on} {self._explained(words)}")

    async def _owner(self, key: str) -> str:
        """Return the name of an OpenPGP key's owner; empty if unknown."""
        for name, signer in self._counting():
            if key and signer.gpg is not None and key in await self._fingerprints(signer.gpg.file):
                return name
        return ""

    def _counting(self) -> Iterator[tuple[str, Signer]]:
        """Return the signers whose keys are valid today.

        ssh-keygen only checks the time that the commit claims, and the holder of an old key can claim any time.
        """
        today = dt.datetime.fromtimestamp(time.time(), dt.UTC).date()
        return ((name, signer) for name, signer in self._signers.items() if signer.counts_on(today))

    async def _environment(self) -> dict[str, str]:
        """Return git's environment for verifying. A program without keys is disabled."""
        async with self._making:
            allowed = await asyncio.to_thread(self._allowed_signers)
            ring = await self._key_ring()
        return environment(
            self._folder,
            ("gpg.format", "ssh"),
            ("gpg.ssh.allowedSignersFile", str(allowed)),
            ("gpg.ssh.revocationFile", ""),
            ("gpg.ssh.program", "ssh-keygen"),
            ("gpg.program", "gpg" if ring else os.devnull),
            ("gpg.openpgp.program", "gpg" if ring else os.devnull),
            ("gpg.x509.program", os.devnull),
            GNUPGHOME=str(ring or self._folder / "no-keys"),
        )

    def _allowed_signers(self) -> Path:
        """Write the list that ssh-keygen reads (ssh-keygen(1), ALLOWED SIGNERS), named by its content."""
        lines = [_allowed_line(name, signer, key) for name, signer in self._counting() for key in signer.ssh]
        text = "".join(lines)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"allowed-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        draft = path.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(path)
        return path

    async def _key_ring(self) -> Path | None:
        """Create gpg's folder with the keys that are valid today. Return None if there are no such keys."""
        listed = [signer.gpg.file for _, signer in self._counting() if signer.gpg is not None]
        if not listed:
            return None
        contents = [await asyncio.to_thread(_keys_in, file) for file in listed]
        ring = self._folder / f"gnupg-{hashlib.sha256(b''.join(contents)).hexdigest()[:12]}"
        if not ring.exists():
            # An import would start an agent. A key ring is only its keys in sequence.
            keys = [await self._gpg("--dearmor", stdin=content) for content in contents]
            draft = await asyncio.to_thread(_drafted, ring, b"".join(keys))
            draft.rename(ring)
        return ring

    async def _fingerprints(self, file: Path) -> frozenset[str]:
        """Return the primary keys of a file (doc/DETAILS of GnuPG, `--with-colons`)."""
        content = await asyncio.to_thread(_keys_in, file)
        output = (await self._gpg("--with-colons", "--show-keys", stdin=content)).decode(errors="replace")
        found, primary = set(), False
        for fields in (line.split(":") for line in lines(output)):
            if fields[0] == "fpr" and primary:
                found.add(fields[9])
            primary = fields[0] == "pub"
        return frozenset(found)

    async def _gpg(self, *argv: str, stdin: bytes) -> bytes:
        env = environment(self._folder, GNUPGHOME=str(self._folder))
        flags = ("--no-options", "--no-autostart", "--batch", "--no-default-keyring")
        return await run("gpg", *flags, *argv, env=env, timeout=self._within, stdin=stdin)

    def _explained(self, words: str) -> str:
        """Explain why an object has no good signature."""
        if words.strip() in _UNSIGNED:
            return "has no signature"
        if missing := _MISSING.search(words):
            return f"has a signature that cannot be checked: {missing[1]} is not installed on deploybot's machine"
        if _TAMPERED.search(words):
            return "has a signature that does not match: it was changed, or the signature was copied"
        key = _SSH_KEY.search(words) or _GPG_KEY.search(words)
        if key is None:
            return f"has no valid signature: {_last_line(words)}"
        for name, signer in self._signers.items():
            if key[1] in map(fingerprint, signer.ssh):
                return f"is signed by {name}, whose key is not valid {_when(signer)}"
        return f"is signed with a key that bot.toml does not list, {key[1]}"


def _keys_in(file: Path) -> bytes:
    """Read a file of public keys. Raises UserError if it is unreadable or others could have changed it."""
    try:
        return trusted_files.read(file)
    except trusted_files.UnsafeFileError as problem:
        raise UserError(f"Signatures cannot be checked: {problem}.") from None
    except OSError as problem:
        raise UserError(f"Signatures cannot be checked: {file} cannot be read: {problem.strerror}.") from None


def ssh_signer(words: str) -> str:
    """Return the name in the list of signers that ssh-keygen matched; empty for none."""
    matches = filter(None, map(_SSH_GOOD.fullmatch, lines(words)))
    return next((match[1] for match in matches), "")


def valid_key(words: str) -> str:
    """Return the primary key of gpg's only good signature; empty for none (doc/DETAILS of GnuPG, status lines)."""
    status = [line.removeprefix(_GPG_STATUS).split() for line in lines(words) if line.startswith(_GPG_STATUS)]
    kinds = [line[0] for line in status if line]
    valid = [line[-1] for line in status if line and line[0] == "VALIDSIG"]
    is_good = kinds.count("GOODSIG") == len(valid) == 1 and not _GPG_BAD & set(kinds)
    return valid[0] if is_good else ""


def fingerprint(key: str) -> str:
    """Return the SHA-256 of a public SSH key, as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _allowed_line(name: str, signer: Signer, key: str) -> str:
    options = ['namespaces="git"']
    if signer.since:
        options.append(f'valid-after="{signer.since:%Y%m%d}Z"')
    if signer.until:
        options.append(f'valid-before="{signer.until + dt.timedelta(days=1):%Y%m%d}Z"')
    return f"{name} {','.join(options)} {key}\n"


def _when(signer: Signer) -> str:
    ends = ((f"before {signer.since}" if signer.since else ""), (f"after {signer.until}" if signer.until else ""))
    return " and ".join(filter(None, ends)) or "now"


async def _is_tag_of(mirror: Mirror, tag: str, name: str, commit: str) -> bool:
    """Return whether an annotated tag names this commit and this tag name: refs can be renamed, its text can't."""
    try:
        output = await mirror.git("cat-file", "tag", tag)
    except GitFailed:
        return False  # a lightweight tag is not a tag object
    head = lines(output.partition(b"\n\n")[0].decode("utf-8", errors="replace"))
    return {f"object {commit}", "type commit", f"tag {name}"} <= set(head[:3])


def _drafted(ring: Path, keys: bytes) -> Path:
    draft = ring.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    (draft / "gpg.conf").write_text(_GPG_CONF)
    (draft / "pubring.gpg").write_bytes(keys)
    return draft


def _last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return "".join(char if char.isprintable() else " " for char in (lines or ["no reason given"])[-1])[:_MOST_WORDS]
