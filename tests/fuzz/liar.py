"""Changes answers: sshd runs it in place of every command, and as `liar.py engine` it stands before a Docker Engine.

It runs on the server, with the standard library alone. In its folder lie `rate` (the share of answers that it changes),
`seed`, and `answers`, which grows by a byte with each one that it has changed.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK = 65_536
JUNK = (
    b'[{"Nope":1}]',
    b"null",
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b"[" + b"{}," * 300_000 + b"{}]",
    b'{"Version": ["1"], "ApiVersion": {"x": 1}}',
    b'[{"Id": "\\ud800"}]',
    b"NaN",
    b"<html><body>502 Bad Gateway</body></html>",
    b"Please login as the user ubuntu rather than the user root.\n",
    b"deploybot/1 running -1 999999999999999 0\n\ndeploybot/1 end\n",
    b"deploybot/1 done 0 0 0\n\ndeploybot/1 end\n",
    b"deploybot/1 strange -1 -1 -1 \n\ndeploybot/1 end\n",
    b"\0" * 300_000,
    b"\0uid=" + b"9" * 5_000 + b"\0end=end\0",
    b"",
)
NUMBERS = (b"9" * 5_000, b"-1", b"NaN", b"1e999", b"0", b"18446744073709551616", b'"7"', b"[]")
WORDS = (b"null", b"running", b"\xff\xfe", b"x" * 20_000, b"", b"\x1b[2J", b"\\ud800")
_LONGEST = 48 << 20


def cut(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """End in the middle."""
    del earlier
    first = next(chunks, b"")
    yield first[: dice.randrange(len(first) + 1)]


def inflate(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Put megabytes between two bytes."""
    del earlier
    first = next(chunks, b"")
    at = dice.randrange(len(first) + 1)
    piece = dice.choice((b"x", b"\n", b"\0", b" ", b"[", b"1\r\n \r\n", b"X: y\r\n")) * 30_000
    yield first[:at]
    for _ in range(dice.choice((1 << 20, _LONGEST)) // len(piece)):
        yield piece
    yield first[at:]
    yield from chunks


def repeat(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Say it again and again."""
    del earlier
    first = next(chunks, b"")
    for _ in range(dice.randrange(2, 50)):
        yield first
    yield from chunks


def mix(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Put a piece of another answer into it."""
    first = next(chunks, b"")
    at = dice.randrange(len(first) + 1)
    yield first[:at] + earlier[dice.randrange(len(earlier) + 1) :] + first[at:]
    yield from chunks


def delay(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Say it late, and once in a while too late for anybody."""
    del earlier
    time.sleep(30 if dice.random() < 0.1 else dice.random() * 2)  # the delay is what is tried
    yield from chunks


def drip(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Say it byte after byte."""
    del earlier
    pause = dice.choice((0.0, 0.001, 0.05))
    for chunk in chunks:
        for at in range(len(chunk)):
            yield chunk[at : at + 1]
            time.sleep(pause)  # the delay is what is tried


def replace(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Say something else."""
    del chunks
    yield dice.choice((*JUNK, earlier))


def numbers(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Exchange a number for one that is none."""
    del earlier
    yield _exchanged(dice, rb"-?\d+", next(chunks, b""), NUMBERS)
    yield from chunks


def words(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Exchange a word."""
    del earlier
    yield _exchanged(dice, rb"[A-Za-z]{3,}", next(chunks, b""), WORDS)
    yield from chunks


def flip(dice: random.Random, chunks: Iterator[bytes], earlier: bytes) -> Iterator[bytes]:
    """Change a few bytes."""
    del earlier
    first = bytearray(next(chunks, b""))
    for _ in range(min(len(first), 8)):
        first[dice.randrange(len(first))] = dice.randrange(256)
    yield bytes(first)
    yield from chunks


KINDS = (cut, inflate, repeat, mix, delay, drip, replace, numbers, words, flip)


def _exchanged(dice: random.Random, pattern: bytes, text: bytes, by: tuple[bytes, ...]) -> bytes:
    found = list(re.finditer(pattern, text))
    if not found:
        return dice.choice(by)
    one = dice.choice(found)
    return text[: one.start()] + dice.choice(by) + text[one.end() :]


class Liar:
    """Decides by chance which answers are changed, and how."""

    def __init__(self, folder: Path) -> None:
        """Read the folder each time."""
        self._folder = folder

    def told(self, chunks: Iterator[bytes], say: Callable[[bytes], object]) -> None:
        """Say an answer, or what becomes of it."""
        count = self._folder / "answers"
        dice = random.Random(f"{(self._folder / 'seed').read_text()}:{count.stat().st_size}:{os.getpid()}")
        lie = dice.random() < float((self._folder / "rate").read_text())
        with contextlib.suppress(OSError):
            if not lie:
                for chunk in chunks:
                    say(chunk)
                return
            with count.open("ab") as file:
                file.write(b".")
            for chunk in dice.choice(KINDS)(dice, self._kept(chunks), self._earlier()):
                say(chunk)

    def _earlier(self) -> bytes:
        with contextlib.suppress(OSError):
            return (self._folder / "earlier").read_bytes()
        return b""

    def _kept(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same, with the first of them kept for another answer."""
        for at, chunk in enumerate(chunks):
            if at == 0:
                (self._folder / "earlier").write_bytes(chunk)
            yield chunk


def command(liar: Liar) -> None:
    """Run what sshd was asked to run, and change what it says."""
    child = subprocess.Popen(
        ["/bin/sh", "-c", os.environ.get("SSH_ORIGINAL_COMMAND", "")], stdout=subprocess.PIPE, start_new_session=False
    )
    assert child.stdout is not None
    out = child.stdout.fileno()
    liar.told(iter(lambda: os.read(out, CHUNK), b""), _to_stdout)
    os._exit(child.wait() if child.poll() is not None else 0)


def _to_stdout(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def engine(liar: Liar, real: str, false: str) -> None:
    """Listen before an Engine."""
    with contextlib.suppress(FileNotFoundError):
        Path(false).unlink()
    door = socket.socket(socket.AF_UNIX)
    door.bind(false)
    Path(false).chmod(0o666)
    door.listen(64)
    while True:
        client, _ = door.accept()
        threading.Thread(target=_one, args=(liar, client, real), daemon=True).start()


def _one(liar: Liar, client: socket.socket, real: str) -> None:
    """One connection: a request, its answer, and so on. The Engine ends each answer, so that its end is seen."""
    with client, contextlib.suppress(OSError):
        while request := _request(client):
            with socket.socket(socket.AF_UNIX) as behind:
                behind.connect(real)
                behind.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                liar.told(iter(lambda: behind.recv(CHUNK), b""), client.sendall)
            return


def _request(client: socket.socket) -> bytes:
    """A request without a body, as all of the bot's are."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(CHUNK)
        if not more:
            return b""
        data += more
    return b"\r\n".join(line for line in data.split(b"\r\n") if not line.lower().startswith(b"connection:"))


if __name__ == "__main__":
    _folder = Path(__file__).parent
    if sys.argv[1:2] == ["engine"]:
        engine(Liar(_folder), sys.argv[2], sys.argv[3])
    else:
        command(Liar(_folder))
