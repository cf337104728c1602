"""What is shipped: the wheel, the locks, the Makefile, the documents, and nothing of a developer's machine."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deploybot import __version__
from deploybot.cli import COMMANDS, main
from tests.lab.run import run

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock", "requirements-docs.lock")
DOCUMENTS = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
PAGES = (*DOCUMENTS, *sorted((ROOT / "docs" / "reference").glob("*.md")))
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as the image builds it: without a network, by the pinned build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"),
        *("--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT),
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel)
    # What it depends on is here already; downloading it again would show nothing.
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(packages) / "dependencies.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    return folder / "bin"


def _tracked() -> list[str]:
    return [name for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0") if name and (ROOT / name).is_file()]


def test_the_wheel_holds_all_of_both_packages(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in _tracked() if name.startswith(("deploybot/", "commands/"))}
    assert wanted <= held
    assert "deploybot/py.typed" in held
    assert any(name.startswith("deploybot/strategies/scripts/") and name.endswith(".sh") for name in held)
    assert "deploybot/ssh/runner.sh" in held


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"deploybot", "commands", f"deploybot-{__version__}.dist-info"}


def test_the_versions_agree(wheel: Path) -> None:
    assert f"-{__version__}-" in wheel.name
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_installed_wheel_runs_by_itself(installed: Path, tmp_path: Path) -> None:
    elsewhere = {"PYTHONPATH": ""}
    said = run(installed / "deploybot", "version", cwd=tmp_path, env=elsewhere)
    assert said.startswith(f"deploybot {__version__} ")
    ask = "import deploybot, commands; print(deploybot.__file__, commands.__file__)"
    where = run(installed / "python", "-c", ask, cwd=tmp_path, env=elsewhere)
    assert all(path.startswith(str(installed.parent)) for path in where.split())


def test_the_installed_wheel_writes_and_reads_a_bot_toml(installed: Path, tmp_path: Path) -> None:
    flags = ("--server", "deploy@203.0.113.10", "--repo", "/srv/git/shop.git", "--strategy", "compose", "--key", "")
    run(installed / "deploybot", "init", *flags, cwd=tmp_path)
    assert "server web1" in run(installed / "deploybot", "check", "--offline", cwd=tmp_path)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    assert len(entries) > 5
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+ ", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


def test_the_locks_agree_with_each_other_and_with_what_is_asked_for() -> None:
    pinned = [dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)) for name in LOCKS]
    runtime, dev, build, docs = pinned
    assert runtime.items() <= dev.items()
    assert build.items() <= dev.items()
    # What builds the site stays out of the environment of the tests.
    assert "mkdocs-material" in docs
    assert not {"mkdocs", "mkdocs-material"} & set(dev)
    project = (ROOT / "pyproject.toml").read_text()
    assert f'requires = ["hatchling=={build["hatchling"]}"]' in project


def test_nothing_tracked_names_a_developers_machine_or_a_registry() -> None:
    private = re.compile(r"/root/|/home/(?!deploy|me\b|you\b)|/work/|/Users/")
    addresses = re.compile(r"pypi\.org|pythonhosted\.org|deb\.debian\.org")
    found = [
        f"{name}: {match[0]}"
        for name in _tracked()
        for pattern in (private, addresses)
        if ROOT / name != Path(__file__) and (match := pattern.search((ROOT / name).read_text(errors="replace")))
    ]
    assert not found


def test_programs_are_executable_and_nothing_else_is() -> None:
    wrong = []
    for name in _tracked():
        begins = (ROOT / name).read_bytes()[:2] == b"#!"
        runs = bool((ROOT / name).stat().st_mode & 0o100)
        # Scripts that the bot sends to servers are read there by sh, and need not run here.
        if runs != begins and (runs or not name.endswith(".sh")):
            wrong.append(name)
    assert not wrong


def test_make_help_has_one_line_for_each_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)) - {"venv"}
    lines = run("make", "--no-print-directory", cwd=ROOT, env={"MAKEFLAGS": ""}).splitlines()
    assert {line.split()[0] for line in lines} == phony
    assert {"demo", "test", "lint", "bench", "image", "chaos", "fmt"} <= phony
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("#!/bin/sh\ncase $2 in *version_info*) exit 1;; esac\n", "needs Python 3.11 or later"),
        ("#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; esac\n", "sudo apt-get install python3-venv"),
    ],
)
def test_make_says_what_python_lacks(tmp_path: Path, program: str, says: str) -> None:
    python = tmp_path / "python3"
    python.write_text(program)
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "venv", f"PYTHON={python}"],
        cwd=ROOT,
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert says in done.stdout


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    broken = [link for link in _links(path) if "://" not in link and not _leads(path, link)]
    assert not broken


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_documents_are_linked_from_the_readme_or_the_index(path: Path) -> None:
    index = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (ROOT / "README.md", ROOT / "docs" / "README.md")
        for link in _links(page)
    }
    assert path in index | {ROOT / "README.md"}


def _links(path: Path) -> Iterator[str]:
    yield from _LINK.findall(_CODE.sub("", path.read_text()))


def _leads(path: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(path: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _subcommands(group: click.Group, before: str = "deploybot") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _subcommands(command, f"{before} {name}")
        else:
            yield f"{before} {name}"


@pytest.mark.parametrize("command", [*_subcommands(main)])
def test_every_subcommand_is_reported_in_the_documents(command: str) -> None:
    said = "\n".join(path.read_text() for path in DOCUMENTS)
    _, *groups, name = command.split()
    pattern = r"deploybot audit [a-z|` ,]*" if "audit" in groups else r"deploybot (--config \S+ )?"
    within = "".join(f"{group} " for group in groups if group != "audit")
    assert re.search(rf"{pattern}{within}\b{name}\b", said)


def test_the_unit_runs_a_program_that_is_there_with_options_that_are() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "docs" / "deploybot.service")
    service = unit["Service"]
    program, *options = service["ExecStart"].split()
    assert program.endswith("/bin/deploybot")
    assert options[-1] in COMMANDS
    assert options[0] in {flag for parameter in main.params for flag in parameter.opts}
    assert service["User"] not in {"", "root"}
    assert int(service["TimeoutStopSec"]) > 10
