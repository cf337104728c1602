"""How scripts and values reach a shell: quoted by one function, complete or not at all."""

from __future__ import annotations

import hashlib
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.errors import UserError
from deploybot.ssh import remote_shell

# Half of a surrogate pair is refused, except for those that stand for a byte.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.binary().map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)


BUSYBOX_ASH = pytest.param(("busybox", "ash"), marks=pytest.mark.needs("busybox"))


@given(texts)
def test_a_quoted_text_is_one_word_and_that_text(text: str) -> None:
    assert shlex.split(f"a {remote_shell.quote(text)} b") == ["a", text, "b"]


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_0-9]{0,8}", fullmatch=True), texts, max_size=4), texts)
def test_a_frame_is_assignments_that_hold_everything(env: dict[str, str], text: str) -> None:
    frame = remote_shell.frame(text, {f"X_{name}": value for name, value in env.items()})
    words = shlex.split(frame.data.decode("utf-8", "surrogateescape").removesuffix("\n#end"))
    assert words[0] == f"bot_script={text}"
    environment, way = words[1].removeprefix("bot_environment="), remote_shell.script("docker_way")
    assert environment.endswith(way)
    inner = shlex.split(environment.removesuffix(way))
    assert [word for word in inner if "=" in word or word == "export"][::2] == [
        f"X_{name}={value}" for name, value in env.items()
    ] or "export" in "".join(env.values())
    assert frame.sha256 == hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "UID", "PPID", "SHELLOPTS"])
def test_names_that_no_shell_can_set_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of a variable"):
        remote_shell.frame("true", {name: "x"})


def test_a_value_with_a_nul_is_refused_and_not_shown() -> None:
    with pytest.raises(UserError) as caught:
        remote_shell.frame("true", {"TOKEN": "se\0cret"})
    assert "TOKEN" in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "nothing", "../runner", "runner.sh", "/etc/passwd", "Runner"])
def test_only_packaged_scripts_have_a_text(name: str) -> None:
    with pytest.raises(KeyError):
        remote_shell.script(name)


def test_the_runner_is_named_by_its_content() -> None:
    runner = remote_shell.runner()
    digest = hashlib.sha256(remote_shell.script("runner").encode()).hexdigest()
    assert runner.file == f"~/.deploybot/runner-{digest[:12]}.sh"
    assert runner.command("poll", "job", 0) == f"exec sh {runner.file} poll job 0"


@pytest.mark.parametrize("name", ["runner", "ready", "probe", "receive", "resolve", "docker_way", "docker_why"])
@pytest.mark.parametrize("program", [("dash",), BUSYBOX_ASH, ("bash", "--posix")])
def test_packaged_scripts_are_posix_to_every_shell(name: str, program: tuple[str, ...]) -> None:
    checked = subprocess.run(
        [*program, "-n"], input=remote_shell.script(name).encode(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_half_a_surrogate_pair_is_refused_and_not_shown() -> None:
    with pytest.raises(UserError, match="The value of WHY contains half of a surrogate pair"):
        remote_shell.frame("", {"WHY": "because \ud800"})
