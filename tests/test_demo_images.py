"""The demo's images: a registry of its own, a program for this machine, and a scene that is left out without Docker."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from deploybot.demo.demo_images import image_app, promoted
from deploybot.demo.demo_registry import DemoRegistry, runs_here
from deploybot.demo.demo_setup import DemoSetup
from deploybot.demo.demo_transcript import DemoTranscript

pytestmark = pytest.mark.skipif(not runs_here(), reason="the demo's images have no program for this processor")


def ask(registry: DemoRegistry, path: str, method: str = "GET") -> tuple[bytes, str]:
    request = Request(f"http://{registry.address}/v2/poster/{path}", method=method)
    with urlopen(request, timeout=5) as answer:  # noqa: S310 - http, and made here
        return answer.read(), answer.headers["Docker-Content-Digest"]


def test_a_tag_moves_and_the_old_image_is_still_there_by_digest() -> None:
    registry = DemoRegistry()
    with registry.serving():
        registry.push("spring")
        first, digest = ask(registry, "manifests/stable")
        assert ask(registry, "manifests/stable", "HEAD") == (b"", digest)
        registry.push("summer")
        assert ask(registry, "manifests/stable")[1] != digest
        assert ask(registry, f"manifests/{digest}") == (first, digest)
        manifest = json.loads(first)
        described = json.loads(ask(registry, f"blobs/{manifest['config']['digest']}")[0])
        assert described["config"]["Labels"]["org.opencontainers.image.version"] == "spring"


def test_the_program_of_an_image_waits(tmp_path: Path) -> None:
    registry = DemoRegistry()
    with registry.serving():
        registry.push("spring")
        (layer,) = json.loads(ask(registry, "manifests/stable")[0])["layers"]
        packed, digest = ask(registry, f"blobs/{layer['digest']}")
    assert digest == layer["digest"]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as files:
        files.extract("waits", tmp_path, filter="data")
    with subprocess.Popen([tmp_path / "waits"]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()
        assert process.wait(10) == -9


async def test_without_docker_the_scene_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    town = DemoSetup(folder=tmp_path, ports={}, payment_key="pay_1234")
    out = io.StringIO()
    stage = DemoTranscript(town, out)
    async with image_app(town) as scene:
        await promoted(stage, scene)
    assert f"This scene is left out: it needs Docker at unix://{tmp_path}/docker.sock" in out.getvalue()
    assert (stage.right, stage.wrong, town.config.exists()) == (0, [], False)
