"""Secrets come from a private file or a variable, and show nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.config import load, secrets_of
from tests.config.conftest import APP, ENVIRONMENT, SERVER, Write


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (b"hunter22\n", 0o644, "mode 0644); run `chmod 600 {file}`"),
        (b"hunter22\n", 0o640, "others can read {file} (owner"),
        (b"hunter22\n", 0o620, "its group may write to {file} (owner"),
        (b"\n", 0o600, "the file {file} is empty"),
        (b"abc\n", 0o600, "has fewer than 4 characters: too short to be masked in logs"),
        (b"\xff\xfe12345", 0o600, "{file} is not UTF-8 text"),
        (b"ab\0cd", 0o600, "contains a NUL byte"),
        (b"x" * 1_000_001, 0o600, "{file} is larger than 1 MB"),
        (None, 0o600, "file not found: {file}"),
    ],
)
def test_a_secret_file_must_be_private_and_whole(
    problems: Callable[..., list[str]], tmp_path: Path, content: bytes | None, mode: int, problem: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    assert problems(f"{APP}secrets = {{ S = {{ file = 'secret' }} }}\n{ENVIRONMENT}{SERVER}") == [
        f"apps.shop.secrets.S: {problem.format(file=file)}"
    ] or problem.format(file=file) in str(problems(f"{APP}secrets.S.file = 'secret'\n{ENVIRONMENT}{SERVER}"))


def test_a_folder_is_no_secret(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    assert f"{tmp_path} is not a file" in problems(f"{SERVER}passphrase = {{ file = '.' }}")[1]


@pytest.mark.parametrize(("value", "problem"), [("", "is empty"), ("abc", "fewer than 4 characters")])
def test_a_secret_variable_must_hold_something(problems: Callable[..., list[str]], value: str, problem: str) -> None:
    found = problems(f"{APP}secrets = {{ S = {{ env = 'S' }} }}\n{ENVIRONMENT}{SERVER}", S=value)
    assert found == [f"apps.shop.secrets.S: the variable S {found[0].partition('variable S ')[2]}"]
    assert problem in found[0]


@pytest.mark.parametrize(("end", "deployed"), [("", ""), ("\n", "\n"), ("\r\n", "\r\n")])
def test_the_line_end_of_a_variable_is_no_part_of_a_token(write: Write, end: str, deployed: str) -> None:
    text = f"[telegram]\ntoken.env = 'T'\nchannel = 'telegram:-1001'\n{APP}secrets.S.env = 'S'\n{ENVIRONMENT}{SERVER}"
    settings = load(write(text), {"T": f"12345:abcdef{end}", "S": f"hunter22{end}"})
    telegram = settings.chats()["telegram"]
    assert isinstance(telegram, Telegram)
    assert telegram.token.reveal() == "12345:abcdef"
    assert settings.apps["shop"].secrets["S"].reveal() == f"hunter22{deployed}", "services would restart"


@pytest.mark.parametrize("value", ["12345:abc\ndef", "12345:abc\x7f", "1234\t:abcdef", "12345:\x85abc"])
def test_a_token_has_no_control_characters(problems: Callable[..., list[str]], tmp_path: Path, value: str) -> None:
    (tmp_path / "token").write_text(value, newline="")
    (tmp_path / "token").chmod(0o600)
    why = "contains a line break or another control character: copy the value again"
    for source, what in (("env = 'T'", "the variable T"), ("file = 'token'", f"the file {tmp_path / 'token'}")):
        text = f"[telegram]\ntoken = {{ {source} }}\nchannel = 'telegram:-1001'\n{APP}{ENVIRONMENT}{SERVER}"
        assert problems(text, T=value) == [f"telegram.token: {what} {why}"]


def test_private_keys_of_servers_repositories_and_engines_are_looked_at(
    problems: Callable[..., list[str]], tmp_path: Path
) -> None:
    for name in ("open", "ca", "cert"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    text = (
        SERVER.replace("agent = true\n", "")
        + "key = { file = 'open' }\ncertificate = { file = 'none' }\ndocker = 'tcp://127.0.0.1:2376'\n"
    )
    found = problems(text + "docker_tls = { ca = 'ca', cert = 'cert', key = 'open' }\n")
    assert [problem.partition(":")[0] for problem in found] == [
        "servers.web1.key",
        "servers.web1.certificate",
        "servers.web1.docker_tls.key",
    ]


CANARY = "c4n4ry-Value-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"{SERVER}password = '{CANARY}'",
        f"{SERVER}password = ['{CANARY}']",
        f"{APP}secrets = {{ S = '{CANARY}' }}\n{ENVIRONMENT}{SERVER}",
        f"{APP}repo_token = '{CANARY}'\n{ENVIRONMENT}{SERVER}",
        f"{SERVER}key = '{CANARY}'",
        f"{SERVER}host_key = '{CANARY}'",
    ],
)
def test_a_secret_written_into_the_file_is_refused_and_not_repeated(
    problems: Callable[..., list[str]], text: str
) -> None:
    found = problems(text)
    assert len(found) == 1
    assert CANARY not in found[0]
    assert "which bot.toml must not contain" in found[0] or "file = " in found[0] or "public key" in found[0]


@pytest.mark.parametrize(
    "value",
    ["ghp_" + "a1B2" * 9, "xoxb-1234567890-abcdef", "AKIA" + "A1B2C3D4" * 2, "postgres://app:pa55word@db/x"],
)
def test_what_looks_like_a_secret_is_refused_anywhere(problems: Callable[..., list[str]], value: str) -> None:
    found = problems(f"{APP}env = {{ TOKEN = '{value}' }}\ntasks = {{ x = 'go {value}' }}\n{ENVIRONMENT}{SERVER}")
    assert [problem.partition(": ")[0] for problem in found] == ["apps.shop.env.TOKEN", "apps.shop.tasks.x"]
    assert all("looks like a secret" in problem and value not in problem for problem in found)


def test_a_url_with_variables_for_user_and_password_is_no_secret(write: Write) -> None:
    load(write(f'{APP}tasks = {{ x = "psql postgres://$USER:${{PASS}}@db/x" }}\n{ENVIRONMENT}{SERVER}'), {})


def test_secrets_show_nowhere_but_where_they_are_used(write: Write) -> None:
    settings = load(write(f"{APP}secrets = {{ S = {{ env = 'S' }} }}\n{ENVIRONMENT}{SERVER}"), {"S": CANARY})
    secret = settings.apps["shop"].secrets["S"]
    assert secret.reveal() == CANARY
    assert secrets_of(settings) == (CANARY,)
    shown = [repr(settings), str(settings), f"{secret} {secret!r} {secret:}", settings.model_dump_json()]
    shown += [str(settings.model_dump()), str(settings.model_json_schema()), str(vars(secret)), str([*secret])]
    assert not [text for text in shown if CANARY in text]
    assert str(secret) == "Secret(env S)"


def test_secrets_do_not_show_in_problems_either(problems: Callable[..., list[str]]) -> None:
    found = problems(f"{APP}keep = '{CANARY}'\nsecrets = {{ S = {{ env = 'S' }} }}\n{ENVIRONMENT}{SERVER}", S=CANARY)
    assert found == ['apps.shop.keep: should be a whole number, got "•••"']
