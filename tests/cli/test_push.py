"""`deploybot push`: who may, and what it says. What becomes of the file is in tests/e2e/test_artifacts.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploybot.cli import main

BOT = """
[bot]
data = "data"
[servers.web1]
ssh = "deploy@203.0.113.10"
agent = true
[apps.site]
strategy = "files"
directory = "/srv/site"
artifact = { upload = true }
environments.production.servers = ["web1"]
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    Path("bot.toml").write_text(BOT)
    Path("run").write_text("#!/bin/sh\n")


def _push(*more: str) -> Result:
    return CliRunner().invoke(main, ["push", "run", "--app", "site", *more])


@pytest.mark.needs("root")  # whose bot.toml everybody trusts
def test_another_user_leaves_no_file_that_the_bot_cannot_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("data").mkdir(mode=0o700)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    result = _push("--ref", "1")
    assert result.exit_code == 1
    assert "a file written there by another user would lock the bot out" in result.output
    assert [*Path("data").iterdir()] == []
    monkeypatch.undo()


def test_a_file_with_a_name_that_is_none_is_refused_in_a_sentence() -> None:
    odd = Path(os.fsdecode(b"run\xff"))
    odd.write_text("#!/bin/sh\n")
    result = CliRunner().invoke(main, ["push", str(odd), "--app", "site"])
    assert result.exit_code == 1
    assert "An artifact needs the name of a file" in result.output


def test_a_file_is_kept_and_a_ref_never_means_another_one() -> None:
    result = _push("--ref", "1")
    assert result.exit_code == 0, result.output
    assert "Deploy it: deploy site@1" in result.output
    Path("run").write_text("#!/bin/sh\nexit 1\n")
    result = _push("--ref", "1")
    assert result.exit_code == 1
    assert "`1` is already the artifact with the SHA-256" in result.output
