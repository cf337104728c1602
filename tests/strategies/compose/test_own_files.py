"""Scripts where the Compose files are the server's own: their name, variables of a release, the copy that runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from deploybot.domain import NO_RELEASE
from deploybot.strategies.compose.compose_model import parse_config
from deploybot.strategies.compose.compose_stderr import blank_variables
from deploybot.strategies.release_values import release_values
from tests.strategies.compose.conftest import TWO, Flavour, Host, write

YAML = """{version}
services:
  web:
    image: lab/busybox
    labels: {{release: "${{DEPLOYBOT_RELEASE:-none}}", tag: "${{DEPLOYBOT_TAG}}"}}
"""
SHOW = 'printf "%s\\n" "$COMPOSE_FILE" "${COMPOSE_PROFILES-none}" "${COMPOSE_ENV_FILES-none}"'
DOCKER = """#!/bin/sh
case " $* " in
*' config '*) cat "$FOLDER/compose.yaml" ;;
*)
    exec >>"$FOLDER/calls"
    printf '%s|%s|%s|%s\\n' "$*" "$COMPOSE_FILE" "${COMPOSE_PROFILES-none}" "${COMPOSE_ENV_FILES-none}"
    ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "web", {"compose.yaml": "services: {}\n"})


def test_a_configuration_is_the_same_for_each_release(host: Host, folder: Path, flavour: Flavour) -> None:
    version = 'version: "3.8"' if flavour.major == 1 else ""
    write(folder, {"compose.yaml": YAML.format(version=version)})
    found = []
    for release, tag in (("r1", "v1"), ("r2", "v2")):
        answer = host.ask(release, flavour, DEPLOYBOT_FILES=str(folder), DEPLOYBOT_TAG=tag).release
        assert answer.code == 0, answer.errors
        assert blank_variables(answer.errors) == ("DEPLOYBOT_TAG",)
        found.append(parse_config(answer.text, project="shop").services)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "name"), [('name: "mine"  # x\n', "mine"), ("x: 1\n", ""), ("services:\n  name: {}\n", "")]
)
def test_the_name_in_the_files_is_told(host: Host, folder: Path, text: str, name: str) -> None:
    write(folder, {"compose.yaml": text})
    assert host.ask("r1", TWO, DEPLOYBOT_FILES=str(folder)).named == name


@pytest.mark.parametrize("script", ["command", "health_command"])
def test_commands_use_the_copy_that_runs(host: Host, script: str) -> None:
    host.release("r1", {"x": ""})
    (host.directory / "current").symlink_to("releases/r1")
    ours = write(
        host.directory / ".deploybot",
        {"releases/r1/files": "copy", "releases/r1/files.kept": "abc\n", "configurations/abc.profiles": "more\n"},
    )
    values = {"DEPLOYBOT_COMMAND": SHOW, "DEPLOYBOT_HEALTH": SHOW, "DEPLOYBOT_WITHIN": "0"}
    said = host.run(script, "r1", **values).decode().splitlines()
    assert said == ["copy", "more", f"{ours}/configurations/none.env"]
    (ours / "releases/r1/files.kept").unlink()
    assert host.run(script, "r1", **values).decode().splitlines() == ["copy", "none", "none"]


@pytest.mark.parametrize("script", ["command", "health_command"])
def test_commands_see_what_compose_sees_of_a_release(host: Host, folder: Path, script: str) -> None:
    """`docker compose run` in a task would recreate services whose settings use a variable of the release."""
    host.release("r1", {"x": ""})
    (host.directory / "current").symlink_to("releases/r1")
    show = "env | cut -d= -f1"
    values = {
        "DEPLOYBOT_COMMAND": show,
        "DEPLOYBOT_HEALTH": show,
        "DEPLOYBOT_WITHIN": "0",
        "DEPLOYBOT_ENVIRONMENT": "x",
    }
    names = {*release_values(NO_RELEASE), "DEPLOYBOT_PREVIOUS", "DEPLOYBOT_RESTORE"}
    values |= dict.fromkeys(names - {"DEPLOYBOT_RELEASE"}, "x")
    assert names <= {*host.run(script, "r1", **values).decode().split()}
    said = host.run(script, "r1", DEPLOYBOT_FILES=str(folder), **values).decode().split()
    assert "DEPLOYBOT_ENVIRONMENT" in said
    assert not names & {*said}


class Upping:
    """compose_up.sh with a program that writes down how it was called."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder, self.said = host, folder, b""
        self.marks = host.directory / ".deploybot/releases/r1"
        self.copies = host.directory / ".deploybot/configurations"
        write(folder.parent / "bin", {"docker-compose": DOCKER})
        (folder.parent / "bin/docker-compose").chmod(0o755)
        host.release("r1", {})

    def run(self, action: str = "up", **values: str) -> list[list[str]]:
        names = ("TAGS", "MOUNTS", "REMOVE", "REMOVE_LAST", "CHANGED", "START", "COMPOSE_ORDER", "OVERRIDE", "KEPT")
        given = {
            **{f"DEPLOYBOT_{name}": "" for name in names},
            "DEPLOYBOT_ACTION": action,
            "DEPLOYBOT_FILES": str(self.folder),
            "DEPLOYBOT_FOLDER": str(self.folder),
            "DEPLOYBOT_COMPOSE": "docker-compose",
            "DEPLOYBOT_COMPOSE_MAJOR": "2",
            "DEPLOYBOT_COMPOSE_FILES": "compose.yaml",
            "DEPLOYBOT_COMPOSE_WAIT": "0",
            "COMPOSE_PROJECT_NAME": "web",
            "FOLDER": str(self.folder),
            **values,
        }
        (self.folder / "calls").unlink(missing_ok=True)
        self.said = self.host.run("compose_up", "r1", str(self.folder.parent / "bin"), **given)
        text = (self.folder / "calls").read_text()
        # COMPOSE_FILE has two lines.
        return [one.split("|") for one in text.replace("\n/", ",/").splitlines()]


def test_a_restart_uses_the_copy_that_runs(host: Host, folder: Path) -> None:
    up = Upping(host, folder)
    write(up.copies, {"abc.profiles": "more\n", "abc.json": "{}", "none.env": ""})
    copy = f"{up.copies}/abc.json"
    up.run(DEPLOYBOT_KEPT="abc", DEPLOYBOT_OVERRIDE="{}", DEPLOYBOT_CHANGED="web", DEPLOYBOT_COMPOSE_FILES=copy)
    ((words, file, profiles, env),) = up.run("restart")
    assert words == f"--project-directory {folder} --env-file {up.copies}/none.env restart"
    assert (file, profiles, env) == (f"{copy},{up.marks}/override.json", "more", f"{up.copies}/none.env")
    # The files themselves run again.
    up.run(DEPLOYBOT_OVERRIDE="{}", DEPLOYBOT_CHANGED="web")
    ((words, file, profiles, env),) = up.run("restart")
    assert (words, profiles, env) == ("restart", "none", "none")
    assert file == f"compose.yaml,{up.marks}/override.json"


def test_an_edit_while_a_restore_starts_services_brings_the_copy(host: Host, folder: Path) -> None:
    up = Upping(host, folder)
    write(up.copies, {"abc.profiles": "\n", "abc.json": "{}", "none.env": ""})
    same = hashlib.sha256((folder / "compose.yaml").read_bytes()).hexdigest()
    values = {"DEPLOYBOT_SPARE": "abc", "DEPLOYBOT_OVERRIDE": "{}", "DEPLOYBOT_CHANGED": "web"}
    ((_, file, *_),) = up.run(DEPLOYBOT_SUM=same, **values)
    assert file.startswith("compose.yaml,")
    ((_, file, profiles, env),) = up.run(DEPLOYBOT_SUM="0" * 64, **values)
    assert (file.partition(",")[0], profiles, env) == (f"{up.copies}/abc.json", "", f"{up.copies}/none.env")
    assert (up.marks / "files.kept").read_text() == "abc\n"


def test_what_a_copy_was_made_of_says_whether_the_files_differ(host: Host, folder: Path) -> None:
    up = Upping(host, folder)
    write(up.copies, {"abc.profiles": "\n", "abc.json": "{}", "none.env": ""})
    same = hashlib.sha256((folder / "compose.yaml").read_bytes()).hexdigest()
    up.run(DEPLOYBOT_SUM=same, DEPLOYBOT_KEEP_AS="def", DEPLOYBOT_OVERRIDE="{}", DEPLOYBOT_CHANGED="web")
    noted = (up.marks / "sums.next").read_text()
    assert str(folder / "compose.yaml") in noted
    values = {"DEPLOYBOT_OVERRIDE": "{}", "DEPLOYBOT_CHANGED": "web"}
    up.run(DEPLOYBOT_KEPT="def", **values)
    assert (up.marks / "sums.next").read_text() == noted
    # Of this copy nothing was noted: no file is as it was then.
    up.run(DEPLOYBOT_KEPT="abc", **values)
    assert ((up.marks / "sums.next").read_text(), (up.marks / "watched").read_text()) == ("a copy\n", "")


IMAGES = """#!/bin/sh
# A Docker with one image, `$IMAGE`, that has the tags in the file `tags`, and is `$HELD` by a container or not.
cd "$FOLDER"
case "$1 $2" in
'image rm')
    grep -qxF -- "$3" tags || [ "$3" = "$IMAGE" ] || exit 1
    [ "$HELD" = no ] || [ "$(wc -l <tags)" -gt 1 ] || exit 1
    grep -vxF -- "$3" tags >left
    mv left tags
    echo "Untagged: $3"
    [ -s tags ] || echo "Deleted: $IMAGE"
    ;;
'image inspect') [ -s tags ] && wc -l <tags ;;
*) exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("held", "tags", "left", "said"),
    [
        ("no", "ours:1\nours:next\n", "", "deleted image ours:next, because the disk is full\n"),
        ("by one", "ours:1\nours:next\n", "ours:next\n", ""),
        ("no", "", "", ""),
    ],
)
def test_only_what_docker_deleted_is_said_to_be_deleted(
    host: Host, folder: Path, *, held: str, tags: str, left: str, said: str
) -> None:
    up = Upping(host, folder)
    write(folder.parent / "bin", {"docker": IMAGES})
    (folder.parent / "bin/docker").chmod(0o755)
    write(folder, {"tags": tags})
    image = "sha256:" + "1" * 64
    unneeded = f"{image} ours:1\n{image} ours:next"
    up.run(DEPLOYBOT_UNNEEDED=unneeded, DEPLOYBOT_OVERRIDE="{}", DEPLOYBOT_CHANGED="web", IMAGE=image, HELD=held)
    assert (folder / "tags").read_text() == left
    assert "".join(one for one in up.said.decode().splitlines(keepends=True) if "deleted" in one) == said
