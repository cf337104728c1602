"""What `probe.sh` prints, as facts. Pure."""

from __future__ import annotations

from collections import defaultdict

from deploybot.domain import ServerFacts


def parse(output: bytes) -> dict[str, list[str]] | None:
    """The lines of NAME=VALUE by name; None when not all of them came."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in output.decode("utf-8", "replace").splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name].append(value)
    return found if found.get("end") == ["yes"] else None


def facts(server: str, directory: str, found: dict[str, list[str]]) -> ServerFacts:
    """The facts of a server."""

    def one(name: str) -> str:
        return found[name][-1] if found.get(name) else ""

    def number(name: str) -> int:
        text = one(name)
        return int(text) if text.isascii() and text.isdigit() else -1

    return ServerFacts(
        server=server,
        directory=directory,
        home=one("home"),
        user=one("user"),
        uid=number("uid"),
        system=one("system"),
        boot_id=one("boot_id"),
        disk_free=number("disk_free"),
        disk_total=number("disk_total"),
        memory_available=number("memory_available"),
        git=bool(one("git")),
        tools_missing=tuple(found.get("missing", ())),
        docker=one("docker"),
        compose=tuple(one("compose").split()),
        compose_version=one("compose_version"),
        writable=one("writable") != "no",
        current=one("current"),
        switching=one("switching"),
        releases=tuple(found.get("release", ())),
        have=tuple(dict.fromkeys(found.get("have", ()))),
    )
