"""The demo's web application: `python3 app.py PORT FOLDER`. A page, its health, and prices in SQLite.

FOLDER outlives releases: it holds the database, the log, and the number of the process that serves.
"""

# ruff: noqa: INP001  a file of the shop's repository, and no module of deploybot
from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, TextIO

HERE = Path(__file__).parent
RELEASE = (HERE / "RELEASE").read_text().strip()
LEAKS = (HERE / "leaks").exists()
MOST = 4


def say(text: str) -> None:
    """Write a line to the log."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stdout.write(f"{at} {RELEASE} {text}\n")
    sys.stdout.flush()


def migrate(database: Path) -> str:
    """Run the migrations that the database has not had; why that failed, or nothing."""
    with closing(sqlite3.connect(database)) as prices:
        (done,) = prices.execute("PRAGMA user_version").fetchone()
        for number, file in enumerate(sorted((HERE / "migrations").glob("*.sql")), start=1):
            if number <= done:
                continue
            try:
                prices.executescript(f"{file.read_text()}\nPRAGMA user_version = {number};")
            except sqlite3.Error as error:
                return f"{file.name}: {error}"
            say(f"migrated: {file.name}")
    return ""


class Shop(BaseHTTPRequestHandler):
    """Answers `/` with the release and `/healthz` with the state of the database."""

    trouble = ""
    connections: ClassVar[list[sqlite3.Connection]] = []

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/healthz":
            trouble = self.trouble or self._connect()
            self._answer(500 if trouble else 200, trouble or "well")
        elif self.path == "/":
            self._answer(200, f"shop {RELEASE}")
        else:
            self._answer(404, "there is no such page")

    def _connect(self) -> str:
        """Open a connection to the database, for a check that forgets to close it; why that failed, or nothing."""
        if not LEAKS:
            return ""
        if len(self.connections) == MOST:
            return f"all {MOST} connections to the database are open"
        self.connections.append(sqlite3.connect(":memory:", check_same_thread=False))
        return ""

    def _answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say what was asked and answered."""
        del size
        say(f"{self.command} {self.path} {code}")


def take_over(folder: Path) -> TextIO:
    """Wait until the shop before this one has ended; what is given holds the lock."""
    file = (folder / "shop.pid").open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def open_shop(port: int, folder: Path) -> ThreadingHTTPServer:
    """Listen, and have the database ready or know why it is not."""
    server = ThreadingHTTPServer((os.environ.get("SHOP_HOST", "127.0.0.1"), port), Shop)
    say(f"the shop opens on port {port}; its payment key is {os.environ.get('PAYMENT_KEY', 'not set')}")
    Shop.trouble = migrate(folder / "shop.db")
    if Shop.trouble:
        say(f"a migration failed: {Shop.trouble}")
    return server


def main(port: str, folder: str) -> None:
    """Serve in the background until TERM; returns when the shop is open."""
    home = Path(folder)
    with take_over(home) as lock:
        sys.stdout.write(f"{RELEASE} takes port {port}\n")
        sys.stdout.flush()
        log = os.open(home / "shop.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        server = open_shop(int(port), home)
        child = os.fork()
        if child == 0:
            os.setsid()
            server.serve_forever()
        lock.truncate(0)
        lock.write(f"{child}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
