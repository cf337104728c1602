"""What is read from the texts of the script compose_config and of Compose's errors; no Compose runs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from deploybot.domain import Container
from deploybot.strategies.compose.compose_answers import (
    ConfigAnswer,
    ConfigAnswers,
    active_profiles,
    compose_files,
    parse_answers,
    read_elsewhere,
    running_folders,
)
from deploybot.strategies.compose.compose_model import (
    ComposeUnreadable,
)
from deploybot.strategies.compose.compose_reading import LONGEST
from deploybot.strategies.compose.compose_stderr import blank_variables, own_words, raw_paths
from deploybot.strategies.compose.config_hash import compose_hashes
from tests.strategies.compose.mounted import FOLDER


def records(*pairs: tuple[str, str]) -> bytes:
    return b"".join(f"{name}={value}\0".encode() for name, value in pairs)


GOOD = (("FOLDER", "/srv/r1"), ("CODE", "0"))


def test_every_part_of_an_answer_is_read() -> None:
    answers = parse_answers(
        records(
            *GOOD,
            ("CONFIG", "{a=b}"),
            ("ERRORS", "oh"),
            ("HASHES", "web 1"),
            ("FOUND", "compose.yaml\ncompose.override.yaml"),
            ("ENV", "A=1"),
            ("RAW", "one"),
            ("RAW", "two"),
            ("RUNNING", "/srv/a"),
            ("RUNNING_CODE", "14"),
            ("RUNNING_ERRORS", "no"),
            ("RUNNING", "/srv/b"),
            ("RUNNING_CODE", "0"),
            ("RUNNING_CONFIG", "x"),
            ("RUNNING_HASHES", "h"),
            ("END", ""),
        )
    )
    assert answers == ConfigAnswers(
        release=ConfigAnswer(folder="/srv/r1", code=0, text="{a=b}", errors="oh", hashes="web 1"),
        running=(
            ConfigAnswer(folder="/srv/a", code=14, errors="no"),
            ConfigAnswer(folder="/srv/b", code=0, text="x", hashes="h"),
        ),
        found=("compose.yaml", "compose.override.yaml"),
        env={"A": "1"},
        raw=("one", "two"),
    )


def test_an_answer_shows_no_values() -> None:
    assert "hunter2" not in repr(
        parse_answers(records(*GOOD, ("CONFIG", "hunter2"), ("ERRORS", "hunter2"), ("RAW", "hunter2"), ("END", "")))
    )


@pytest.mark.parametrize(
    "output",
    [
        b"",
        records(*GOOD),
        records(*GOOD, ("END", "x")),
        records(*GOOD, ("END", ""), ("CONFIG", "")),
        records(*GOOD, ("END", ""))[:-1],
        records(("FOLDER", "srv"), ("CODE", "0"), ("END", "")),
        records(("FOLDER", "/srv"), ("END", "")),
        records(("CODE", "0"), ("END", "")),
        records(*GOOD, ("RUNNING_X", "/a"), ("RUNNING_CODE", "0"), ("END", "")),
        *(records(("FOLDER", "/srv"), ("CODE", code), ("END", "")) for code in ("", "x", "-1", "1000", "٣")),
        records(*GOOD, ("RUNNING_CODE", "0"), ("END", "")),
        records(*GOOD, ("RUNNING", "/a"), ("END", "")),
        records(*GOOD, ("RUNNING", "a"), ("RUNNING_CODE", "0"), ("END", "")),
        records(*GOOD) + b"word\0" + records(("END", "")),
        records(*GOOD, ("CONFIG", " " * (4 * LONGEST)), ("END", "")),
    ],
)
def test_other_answers_are_refused(output: bytes) -> None:
    with pytest.raises(ComposeUnreadable) as caught:
        parse_answers(output)
    assert caught.value.sentence == "The server's answer about its Compose files is cut off or malformed."


def test_a_code_of_three_digits_and_bytes_that_are_no_text_are_read() -> None:
    answers = parse_answers(records(("FOLDER", "/srv"), ("CODE", "255")) + b"CONFIG=\xff\0" + records(("END", "")))
    assert (answers.release.code, answers.release.text) == (255, "\ufffd")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("  export A = 1  ", "1"),
        ("A=1 # note", "1"),
        ("A=1 \t # note", "1"),
        ("A=1#2", "1#2"),
        ("A='1 # 2' # note", "1 # 2"),
        ('A="x\'y"', "x'y"),
        ("A='1", "'1"),
        ("A=b'1'", "b'1'"),
        ("A=1=2", "1=2"),
        ("A=", ""),
        ("A", ""),
        ("A=''", ""),
    ],
)
def test_lines_of_an_env_file(line: str, value: str) -> None:
    assert parse_answers(records(*GOOD, ("ENV", line), ("END", ""))).env == {"A": value}


def answered(*found: str, **env: str) -> ConfigAnswers:
    return ConfigAnswers(release=ConfigAnswer(folder="/", code=0), found=found, env=env)


@pytest.mark.parametrize(
    ("given", "environment", "answers", "files"),
    [
        (["a", "b"], {"COMPOSE_FILE": "c"}, answered("compose.yaml"), ("a", "b")),
        ([], {"COMPOSE_FILE": "c: d :"}, answered("compose.yaml", COMPOSE_FILE="e"), ("c", "d")),
        ([], {}, answered("compose.yaml", COMPOSE_FILE="e:f"), ("e", "f")),
        ([], {"COMPOSE_PATH_SEPARATOR": ";"}, answered(COMPOSE_FILE="e:f;g"), ("e:f", "g")),
        ([], {}, answered(COMPOSE_FILE="e;f", COMPOSE_PATH_SEPARATOR=";"), ("e", "f")),
        ([], {"COMPOSE_PATH_SEPARATOR": ""}, answered(COMPOSE_FILE="e:f"), ("e", "f")),
        ([], {}, answered("docker-compose.yml", "compose.yml"), ("compose.yml",)),
        ([], {}, answered("docker-compose.yaml"), ("docker-compose.yaml",)),
        ([], {}, answered("docker-compose.yaml", "docker-compose.yml"), ("docker-compose.yml",)),
        (
            [], {},
            answered("compose.yaml", "docker-compose.override.yml", "compose.override.yaml"),
            ("compose.yaml", "compose.override.yaml"),
        ),
        (
            [], {},
            answered("compose.yaml", "docker-compose.override.yaml"),
            ("compose.yaml", "docker-compose.override.yaml"),
        ),
        (
            [], {},
            answered("compose.yaml", "compose.override.yaml", "compose.override.yml"),
            ("compose.yaml", "compose.override.yml"),
        ),
    ],
)  # fmt: skip
def test_which_files_count(
    given: list[str], environment: Mapping[str, str], answers: ConfigAnswers, files: tuple[str, ...]
) -> None:
    assert compose_files(given, environment, answers) == files


def test_without_a_file_the_way_to_name_one_is_said() -> None:
    with pytest.raises(ComposeUnreadable) as caught:
        compose_files([], {}, answered("other.yaml"))
    assert caught.value.sentence == "There is no compose.yaml in this release."
    assert caught.value.hint == "Set compose.files in bot.toml to where it is."


@pytest.mark.parametrize(
    ("given", "environment", "answers", "profiles"),
    [
        (["a"], {"COMPOSE_PROFILES": "b"}, answered(COMPOSE_PROFILES="c"), ("a",)),
        ([], {"COMPOSE_PROFILES": "b, d,"}, answered(COMPOSE_PROFILES="c"), ("b", "d")),
        ([], {"COMPOSE_PROFILES": ""}, answered(COMPOSE_PROFILES="c"), ("c",)),
        ([], {}, answered(), ()),
    ],
)
def test_which_profiles_are_active(
    given: list[str], environment: Mapping[str, str], answers: ConfigAnswers, profiles: tuple[str, ...]
) -> None:
    assert active_profiles(given, environment, answers) == profiles


def container(service: str = "web", *, name: str = "web-1", oneoff: bool = False, **labels: str) -> Container:
    named = {
        "com.docker.compose.project.working_dir": labels.pop("folder", ""),
        "com.docker.compose.project.config_files": labels.pop("files", ""),
        **labels,
    }
    made = tuple(named.items())
    return Container(
        id=f"id-{name}", name=name, service=service, image="x", state="running", labels=made, oneoff=oneoff
    )


def test_folders_of_containers_that_we_did_not_make_are_asked_once() -> None:
    there = [
        container(folder="/srv/a", files="c.yml,d.yml"),
        container("db", folder="/srv/a", files="c.yml,d.yml"),
        container(folder="/srv/b"),
        container(folder="relative"),
        container(folder="/once", oneoff=True),
        container(folder="/ours", ours="yes"),
        container(folder="/two\nlines"),
        container(folder="/srv/c", files="two\nlines"),
        container(),
    ]
    assert running_folders(there, "ours") == ("/srv/a\tc.yml,d.yml", "/srv/b\t")


def test_a_folder_of_containers_is_read_with_their_ids() -> None:
    services = {"web": {"image": "x", "network_mode": "service:db"}, "db": {"image": "y"}}
    text = json.dumps({"services": services})
    there = [container("db", name="db-2"), container("db", name="db-1"), container("web")]
    found = read_elsewhere(ConfigAnswer(folder="/home", code=0, text=text), there, profiles=(), project="shop")
    assert found is not None
    assert (found.folder, [one.name for one in found.config.services]) == ("/home", ["db", "web"])
    assert found.hashes == compose_hashes(text, {"db": ["id-db-1", "id-db-2"], "web": ["id-web-1"]})


def test_a_folder_of_docker_compose_1_has_the_hashes_that_it_prints() -> None:
    text = "services: {web: {image: x, profiles: [p]}, db: {image: y, profiles: [q]}}\nvolumes: {a: {}}\n"
    answer = ConfigAnswer(folder="/home", code=0, text=text, hashes="web abc\n\ndb def\nnothing")
    found = read_elsewhere(answer, [], profiles=["p"], project="shop")
    assert found is not None
    assert found.hashes == {"web": frozenset({"abc"}), "db": frozenset({"def"})}
    assert [one.name for one in found.config.services] == ["web"]
    assert found.config.volumes[0].name == "shop_a"


def test_the_folder_itself_is_no_setting_there() -> None:
    def at(folder: str) -> str:
        text = json.dumps({"services": {"web": {"image": "x", "working_dir": f"{folder}/www"}}})
        found = read_elsewhere(ConfigAnswer(folder=folder, code=0, text=text), [], profiles=(), project="shop")
        assert found is not None
        return found.config.services[0].base

    assert at("/srv/a") == at("/srv/b")


@pytest.mark.parametrize(("code", "text"), [(1, "{}"), (0, ""), (0, "[]")])
def test_a_folder_that_cannot_be_read_is_none(code: int, text: str) -> None:
    answer = ConfigAnswer(folder="/home", code=code, text=text)
    assert read_elsewhere(answer, [], profiles=(), project="shop") is None


BLANK = """time="2027" level=warning msg="The \\"TAG\\" variable is not set. Defaulting to a blank string."
The ONE variable is not set. Defaulting to a blank string.
The "TAG" variable is not set.
"""


def test_blank_variables_are_named_once_in_their_order() -> None:
    assert blank_variables(BLANK) == ("TAG", "ONE")


def test_an_error_is_its_last_lines_without_warnings() -> None:
    assert own_words(BLANK) == "It gives no reason."
    assert own_words("  a  \n\nb\nc\nd\ne") == "b\nc\nd\ne"
    assert own_words("x" * 400) == "x" * 300
    assert own_words(f'{BLANK}time="2027" level=error msg="no \\"x\\""') == 'no "x"'
    assert own_words('say: time="2027" level=warning msg="x"') == 'say: time="2027" level=warning msg="x"'


RAW = """
secrets: {pw: {file: ./pw.txt}, out: {external: true}, home: {file: ~/x}, var: {file: "${X}/y"}}
configs: {conf: {file: ../conf}, abs: {file: /etc/x}, odd: {file: [x]}}
services:
  web: {env_file: [a.env, {path: b.env}, {path: c.env, required: false}, {path: d.env, required: true}]}
  api: {env_file: e.env}
  none: {image: x}
"""


def raw(*texts: str) -> list[tuple[str, str]]:
    return [*raw_paths(ConfigAnswers(release=ConfigAnswer(folder=FOLDER, code=1), raw=texts))]


def test_all_files_that_compose_may_miss_are_named() -> None:
    assert raw(RAW, RAW) == [
        ("secret pw", f"{FOLDER}/pw.txt"),
        ("config conf", "/srv/shop/releases/conf"),
        ("config abs", "/etc/x"),
        ("env_file of web", f"{FOLDER}/a.env"),
        ("env_file of web", f"{FOLDER}/b.env"),
        ("env_file of web", f"{FOLDER}/d.env"),
        ("env_file of api", f"{FOLDER}/e.env"),
    ]


def test_a_file_that_is_no_yaml_says_as_much_as_was_read() -> None:
    odd = "configs: x\nservices: {web: [x], db: {env_file: 1}}"
    assert raw("services: [", f"secrets: {{a: {{file: a}}, b: c}}\n{odd}", "services: {web: {env_file: a}}") == [
        ("secret a", f"{FOLDER}/a"),
        ("env_file of web", f"{FOLDER}/a"),
    ]
