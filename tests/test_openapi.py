"""docs/openapi.yaml says what the HTTP server answers: every address there is, and all that schemathesis sees."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploybot.chat.slack.oauth_scopes import HOOK
from deploybot.chat.telegram.telegram_connection import PATH
from deploybot.domain import Release
from deploybot.http_server import Handler, Refused, WebServer
from deploybot.part_tables import SENDERS
from deploybot.ports import ArtifactUpload
from deploybot.settings import App
from deploybot.testing import FakeClock, memory_store
from deploybot.webhooks.artifact_receiver import KEYS, ArtifactReceiver
from deploybot.webhooks.hook_addresses import addresses
from deploybot.webhooks.inbox_worker import Inbox
from deploybot.webhooks.receiver import Receiver
from tests.kit.seeds import new_seed
from tests.lab import free_port
from tests.webhooks.process import made_bot
from tests.webhooks.service import SECRET, settings

FILE = Path(__file__).parents[1] / "docs" / "openapi.yaml"
N = int(os.environ.get("N", "10"))
_WITHIN = 600.0


def described() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return tree


class Recording(WebServer):
    """Notes the addresses that are opened."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        super().__init__("127.0.0.1:0", dict)

    def add_get(self, path: str, handler: Handler) -> None:
        self.paths.add(path)
        super().add_get(path, handler)

    def add_upload(self, path: str, handler: Handler) -> None:
        self.paths.add(path)
        super().add_upload(path, handler)

    def add_post(self, path: str, handler: Handler, refused: Refused | None = None) -> None:
        self.paths.add(path)
        super().add_post(path, handler, refused)


class _NoUploads:
    """Takes nothing."""

    async def offset(self, app: App, upload: ArtifactUpload) -> int:
        raise NotImplementedError

    async def receive(self, app: App, upload: ArtifactUpload, offset: int, pieces: AsyncIterator[bytes]) -> int:
        raise NotImplementedError

    async def uploaded(self, app: App, upload: ArtifactUpload) -> Release:
        raise NotImplementedError


def as_described(path: str) -> str:
    """An address in the description's words."""
    path = path.replace("*", "{secret}").replace("/shop/", "/{app}/").replace("/artifacts/shop", "/artifacts/{app}")
    return path if path == "/hooks/dockerhub/{secret}" else re.sub("github|dockerhub|event", "{sender}", path)


async def test_every_address_is_described_and_no_other() -> None:
    server, made = Recording(), settings(["shop"])
    hub = made.apps["shop"].hooks["dockerhub"]
    made = made.model_copy(update={"hooks": {**made.hooks, "dockerhub": hub}})
    async with memory_store() as store:
        receiver = Receiver(store, FakeClock(), Inbox(made, store, FakeClock(), ()), rate=1.0)
        for address in addresses(made):
            receiver.open(server, address)
        for app in made.apps.values():
            ArtifactReceiver(_NoUploads(), FakeClock()).open(server, app, hub.secret)
    opened = {as_described(path) for path in server.paths} | {HOOK, PATH, "/metrics"}
    # The secret's place is there for every sender, and of use to those without a proof alone.
    assert opened - {"/hooks/{sender}/{secret}"} == set(described()["paths"])


def test_the_senders_are_those_that_there_are() -> None:
    assert tuple(described()["components"]["schemas"]["sender"]["enum"]) == SENDERS


def test_uploads_are_described_as_in_their_protocol() -> None:
    tree = described()
    schema = tree["components"]["schemas"]["artifact"]
    assert schema["properties"].keys() == KEYS
    assert KEYS - {*schema["required"]} == {"offset", "ref"}
    item = tree["paths"]["/artifacts/{app}"]
    table = re.findall(r"^\| (\d{3}) \|", (FILE.parent / "artifacts.md").read_text(), re.MULTILINE)
    # What every address of the server answers is not in that table.
    assert {*item["post"]["responses"], *item["head"]["responses"]} - {"404", "417"} == {*table}


@pytest.mark.timeout(_WITHIN + 100)
def test_it_holds_against_schemathesis(tmp_path: Path, figure: Callable[[str], None]) -> None:
    port, seed, tree = free_port(), new_seed(), described()
    parameters = tree["components"]["parameters"]
    parameters["app"]["schema"] = {"enum": ["shop", "site", "nobodys"]}
    parameters["secret"]["schema"] = {"enum": [SECRET, "0123456789abcdef0123456789"]}
    (tmp_path / "openapi.yaml").write_text(yaml.safe_dump(tree))
    with made_bot(tmp_path, port, *SENDERS) as bot:
        done = subprocess.run(
            (
                *(sys.executable, "-m", "schemathesis.cli", "run", str(tmp_path / "openapi.yaml")),
                *("--url", f"http://127.0.0.1:{port}", "--header", f"Authorization: Bearer {SECRET}"),
                *(
                    "--max-examples",
                    str(N),
                    "--seed",
                    str(seed),
                    "--mode",
                    "all",
                    "--phases",
                    "examples,coverage,fuzzing",
                ),
                *("--checks", "not_a_server_error,status_code_conformance,content_type_conformance"),
                *("--checks", "response_schema_conformance,response_headers_conformance"),
            ),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
        bot.idle()
        logged = (bot.folder / "log").read_text()
    assert done.returncode == 0, f"seed {seed}\n{done.stdout[-6000:]}{done.stderr[-2000:]}"
    assert "Traceback" not in logged, f"seed {seed}\n{logged[-4000:]}"
    counted = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert counted, done.stdout[-2000:]
    figure(f"schemathesis: {counted[1]} requests, {counted[2]} of them answered as described, seed {seed}")
