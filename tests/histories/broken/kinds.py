"""The ways in which a release breaks off: what its Compose file holds, and what has to be prepared on the server."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.histories.server import HandServer

Values = Mapping[str, Any]
_IDLE = ["sh", "-c", 'trap "exit 0" TERM; while :; do sleep 5 & wait; done']


class Trouble(enum.StrEnum):
    """What happens to the Engine in the middle of `up`."""

    NONE = ""
    KILLED = "killed"
    STOPPED = "stopped"
    AWAY = "away"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """One way: keys of the broken service and of the whole file; `{port}` and `{name}` become the case's own."""

    name: str
    service: Values = field(default_factory=dict)
    top: Values = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[HandServer, str, int], None] | None = None
    trouble: Trouble = Trouble.NONE


def _take_name(server: HandServer, name: str, port: int) -> None:
    del port
    server.engine.docker("run", "--detach", "--name", f"{name}-taken", "lab/busybox", *_IDLE)


def _take_port(server: HandServer, name: str, port: int) -> None:
    server.engine.docker(
        "run", "--detach", "--name", f"{name}-port", "--publish", f"{port}:8000", "lab/busybox", *_IDLE
    )


def _listen(server: HandServer, name: str, port: int) -> None:
    log = server.engine.box.directory / f"{name}.log"
    server.engine.box.serve("busybox", "httpd", "-f", "-p", str(port), "-h", "/run", log=log)


def _bind(source: str, target: str, **more: Any) -> Values:  # noqa: ANN401 - keys of Compose
    return {"volumes": [{"type": "bind", "source": source, "target": target, **more}]}


BREAKAGES = (
    Breakage(
        name="secret file missing",
        service={"secrets": ["pw"]},
        top={"secrets": {"pw": {"file": "./missing.txt"}}},
    ),
    Breakage(
        name="config file missing",
        service={"configs": ["conf"]},
        top={"configs": {"conf": {"file": "./missing.conf"}}},
    ),
    Breakage(name="env_file missing", service={"env_file": ["missing.env"]}),
    Breakage(name="variable missing", service={"environment": {"NEEDED": "${NEVER_SET:?it is needed}"}}),
    Breakage(name="container_name taken", service={"container_name": "{name}-taken"}, prepare=_take_name),
    Breakage(name="port taken by a container", service={"ports": ["{port}:8000"]}, prepare=_take_port),
    Breakage(name="port taken by a process", service={"ports": ["{port}:8000"]}, prepare=_listen),
    Breakage(name="device missing", service={"devices": ["/dev/nothing"]}),
    Breakage(name="image missing", service={"image": "127.0.0.1:9/nothing:1", "build": None}),
    Breakage(
        name="bind source missing",
        service=_bind("./missing", "/missing", bind={"create_host_path": False}),
    ),
    Breakage(name="bind source missing, absolute", service=_bind("/srv/missing", "/missing")),
    Breakage(name="file mounted over a folder", service=_bind("./Dockerfile", "/tmp")),
    Breakage(
        name="external network missing",
        service={"networks": ["default", "gone"]},
        top={"networks": {"gone": {"external": True, "name": "{name}-gone"}}},
    ),
    Breakage(
        name="external volume missing",
        service={"volumes": ["gone:/gone"]},
        top={"volumes": {"gone": {"external": True, "name": "{name}-gone"}}},
    ),
    Breakage(name="entrypoint missing", service={"entrypoint": ["/no/such/program"]}),
    Breakage(name="user unknown", service={"user": "nobody-at-all"}),
    Breakage(name="memory limit too small", service={"mem_limit": "1m"}),
    Breakage(name="sysctl unknown", service={"sysctls": {"kernel.nothing": "1"}}),
    Breakage(name="address outside of the network", service={"networks": {"default": {"ipv4_address": "10.99.9.9"}}}),
    Breakage(
        name="volume driver missing",
        service={"volumes": ["odd:/odd"]},
        top={"volumes": {"odd": {"driver": "nothing"}}},
    ),
    Breakage(name="log driver missing", service={"logging": {"driver": "nothing"}}),
    Breakage(name="runtime missing", service={"runtime": "nothing"}),
    Breakage(name="capability unknown", service={"cap_add": ["NOTHING"]}),
    Breakage(name="limit of files too high", service={"ulimits": {"nofile": {"soft": 1 << 40, "hard": 1 << 40}}}),
    Breakage(
        name="two mounts at one place",
        service={"volumes": ["one:/same", "two:/same"]},
        top={"volumes": {"one": {}, "two": {}}},
    ),
    Breakage(name="ends at once", service={"command": ["sh", "-c", "echo no such table; exit 3"]}),
    Breakage(
        name="ends again and again",
        service={"command": ["sh", "-c", "sleep 0.3; exit 3"], "restart": "always"},
    ),
    Breakage(
        name="never healthy",
        service={"healthcheck": {"test": ["CMD", "false"], "interval": "0.5s", "timeout": "2s", "retries": 2}},
    ),
    Breakage(
        name="does not build",
        service={"build": "./broken"},
        files={"broken/Dockerfile": "FROM lab/busybox\nRUN exit 7\n"},
    ),
    Breakage(name="Engine killed", trouble=Trouble.KILLED),
    Breakage(name="Engine restarted", trouble=Trouble.STOPPED),
    Breakage(name="Engine away for some seconds", trouble=Trouble.AWAY),
    Breakage(name="disk full", trouble=Trouble.FULL),
)
