"""What is read from the texts of the scripts and of Compose's errors, and what the override says; no Compose runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from deploybot.domain import Container, Manifest, Mount, ServiceImage
from deploybot.errors import UserError
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
    ComposeConfig,
    ComposeService,
    ComposeUnreadable,
    ServiceFile,
    ServiceMount,
)
from deploybot.strategies.compose.compose_override import override_of, write_override
from deploybot.strategies.compose.compose_reading import LONGEST
from deploybot.strategies.compose.compose_stderr import blank_variables, own_words, raw_paths
from deploybot.strategies.compose.config_hash import compose_hashes
from deploybot.strategies.compose.mounted_paths import (
    MOST_CHARACTERS,
    MOST_PATHS,
    LostFile,
    PathFact,
    PathFacts,
    PathKind,
    bound_at,
    parse_paths,
    wanted_mounted,
    wanted_paths,
)
from deploybot.strategies.compose.settings_label import same_content, same_settings, settings_of

DIRECTORY, FOLDER, REAL = "/srv/shop", "/srv/shop/releases/r1", "/data/shop/releases/r1"
SHARED = "/srv/shop/shared/x"
ONE, TWO = "1" * 64, "2" * 64


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


def fact(path: str, kind: PathKind = PathKind.FILE, *, real: str = "", digest: str = "") -> PathFact:
    return PathFact(path=path, kind=kind, real=real or path, digest=digest)


def facts(*paths: PathFact, lost: tuple[LostFile, ...] = ()) -> PathFacts:
    release = PathFact(path=FOLDER, kind=PathKind.FOLDER, real=REAL)
    return PathFacts(directory=DIRECTORY, release=release, paths={one.path: one for one in paths}, lost=lost)


@pytest.mark.parametrize(
    ("there", "stable", "identity"),
    [
        (None, f"{FOLDER}/x", f"path {FOLDER}/x"),
        (fact(f"{FOLDER}/x", real=f"{REAL}/x", digest=ONE), f"{DIRECTORY}/.deploybot/mounts/{ONE}/x", f"content {ONE}"),
        (
            fact(f"{FOLDER}/x", PathKind.FOLDER, real=f"{REAL}/x", digest=ONE),
            f"{DIRECTORY}/.deploybot/mounts/{ONE}",
            f"content {ONE}",
        ),
        (fact(f"{FOLDER}/x", real=f"{REAL}/x"), f"{FOLDER}/x", f"path {FOLDER}/x"),
        (fact(f"{FOLDER}/x", PathKind.FOLDER, real=SHARED, digest=ONE), SHARED, f"path {SHARED}"),
        (fact(f"{FOLDER}/x", real=REAL), f"{FOLDER}/x", f"path {FOLDER}/x"),
        (fact(f"{FOLDER}/x", real=f"{REAL}-old/x", digest=ONE), f"{REAL}-old/x", f"path {REAL}-old/x"),
    ],
)  # fmt: skip
def test_what_compose_gets_for_a_path_of_the_release(there: PathFact | None, stable: str, identity: str) -> None:
    known = facts(*([there] if there else []))
    assert (known.stable(f"{FOLDER}/x"), known.identity(f"{FOLDER}/x")) == (stable, identity)


def test_paths_elsewhere_stay_as_they_are() -> None:
    known = facts(fact("/etc/x", real="/real/x", digest=ONE), fact(f"{FOLDER}-old/x", digest=ONE))
    for path in ("/etc/x", "/etc/y", f"{FOLDER}-old/x"):
        assert (known.stable(path), known.identity(path), known.is_shipped(path)) == (path, f"path {path}", False)
    assert known.folders == (FOLDER, REAL)
    assert [known.within(path) for path in (FOLDER, f"{REAL}/a", f"{FOLDER}x", "/srv")] == [True, True, False, False]
    assert facts(fact(f"{FOLDER}/d/", digest=ONE)).stable(f"{FOLDER}/d/") == f"{DIRECTORY}/.deploybot/mounts/{ONE}/d"


def test_a_lost_file_has_a_path() -> None:
    assert LostFile(mounted="/d", name="a/b").path == "/d/a/b"
    assert LostFile(mounted="/d", name="").path == "/d"


WEB = ComposeService(
    name="web",
    base="b" * 64,
    mounts=(
        ServiceMount(kind="bind", source=f"{FOLDER}/conf", target="/conf/", form=f"{FOLDER}/conf:/conf/:ro"),
        ServiceMount(kind="bind", source="/srv/x", target="/x"),
        ServiceMount(kind="volume", source="/data", target="/data"),
        ServiceMount(kind="bind", source="relative", target="/y"),
    ),
    files=(
        ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path=f"{FOLDER}/pw"),
        ServiceFile(kind="secrets", key="out", target="/run/secrets/out"),
    ),
)


def config(*services: ComposeService) -> ComposeConfig:
    return ComposeConfig(name="shop", services=services, version="3.8")


def mounted(service: str, *mounts: tuple[str, str, str], oneoff: bool = False) -> Container:
    made = tuple(Mount(kind=kind, source=source, target=target) for kind, source, target in mounts)
    return Container(id="c", name="c", service=service, image="x", state="running", mounts=made, oneoff=oneoff)


def test_paths_are_asked_once_for_all_services() -> None:
    other = ComposeService(name="api", mounts=WEB.mounts[:2])
    assert wanted_paths(config(WEB, other)) == (f"{FOLDER}/conf", "/srv/x", f"{FOLDER}/pw")


def test_what_containers_mount_now_is_asked_where_it_is_elsewhere() -> None:
    there = [
        mounted("web", ("bind", "/old/conf", "/conf"), ("bind", "/srv/x", "/x")),
        mounted("web", ("bind", "/old/conf", "/conf")),
        mounted("web", ("bind", "/once", "/conf"), oneoff=True),
        mounted("api", ("bind", "/other", "/conf")),
        mounted("web", ("volume", "/var/lib", "/run/secrets/pw")),
        mounted("web", ("bind", "/old/pw", "/run/secrets/pw/")),
    ]
    assert wanted_mounted(config(WEB), there) == (f"{FOLDER}/conf", "/old/conf", f"{FOLDER}/pw", "/old/pw")
    assert [bound_at(there[0], target) for target in ("/conf/", "/x", "/y")] == ["/old/conf", "/srv/x", ""]


def mounting(*paths: str) -> ComposeConfig:
    return config(
        ComposeService(name="web", mounts=tuple(ServiceMount(kind="bind", source=one, target="/x") for one in paths))
    )


def test_paths_have_limits() -> None:
    most = [f"/{at}" for at in range(2 * MOST_PATHS)]
    assert len(wanted_paths(mounting(*most))) == 2 * MOST_PATHS
    for paths in ([*most, "/more"], ["/" + "x" * MOST_CHARACTERS], ["/" + "ä" * (MOST_CHARACTERS // 2)]):
        with pytest.raises(ComposeUnreadable) as caught:
            wanted_paths(mounting(*paths))
        assert caught.value.sentence == f"The Compose files mount more than {MOST_PATHS} paths."
        assert caught.value.hint == "Mount the folders that hold them instead."
    assert wanted_paths(mounting("/" + "x" * (MOST_CHARACTERS - 2)))
    with pytest.raises(ComposeUnreadable) as caught:
        wanted_paths(mounting("/a\nb"))
    assert caught.value.sentence == "A path that the Compose files mount has a line break in its name."
    assert caught.value.hint == "Rename the file or folder."


def fields(*rows: tuple[str, str, str, str, str]) -> bytes:
    return b"".join(f"{one}\0".encode() for row in rows for one in row)


RELEASE, END = ("release", FOLDER, "folder", REAL, ""), ("end", "", "", "", "")


def test_every_record_about_paths_is_read() -> None:
    output = fields(
        RELEASE,
        ("path", f"{FOLDER}/a", "file", f"{REAL}/a", ONE),
        ("mounted", "/old/a", "folder", "/old/a/", TWO),
        ("path", "/old/a", "folder", "/old/a", ""),
        ("path", "/root", "folder", "/", ""),
        ("path", "/old/X", "file", "/old/X", ""),
        ("mounted", "/old/X", "file", "/old/X", ONE),
        ("lost", "/old/a", "x", "new", ""),
        ("lost", "/old/a", "y", "changed", ""),
        END,
    )
    found = parse_paths(output, DIRECTORY)
    assert found == facts(
        fact(f"{FOLDER}/a", real=f"{REAL}/a", digest=ONE),
        fact("/old/a", PathKind.FOLDER, digest=TWO),
        fact("/root", PathKind.FOLDER, real="/"),
        fact("/old/X", digest=ONE),
        lost=(LostFile(mounted="/old/a", name="x"), LostFile(mounted="/old/a", name="y", changed=True)),
    )


@pytest.mark.parametrize(
    "output",
    [
        b"",
        fields(RELEASE),
        fields(END),
        fields(RELEASE, END)[:-1],
        fields(RELEASE, END) + b"more\0",
        fields(END, RELEASE),
        fields(("path", FOLDER, "folder", REAL, ""), END),
        fields(RELEASE, ("path", "/a", "file", "/a", ""), ("path", "/a", "file", "/a", "")),
        fields(RELEASE, ("path", "/a", "thing", "/a", ""), END),
        fields(RELEASE, ("path", "/a", "file", "a", ""), END),
        fields(RELEASE, ("path", "/a", "file", "/a", "1"), END),
        fields(RELEASE, ("path", "/a", "file", "/a", "G" * 64), END),
        fields(RELEASE, ("path", "/a", "file", "/a", "1" * 63), END),
        fields(RELEASE, ("lost", "/a", "x", "gone", ""), END),
        fields(RELEASE, ("word", "/a", "new", "new", ""), END),
        fields(("release", FOLDER, "folder", "relative", ""), END),
        fields(RELEASE, ("path", "/" + "a" * LONGEST, "file", "/a", ""), END),
    ],
)
def test_other_answers_about_paths_are_refused(output: bytes) -> None:
    with pytest.raises(ComposeUnreadable) as caught:
        parse_paths(output, DIRECTORY)
    assert caught.value.sentence == "The server's answer about the mounted paths is cut off or malformed."


DB = ComposeService(name="db", base="d" * 64, files=(ServiceFile(kind="configs", key="c", target="/c", path="/etc/c"),))
CONF = fact(f"{FOLDER}/conf", PathKind.FOLDER, real=f"{REAL}/conf", digest=ONE)
PW = fact(f"{FOLDER}/pw", real=f"{REAL}/pw", digest=TWO)


def test_a_label_of_settings_has_their_hash_and_one_of_the_content() -> None:
    label = settings_of(WEB, facts(CONF, PW))
    assert label == "bbbbbbbbbbbb-9db0e0d540bb"
    assert settings_of(ComposeService(name="web", base="b" * 64), facts()) == "b" * 12
    moved = ComposeService(name="web", base="b" * 64, mounts=WEB.mounts[::-1], files=WEB.files[::-1])
    assert settings_of(moved, facts(CONF, PW)) == label
    changed = fact(f"{FOLDER}/conf", PathKind.FOLDER, real=f"{REAL}/conf", digest=TWO)
    other = settings_of(WEB, facts(changed, PW))
    assert (same_settings(label, other), same_content(label, other)) == (True, False)
    assert (same_settings("a-1", "b-1"), same_content("a-1", "b-1"), same_content("a", "b")) == (False, True, True)


def overridden(major: int = 2) -> dict[str, Any]:
    images = (
        ServiceImage(service="untagged", image="sha256:5"),
        ServiceImage(service="web", image="sha256:1"),
        ServiceImage(service="db", image="sha256:2", digest="postgres@sha256:3"),
    )
    services = (WEB, DB, ComposeService(name="untagged"))
    text = override_of(
        config(*services),
        manifest=Manifest(services=images),
        tags={"web": "ours/web:1", "db": "ours/db$:2"},
        facts=facts(CONF, PW),
        release="r1",
        major=major,
    )
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_override_pins_labels_and_moves_what_changed_and_nothing_else() -> None:
    mounts = f"{DIRECTORY}/.deploybot/mounts"
    assert overridden() == {
        "version": "3.8",
        "services": {
            "web": {
                "image": "ours/web:1",
                "pull_policy": "never",
                "labels": {
                    "deploybot.release": "r1",
                    "deploybot.image": "sha256:1",
                    "deploybot.settings": settings_of(WEB, facts(CONF, PW)),
                },
                "volumes": [f"{mounts}/{ONE}:/conf/:ro"],
            },
            "db": {
                "image": "ours/db$$:2",
                "pull_policy": "never",
                "labels": {
                    "deploybot.release": "r1",
                    "deploybot.image": "postgres@sha256:3",
                    "deploybot.settings": settings_of(DB, facts(CONF, PW)),
                },
            },
        },
        "secrets": {"pw": {"file": f"{mounts}/{TWO}/pw"}},
    }


def test_a_recorded_service_that_the_files_lack_is_refused() -> None:
    lacking = Manifest(services=(ServiceImage(service="gone", image="sha256:4"),))
    with pytest.raises(UserError, match="The release ran gone, which its Compose files do not have"):
        override_of(config(WEB), manifest=lacking, tags={"gone": "x"}, facts=facts(CONF, PW), release="r1", major=2)


def test_docker_compose_1_has_no_policy_that_never_pulls() -> None:
    assert "pull_policy" not in overridden(1)["services"]["web"]
    assert overridden(5)["services"]["web"]["pull_policy"] == "never"


def test_a_long_mount_keeps_its_options() -> None:
    form = {"type": "bind", "source": f"{FOLDER}/conf", "target": "/conf", "bind": {"propagation": "rslave"}}
    long = ServiceMount(kind="bind", source=f"{FOLDER}/conf", target="/conf", form=json.dumps(form))
    service = ComposeService(name="web", mounts=(long,))
    image = Manifest(services=(ServiceImage(service="web", image="sha256:1"),))
    text = override_of(config(service), manifest=image, tags={"web": "t"}, facts=facts(CONF), release="r1", major=2)
    (written,) = json.loads(text)["services"]["web"]["volumes"]
    assert written == {**form, "source": f"{DIRECTORY}/.deploybot/mounts/{ONE}"}


def test_an_override_is_written_in_one_way() -> None:
    text = write_override({"b": {"x": ["$1", 2, None]}, "a": {"image": "ä"}}, files={"configs": {"c": "/p$"}})
    assert text == (
        '{\n "configs": {\n  "c": {\n   "file": "/p$$"\n  }\n },\n "services": {\n  "a": {\n   "image": "ä"\n  },\n'
        '  "b": {\n   "x": [\n    "$$1",\n    2,\n    null\n   ]\n  }\n }\n}\n'
    )
    assert write_override({}) == '{\n "services": {}\n}\n'
    assert json.loads(write_override({}, version="2.4")) == {"version": "2.4", "services": {}}
