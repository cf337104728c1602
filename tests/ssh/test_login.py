"""Who the bot talks to and how it proves itself: pinned keys, configured ways in, and nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from deploybot.errors import HostKeyMismatch, Unreachable
from deploybot.settings import FileRef, Secret, Server
from deploybot.ssh.ssh_pool import Pool, fetch_host_key
from tests.conftest import MakeSshd
from tests.lab import Access, Proxy, Sshd, until
from tests.ssh.conftest import Reach, server_of

PASSWORD = "correct horse battery staple"


def secret(value: str) -> Secret:
    made = Secret(env="NAME")
    made.fill(value)
    return made


def other_key(kind: str = "ssh-ed25519") -> str:
    return asyncssh.generate_private_key(kind).export_public_key().decode().strip()


def fingerprint(line: str) -> str:
    return asyncssh.import_public_key(line).get_fingerprint()


async def refused(reach: Reach, *servers: Server) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        await reach(*servers).facts()
    return caught.value


class Sent:
    """What a server's log tells of logins since this was made."""

    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd
        self._before = len(sshd.log)

    def __len__(self) -> int:
        return len(re.findall(r"^(?:Accepted|Starting session|Failed)", self._sshd.log[self._before :], re.MULTILINE))


async def test_a_server_with_no_pinned_key_is_not_even_connected_to(sshd: Sshd, reach: Reach) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        unpinned = server_of(sshd, ssh=f"{sshd.user}@{proxy.address}:{proxy.port}", host_key=())
        problem = await refused(reach, unpinned)
        assert problem.why == "no host key is pinned, so nothing was sent"
        assert problem.hint == "Run `deploybot trust web1` and compare the fingerprint."
        assert proxy.connections == 0


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_another_key_than_the_pinned_one_ends_it_before_anything_is_sent(
    sshd: Sshd, reach: Reach, kind: str
) -> None:
    wrong, sent = other_key(kind), Sent(sshd)
    problem = await refused(reach, server_of(sshd, host_key=(wrong,)))
    assert isinstance(problem, HostKeyMismatch)
    assert fingerprint(wrong) in problem.why
    assert fingerprint(sshd.host_key) in problem.why
    assert "deploybot trust web1" in problem.hint
    assert len(sent) == 0


async def test_a_key_that_changes_while_the_bot_runs_is_noticed_at_the_next_connection(
    make_sshd: MakeSshd, reach: Reach
) -> None:
    first, second = make_sshd(), make_sshd()
    host = reach(server_of(first))
    await host.facts()
    first.stop()
    config = first.box.directory / "ssh/config"
    config.write_text(config.read_text().replace(f"{first.box.directory}/ssh/host", f"{second.box.directory}/ssh/host"))
    first.start()
    sent = Sent(first)
    with pytest.raises(HostKeyMismatch):
        await until_reconnected(host)
    assert len(sent) == 0


async def until_reconnected(host: object) -> None:
    for _ in range(20):
        try:
            await host.facts()  # type: ignore[attr-defined]
        except HostKeyMismatch:
            raise
        except Unreachable:
            await asyncio.sleep(0.05)


async def test_one_of_several_pinned_keys_is_enough(sshd: Sshd, reach: Reach) -> None:
    await reach(server_of(sshd, host_key=(other_key("ssh-rsa"), other_key(), sshd.host_key))).facts()


async def test_the_key_of_a_server_is_fetched_and_nobody_logs_in(sshd: Sshd) -> None:
    sent = Sent(sshd)
    line, shown = await fetch_host_key(server_of(sshd, host_key=()))
    assert line == " ".join(sshd.host_key.split()[:2])
    assert shown == fingerprint(sshd.host_key)
    assert len(sent) == 0


async def test_the_key_of_a_server_behind_another(make_sshd: MakeSshd, sshd: Sshd, pools: list[Pool]) -> None:
    inner = make_sshd()
    pool = Pool({"inner": server_of(inner, "inner", jump="web1", host_key=()), "web1": server_of(sshd)})
    pools.append(pool)
    assert (await pool.host_key("inner"))[1] == fingerprint(inner.host_key)


def locked(key: Path, copy: Path, passphrase: str) -> Path:
    shutil.copy(key, copy)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-f", str(copy)], check=True)
    return copy


async def test_a_key_with_a_passphrase(sshd: Sshd, reach: Reach, tmp_path: Path) -> None:
    key = locked(sshd.client_key, tmp_path / "key", "sesame")
    right = server_of(sshd, key=FileRef(file=key), passphrase=secret("sesame"))
    assert (await reach(right).facts()).user == sshd.user
    wrong = await refused(reach, server_of(sshd, key=FileRef(file=key), passphrase=secret("simsim")))
    assert wrong.why == "its key file cannot be opened: the passphrase is wrong"
    none = await refused(reach, server_of(sshd, key=FileRef(file=key)))
    assert "passphrase" in none.hint
    assert "simsim" not in repr((wrong, wrong.hint, none, none.hint))


async def test_a_certificate(make_sshd: MakeSshd, reach: Reach) -> None:
    server = make_sshd(access=Access(certificate=True))
    given = server_of(server, certificate=FileRef(file=server.certificate))
    assert (await reach(given).facts()).user == server.user
    problem = await refused(reach, server_of(server))
    assert problem.why == f"the login as {server.user} was refused"


async def test_a_password(make_sshd: MakeSshd, reach: Reach) -> None:
    server = make_sshd(access=Access(password=PASSWORD))
    assert (await reach(server_of(server, password=secret(PASSWORD))).facts()).user == server.user
    problem = await refused(reach, server_of(server, password=secret("incorrect horse")))
    assert problem.why == f"the login as {server.user} was refused"
    assert "PasswordAuthentication" in problem.hint
    assert "horse" not in repr((problem, problem.hint, problem.__cause__))


@pytest.fixture
def agent(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    add = ["ssh-add", "-q", str(sshd.client_key)]

    def has_key() -> bool:
        # Its socket is there a moment before it listens.
        return path.exists() and subprocess.run(add, check=False, capture_output=True).returncode == 0

    try:
        until(lambda: has_key() or process.poll() is not None, within=20, what="an ssh-agent with the key")
        assert process.poll() is None
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@pytest.mark.usefixtures("agent")
async def test_an_agent_only_where_bot_toml_says_so(sshd: Sshd, reach: Reach, tmp_path: Path) -> None:
    assert (await reach(server_of(sshd, agent=True)).facts()).user == sshd.user
    strange = tmp_path / "strange"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(strange)
    strange.chmod(0o600)
    problem = await refused(reach, server_of(sshd, key=FileRef(file=strange)))
    assert problem.why == f"the login as {sshd.user} was refused"
    assert "authorized_keys" in problem.hint


async def test_an_agent_that_is_not_there(sshd: Sshd, reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    problem = await refused(reach, server_of(sshd, agent=True))
    assert problem.why == "agent = true, but no SSH agent runs here"
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere/agent")
    assert "No such file" in (await refused(reach, server_of(sshd, agent=True))).why


def test_nothing_of_the_users_own_ssh_counts(sshd: Sshd, tmp_path: Path) -> None:
    """A home with a config, default keys and a known_hosts that would all change what happens."""
    home = tmp_path / "home"
    ssh = home / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "config").write_text(f"Host *\n  ProxyCommand touch {home}/canary\n  User nobody\n  Port 1\n")
    (ssh / "id_ed25519").write_bytes(sshd.client_key.read_bytes())
    (ssh / "known_hosts").write_text(f"{sshd.address} {sshd.host_key}\n")
    strange = tmp_path / "strange"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(strange)
    tried = [
        server_of(sshd),
        server_of(sshd, key=FileRef(file=strange)),
        server_of(sshd, host_key=()),
        server_of(sshd, host_key=(other_key(),)),
    ]
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", _TRY, *(server.model_dump_json() for server in tried)],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.stderr == ""
    assert told.stdout.split() == ["ok", "Unreachable", "Unreachable", "HostKeyMismatch", "key"]
    assert not (home / "canary").exists()


_TRY = """
import asyncio, sys
from deploybot.errors import DeploybotError
from deploybot.ssh.ssh_host import SshHost
from deploybot.ssh.ssh_pool import Pool, fetch_host_key
from deploybot.settings import Server

async def main():
    for text in sys.argv[1:]:
        server = Server.model_validate_json(text)
        pool = Pool({server.name: server})
        try:
            await SshHost(server.name, pool).facts()
            print("ok")
        except DeploybotError as problem:
            print(type(problem).__name__)
        await pool.close()
    print("key" if await fetch_host_key(server) else "")

asyncio.run(main())
"""


async def test_a_server_behind_another(make_sshd: MakeSshd, sshd: Sshd, reach: Reach) -> None:
    inner = make_sshd()
    before = sshd.log
    host = reach(server_of(inner, "inner", jump="web1"), server_of(sshd))
    assert (await host.facts()).server == "inner"
    assert sshd.log[len(before) :].count("Accepted publickey") == 1
    assert f"Accepted publickey for deploy from {sshd.address}" in inner.log


async def test_what_is_wrong_with_the_way_behind_another_is_reported(
    make_sshd: MakeSshd, sshd: Sshd, reach: Reach
) -> None:
    closed = server_of(sshd, "inner", jump="web1", ssh=f"deploy@{sshd.address}:9")
    problem = await refused(reach, closed, server_of(sshd))
    assert problem.why == f"web1 cannot reach {sshd.address} port 9: Connection refused"
    forbids = make_sshd(access=Access(lines=("AllowTcpForwarding no",)))
    problem = await refused(reach, server_of(sshd, "inner", jump="gate"), server_of(forbids, "gate"))
    assert problem.what == "inner"
    assert "AllowTcpForwarding" in problem.hint
    problem = await refused(reach, server_of(sshd, "inner", jump="gate"), server_of(sshd, "gate", host_key=()))
    assert (problem.what, problem.why) == ("gate", "no host key is pinned, so nothing was sent")


async def test_plain_words_for_what_goes_wrong(sshd: Sshd, reach: Reach, tmp_path: Path) -> None:
    at = f"{sshd.address} port 9"
    assert (await refused(reach, server_of(sshd, ssh=f"deploy@{sshd.address}:9"))).why == f"{at} refuses connections"
    name = await refused(reach, server_of(sshd, ssh="deploy@no-such-host.invalid"))
    assert name.why == "the host name no-such-host.invalid is unknown"
    nobody = await refused(reach, server_of(sshd, ssh=f"nobody@{sshd.address}"))
    assert nobody.why == "the login as nobody was refused"
    missing = await refused(reach, server_of(sshd, key=FileRef(file=tmp_path / "missing")))
    assert missing.why == f"{tmp_path}/missing: No such file or directory"
    broken = tmp_path / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    broken.chmod(0o600)
    bad = await refused(reach, server_of(sshd, key=FileRef(file=broken)))
    assert bad.why == "its key or certificate file cannot be read"


async def test_keys_and_certificates_are_looked_at_again_at_each_login(
    sshd: Sshd, make_sshd: MakeSshd, reach: Reach, tmp_path: Path
) -> None:
    """What was right when bot.toml was read may be open to others by now."""
    key = tmp_path / "key"
    key.write_bytes(sshd.client_key.read_bytes())
    key.chmod(0o600)
    assert (await reach(server_of(sshd, key=FileRef(file=key))).facts()).user == sshd.user
    key.chmod(0o640)
    problem = await refused(reach, server_of(sshd, key=FileRef(file=key)))
    assert problem.why.startswith(f"others can read {key} (owner")
    assert problem.hint == "It is a file of servers.web1 in bot.toml."
    certified = make_sshd(access=Access(certificate=True))
    certificate = tmp_path / "key-cert.pub"
    certificate.write_bytes(certified.certificate.read_bytes())
    certificate.chmod(0o664)
    problem = await refused(reach, server_of(certified, certificate=FileRef(file=certificate)))
    assert problem.why.startswith(f"its group may write to {certificate} (owner")


async def test_a_server_that_does_not_answer_costs_its_deadline_and_no_more(sshd: Sshd, reach: Reach) -> None:
    sshd.pause()
    host = reach(server_of(sshd, connect_timeout=0.5))
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(host.facts() for _ in range(20)), return_exceptions=True)
    assert asyncio.get_running_loop().time() - began < 8  # one after the other they would take 10
    assert {str(answer) for answer in answers} == {
        f"web1 cannot be reached: no answer from {sshd.address} port 22 within 0.5 s"
    }


async def test_something_else_than_sshd(reach: Reach, sshd: Sshd) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(b"220 mail.example.com ESMTP\r\n" * 2000)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        problem = await refused(reach, server_of(sshd, ssh=f"deploy@127.0.0.1:{port}"))
    assert "127.0.0.1" in problem.why
    assert problem.hint
