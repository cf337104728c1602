"""The Compose file of a case, as JSON, which is YAML, too."""

from __future__ import annotations

import enum
import json
from typing import Any

from tests.histories.broken.kinds import Breakage
from tests.histories.world.shop import SERVE, WORK

WEB = "web"


class Position(enum.StrEnum):
    """Which service is broken: one that comes up before the one that serves, after it, or that one itself."""

    BEFORE = "before"
    AFTER = "after"
    ITSELF = "itself"

    @property
    def service(self) -> str:
        """Its name. Where nothing else decides, Compose goes by the alphabet."""
        return {Position.BEFORE: "api", Position.AFTER: "worker", Position.ITSELF: WEB}[self]


def files_of(
    text: str, port: int, *, position: Position, second: bool, breakage: Breakage | None = None, name: str = ""
) -> dict[str, str | None]:
    """The repository of a release. `second`: it has the other service; `breakage`: what is wrong with it."""
    services = {WEB: _web(port)}
    if second and position is not Position.ITSELF:
        services[position.service] = _other(text)
        depends, on = (WEB, position.service) if position is Position.BEFORE else (position.service, WEB)
        services[depends]["depends_on"] = [on]
    whole: dict[str, Any] = {"services": services, "volumes": {"data": {}}}
    files: dict[str, str | None] = {}
    if breakage:
        _merge(services[position.service], breakage.service)
        _merge(whole, breakage.top)
        files |= breakage.files
    yaml = json.dumps(whole, indent=1).replace("{port}", str(port + 1)).replace("{name}", name)
    return {
        "compose.yaml": yaml,
        "Dockerfile": f"FROM lab/busybox\nLABEL text='{text}'\nCOPY www /www\n",
        "www/index.html": f"{text}\n",
        "www/healthz": "ok\n",
        **files,
    }


def _web(port: int) -> dict[str, Any]:
    return {
        "build": ".",
        "restart": "unless-stopped",
        "command": ["sh", "-c", SERVE],
        "ports": [f"{port}:8000"],
        "volumes": ["data:/data"],
        "healthcheck": {
            "test": ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8000/healthz"],
            "interval": "0.5s",
            "timeout": "5s",
            "retries": 4,
        },
    }


def _other(text: str) -> dict[str, Any]:
    idle = ["sh", "-c", WORK.replace("$", "$$")]
    return {"image": "lab/busybox", "restart": "unless-stopped", "command": idle, "environment": {"VERSION": text}}


def _merge(into: dict[str, Any], more: Any) -> None:  # noqa: ANN401 - keys of Compose
    """Merge keys as one Compose file over another does; None takes a key away."""
    for key, value in more.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, list) and isinstance(into.get(key), list) and key in {"ports", "volumes"}:
            into[key] = [*into[key], *value]
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = {**into[key], **value}
        else:
            into[key] = value
