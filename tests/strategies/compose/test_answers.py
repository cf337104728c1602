"""What compose_config.sh prints, with dash and busybox and the three Composes, and what is read from it."""

from __future__ import annotations

import pytest

from deploybot.strategies.compose.compose_answers import (
    ConfigAnswer,
    ConfigAnswers,
    active_profiles,
    compose_files,
    parse_answers,
)
from deploybot.strategies.compose.compose_model import parse_config
from deploybot.strategies.compose.compose_reading import ComposeUnreadable
from deploybot.strategies.compose.compose_stderr import blank_variables, own_words, raw_paths
from tests.strategies.compose.conftest import FIVE, ONE, TWO, Flavour, Host, write

WEB = "version: '3.8'\nservices: {web: {image: x}}\n"


def services(answer: ConfigAnswer) -> list[str]:
    assert answer.code == 0, answer.errors
    return [one.name for one in parse_config(answer.text).services]


@pytest.mark.parametrize("flavour", [ONE, TWO, FIVE], ids=["1.29", "2.26", "5"])
def test_an_answer_with_busybox_too(any_host: Host, flavour: Flavour) -> None:
    folder = any_host.release(
        "r1", {"compose.yaml": WEB, ".env": "A=1\nexport COMPOSE_PROFILES='a,b' # x\nCOMPOSE_X=\n"}
    )
    answers = any_host.ask("r1", flavour)
    assert services(answers.release) == ["web"]
    assert answers.release.folder == str(folder)
    assert answers.found == ("compose.yaml",)
    assert answers.env == {"COMPOSE_PROFILES": "a,b", "COMPOSE_X": ""}
    assert active_profiles((), {}, answers) == ("a", "b")
    assert active_profiles((), {"COMPOSE_PROFILES": "c"}, answers) == ("c",)
    assert active_profiles(("d",), {"COMPOSE_PROFILES": "c"}, answers) == ("d",)


def one(name: str) -> str:
    return f"version: '3.8'\nservices: {{{name}: {{image: x}}}}\n"


FILES = {
    "Compose's order": (["compose.yaml", "compose.yml", "docker-compose.yml"], "", "", ["compose.yaml"]),
    "the old names": (["docker-compose.yml", "docker-compose.yaml"], "", "", ["docker-compose.yml"]),
    "an override": (
        ["docker-compose.yml", "docker-compose.override.yml"], "", "",
        ["docker-compose.yml", "docker-compose.override.yml"],
    ),
    "one of two overrides": (
        ["compose.yaml", "compose.override.yaml", "docker-compose.override.yml"], "", "",
        ["compose.yaml", "compose.override.yaml"],
    ),
    "named by bot.toml": (["compose.yaml", "a.yaml", "b.yaml"], "a.yaml\nb.yaml", "", ["a.yaml", "b.yaml"]),
    "named by the env file": (["c.yaml", "a.yaml", "b.yaml"], "", "COMPOSE_FILE=b.yaml:a.yaml", ["b.yaml", "a.yaml"]),
    "with a separator": (
        ["a.yaml", "b.yaml"], "", "COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE='b.yaml;a.yaml'", ["b.yaml", "a.yaml"],
    ),
    "bot.toml before the env file": (["a.yaml", "b.yaml"], "a.yaml", "COMPOSE_FILE=b.yaml", ["a.yaml"]),
}  # fmt: skip


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(("there", "given", "env", "expected"), FILES.values(), ids=FILES.keys())
def test_which_files_compose_reads(host: Host, there: list[str], given: str, env: str, expected: list[str]) -> None:
    files = {name: one(name.replace(".", "-")) for name in there}
    host.release("r1", {**files, ".env": f"{env}\n"})
    for flavour in (ONE, TWO, FIVE):
        answers = host.ask("r1", flavour, DEPLOYBOT_COMPOSE_FILES=given)
        assert compose_files(given.split(), {}, answers) == tuple(expected)
        assert services(answers.release) == sorted(name.replace(".", "-") for name in expected)


def test_no_files_are_refused(host: Host, flavour: Flavour) -> None:
    write(host.directory, {"compose.yaml": WEB})
    host.release("r1", {"x": ""})
    answers = host.ask("r1", flavour)
    with pytest.raises(ComposeUnreadable, match="There is no compose"):
        compose_files((), {}, answers)


def test_another_env_file(host: Host, flavour: Flavour) -> None:
    text = "version: '3.8'\nservices: {web: {image: 'x:${TAG}'}}\n"
    host.release("r1", {"compose.yaml": text, ".env": "TAG=1\n", "prod.env": "TAG=2\nCOMPOSE_PROFILES=p\n"})
    answers = host.ask("r1", flavour, COMPOSE_ENV_FILES="prod.env")
    assert parse_config(answers.release.text).services[0].image == "x:2"
    assert answers.env == {"COMPOSE_PROFILES": "p"}


def test_blank_variables(host: Host, flavour: Flavour) -> None:
    text = "version: '3.8'\nservices: {web: {image: 'x:${TAG}', command: '${ONE} ${TAG} ${FINE:-}'}}\n"
    host.release("r1", {"compose.yaml": text})
    answer = host.ask("r1", flavour).release
    assert set(blank_variables(answer.errors)) == {"TAG", "ONE"}
    assert "x:" in answer.text
    assert "TAG" not in repr(answer)


BROKEN = """version: '3.8'
x-more: &more {restart: always}
services:
  web:
    <<: *more
    image: x
    env_file: [web.env, there.env, "${SOME}.env"]
    secrets: [pw]
  api: {image: x, env_file: api.env}
secrets: {pw: {file: ./pw.txt}}
"""


def test_what_compose_cannot_read_is_in_its_own_words_with_all_missing_files(host: Host, flavour: Flavour) -> None:
    host.release("r1", {"compose.yaml": BROKEN, "there.env": "A=1\n"})
    answers = host.ask("r1", flavour)
    assert answers.release.code != 0
    assert ".env" in own_words(answers.release.errors)
    assert "variable is not set" not in own_words(answers.release.errors)
    folder = answers.release.folder
    assert set(raw_paths(answers)) == {
        ("secret pw", f"{folder}/pw.txt"),
        ("env_file of web", f"{folder}/web.env"),
        ("env_file of web", f"{folder}/there.env"),
        ("env_file of api", f"{folder}/api.env"),
    }


def test_folders_that_containers_come_from(host: Host, flavour: Flavour, tmp_path: str) -> None:
    host.release("r1", {"compose.yaml": one("ours")})
    own = write(host.directory / "own", {"docker-compose.yml": one("theirs"), "more.yml": one("more")})
    bare = write(host.directory / "bare", {"x": ""})
    lines = [f"{own}\tdocker-compose.yml,{own}/more.yml", f"{bare}\tgone.yml", f"{tmp_path}/nowhere\tx"]
    answers = host.ask("r1", flavour, running=lines)
    assert [each.folder for each in answers.running] == [str(own), str(bare), f"{tmp_path}/nowhere"]
    assert services(answers.running[0]) == ["more", "theirs"]
    assert services(answers.running[1]) == ["ours"]
    assert answers.running[2].code == 1
    assert [each.gone for each in answers.running] == [(), ("gone.yml",), ()]


BAD = {
    "nothing": b"",
    "cut off": b"FOLDER=/a\0CONFIG={}\0ERRORS=\0CODE=0",
    "no end": b"FOLDER=/a\0CONFIG={}\0ERRORS=\0CODE=0\0",
    "no code": b"FOLDER=/a\0CONFIG={}\0END=\0",
    "no number": b"FOLDER=/a\0CODE=x\0END=\0",
    "no folder": b"CODE=0\0END=\0",
    "no name": b"FOLDER=/a\0CODE=0\0{}\0END=\0",
    "a part of nothing": b"FOLDER=/a\0CODE=0\0RUNNING_CODE=0\0END=\0",
}


@pytest.mark.parametrize("output", BAD.values(), ids=BAD.keys())
def test_another_answer_is_one_error(output: bytes) -> None:
    with pytest.raises(ComposeUnreadable):
        parse_answers(output)


def test_other_words_than_warnings_are_why() -> None:
    errors = "\n".join(
        f'time="x" level={level} msg="{text}"' for level, text in (("warning", "a"), ("fatal", 'b \\"c\\"'))
    )
    assert own_words(f"{errors}\nThe A variable is not set. Defaulting to a blank string.\nplain") == 'b "c"\nplain'
    assert own_words("") == "It gives no reason."
    assert ConfigAnswers(release=ConfigAnswer(folder="/", code=0)).raw == ()
