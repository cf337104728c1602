"""Where a health command runs, and which Compose files a plain `docker compose` means there."""

from __future__ import annotations

import pytest

from tests.strategies.compose.conftest import Host, write

SHOW = 'pwd; printf "%s\\n" "${COMPOSE_FILE-none}" "${COMPOSE_ENV_FILES-none}"'


def shown(host: Host, release: str, **more: str) -> list[str]:
    said = host.run("health_command", release, DEPLOYBOT_HEALTH=SHOW, DEPLOYBOT_WITHIN="0", **more)
    return said.decode().splitlines()


@pytest.mark.parametrize("switched", [False, True])
def test_what_ran_before_the_bot_came_is_checked_where_it_was_started(host: Host, switched: bool) -> None:
    checkout = write(host.directory.parent / "checkout", {"compose.yaml": "services: {}"})
    failed = host.release("failed", {"compose.yaml": "services: {}"})
    marks = host.directory / ".deploybot/releases"
    write(marks, {"failed/files": "compose.yaml", "before/files": f"{checkout}/compose.yaml"})
    if switched:
        (host.directory / "current").symlink_to("releases/failed")
    before = shown(host, "", DEPLOYBOT_FOLDER=str(checkout), COMPOSE_ENV_FILES="prod.env")
    assert before == [str(checkout), f"{checkout}/compose.yaml", "none"]
    write(checkout, {"prod.env": ""})
    assert shown(host, "", DEPLOYBOT_FOLDER=str(checkout), COMPOSE_ENV_FILES="prod.env")[-1] == "prod.env"
    there = [str(failed), "compose.yaml", "none"] if switched else [str(host.directory), "none", "none"]
    assert shown(host, "failed") == there
