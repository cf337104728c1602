"""The script that finds the images of a release tells one that is gone from a Docker that does not answer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab import Engine
from tests.strategies.conftest import SCRIPTS

GONE = 3
ABSENT = "sha256:" + "0" * 64


def find(directory: Path, host: str, image: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "DOCKER_HOST": host,
        "DEPLOYBOT_DIRECTORY": str(directory),
        "DEPLOYBOT_RELEASE": "",
        "DEPLOYBOT_IMAGES": f"web {image} - deploybot/shop/web:found",
    }
    script = str(SCRIPTS / "compose_images.sh")
    return subprocess.run(["dash", script], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_an_image_that_docker_does_not_have_is_gone(engine: Engine, tmp_path: Path) -> None:
    done = find(tmp_path, engine.url, ABSENT)
    assert (done.returncode, "not on this server any more" in done.stderr) == (GONE, True)


def test_a_docker_that_does_not_answer_says_nothing_of_images(tmp_path: Path) -> None:
    done = find(tmp_path, f"unix://{tmp_path}/nothing.sock", ABSENT)
    assert (done.returncode, "cannot be found or pulled now" in done.stderr) == (1, True)


@pytest.fixture
def busybox(engine: Engine) -> str:
    return engine.docker("image", "inspect", "--format", "{{.Id}}", "lab/busybox").strip()


def test_an_image_that_is_there_gets_the_tag(engine: Engine, tmp_path: Path, busybox: str) -> None:
    assert find(tmp_path, engine.url, busybox).returncode == 0
    assert engine.docker("image", "inspect", "--format", "{{.Id}}", "deploybot/shop/web:found").strip() == busybox
