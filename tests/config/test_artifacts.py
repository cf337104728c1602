"""`artifact` of an app: which keys go together, and what such an app cannot have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.config import load
from deploybot.settings import App
from tests.config.conftest import SERVER, Write

URL = "https://b.example.com/site-{ref}.tar.gz"
GOOD = f'artifact = {{ url = "{URL}", sha256 = "{URL}.sha256" }}\n'
BY_COMMIT = """
repo = "/srv/repo"
branch = "main"
artifact = { url = "https://b.example.com/{sha}?{ref}", sha256 = "https://b.example.com/{sha}", token.env = "T" }
"""
HTTP = '[http]\nlisten = "127.0.0.1:8000"\nurl = "https://bot.example.com"\n'
SECRET = "0123456789abcdefABCDEFghijkl"


def toml(app: str = "", environment: str = "", *, strategy: str = "files", more: str = "") -> str:
    return (
        f'{SERVER}{more}[apps.site]\nstrategy = "{strategy}"\ndirectory = "/srv/site"\n{app}'
        f'[apps.site.environments.live]\nservers = ["web1"]\n{environment}'
    )


def read(write: Write, text: str) -> App:
    return load(write(text), {"S": SECRET, "T": SECRET}).apps["site"]


@pytest.mark.parametrize(
    ("app", "strategy", "more"),
    [
        (GOOD, "files", ""),
        (f'{GOOD}script = "deploy.sh"\n', "script", ""),
        ("artifact = { upload = true }\n", "files", ""),
        ('artifact = { upload = true, secret = { env = "S" }, max_size = "1GB" }\n', "files", HTTP),
        (f'artifact = {{ url = "https://b.example.com/site.zip", sha256 = "{"A" * 64}" }}\n', "files", ""),
        (BY_COMMIT, "files", ""),
        ('artifact = { url = "http://127.0.0.1:1/{ref}", sha256 = "http://[::1]:1/sums" }\n', "files", ""),
        (
            'artifact = { url = "https://b.example.com/{ref}/", sha256 = "https://b.example.com/x", name = "x.zip" }\n',
            "files",
            "",
        ),
        (f'{GOOD}shared = {{ from = "/srv/old", paths = ["data"] }}\nbuild = "make"\noutput = "dist"\n', "files", ""),
    ],
)
def test_an_app_with_artifacts_needs_no_repository(write: Write, app: str, strategy: str, more: str) -> None:
    found = read(write, toml(app, strategy=strategy, more=more))
    assert found.artifact is not None
    assert (found.bot_folder, found.server_folder, found.has_images, found.has_own_files) == (
        "/srv/site",
        "",
        False,
        False,
    )


ARTIFACT = "apps.site.artifact"


@pytest.mark.parametrize(
    ("artifact", "problem"),
    [
        ("{ }", f"{ARTIFACT}: should have exactly one of url, upload, actions and job, has nothing"),
        (
            f'{{ upload = true, url = "{URL}", sha256 = "{URL}" }}',
            f"{ARTIFACT}: should have exactly one of url, upload, actions and job, has url and upload",
        ),
        (
            f'{{ url = "{URL}" }}',
            f"{ARTIFACT}.sha256: is missing: give the address of a checksum file, or the SHA-256 itself",
        ),
        (
            f'{{ url = "{URL}", sha256 = "{"a" * 64}" }}',
            f"{ARTIFACT}.sha256: is one SHA-256, but `url` has many files: give the address of a checksum file",
        ),
        (
            f'{{ url = "https://b.example.com/site.zip", sha256 = "{URL}" }}',
            f"{ARTIFACT}.sha256: has many addresses, but `url` has one: put {{ref}} or {{sha}} into `url`, too",
        ),
        (
            f'{{ url = "https://b.example.com/{{ref}}/?file=site.zip", sha256 = "{URL}" }}',
            f'{ARTIFACT}.url: has no file name at its end: add `name`, such as name = "site.tar.gz"',
        ),
        (
            f'{{ url = "https://b.example.com/{{ref}}.tar.XZ", sha256 = "{URL}" }}',
            f"{ARTIFACT}.url: is an archive that the bot does not unpack: publish .tar.gz, .tgz, .tar or .zip",
        ),
        (
            '{ url = "https://b.example.com/{sha}", sha256 = "https://b.example.com/sums" }',
            f"{ARTIFACT}.url: has {{sha}}, the commit of a ref, but there is no `repo` to look it up: set `repo`",
        ),
        (
            '{ upload = true, token = { env = "T" } }',
            f"{ARTIFACT}.token: is for `url` only: uploads bring their own SHA-256",
        ),
        (
            f'{{ url = "{URL}", sha256 = "{URL}.sum", secret = {{ env = "S" }} }}',
            f"{ARTIFACT}.secret: is for `upload = true` only: it signs uploads",
        ),
        (
            '{ upload = true, secret = { env = "S" } }',
            f"{ARTIFACT}.secret: needs the HTTP server for uploads: add [http] with listen and url",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(
    problems: Callable[..., list[str]], artifact: str, problem: str
) -> None:
    assert problems(toml(f"artifact = {artifact}\n"), S=SECRET, T=SECRET) == [problem]


GITHUB = 'forge = { kind = "github", token = { env = "T" } }\n'
GITLAB = 'forge = { kind = "gitlab", token = { env = "T" } }\n'
STRANGE = f'workflow = "b.yml", name = "b.zip", sha256 = "{"a" * 64}", token = {{ env = "T" }}'
NO_FORGE = "needs the forge and its token: add [apps.site.forge]"
ACTIONS = 'artifact = { actions = "site", workflow = "build.yml", name = "site.tgz" }\n'


@pytest.mark.parametrize(
    ("app", "origin"),
    [
        (f'repo = "git@github.com:acme/site.git"\n{GITHUB}{ACTIONS}', "the artifact site of GitHub Actions"),
        (
            f'repo = "https://gitlab.com/acme/site"\nbranch = "main"\n{GITLAB}artifact = {{ job = "build" }}\n',
            "the artifacts of GitLab's job build",
        ),
    ],
)
def test_artifacts_of_a_forge_have_a_repository_and_its_forge(write: Write, app: str, origin: str) -> None:
    found = read(write, toml(app)).artifact
    assert found is not None
    assert (found.origin, found.on_forge, found.needs_commit) == (origin, True, True)


@pytest.mark.parametrize(
    ("app", "found"),
    [
        (
            f"{GITHUB}{ACTIONS}",
            [
                f"{ARTIFACT}.actions: is what was built from a commit, but there is no `repo` to look it up",
            ],
        ),
        (
            f'repo = "git@github.com:acme/site.git"\n{ACTIONS}',
            [
                f'{ARTIFACT}.actions: {NO_FORGE} with kind = "github" and a token that may read it',
            ],
        ),
        (
            f'repo = "git@gitlab.com:acme/site.git"\n{GITHUB}artifact = {{ job = "build" }}\n',
            [
                f'{ARTIFACT}.job: {NO_FORGE} with kind = "gitlab" and a token that may read it',
            ],
        ),
        (
            f'repo = "http://git.example.com/acme/site.git"\n{GITHUB}{ACTIONS}',
            ["apps.site.forge: has an API without TLS, so anybody on the way can replace files: set api_url"],
        ),
        (
            f'repo = "https://gitlab.com/acme/site"\n{GITLAB}artifact = {{ job = "b", {STRANGE} }}\n',
            [
                f"{ARTIFACT}.name: is for `url` and `actions` only: the artifacts of a job are a zip",
                f"{ARTIFACT}.sha256: is for `url` only: `job` uses the app's forge",
                f"{ARTIFACT}.token: is for `url` only: `job` uses the app's forge",
                f"{ARTIFACT}.workflow: is for `actions` only: it is a workflow of GitHub Actions",
            ],
        ),
        (
            'artifact = { upload = true, name = "b.zip" }\n',
            [f"{ARTIFACT}.name: is for `url` and `actions` only: uploads bring their own name"],
        ),
        (
            'artifact = { upload = true, name = "b.7z" }\n',
            [f"{ARTIFACT}.name: is an archive that the bot does not unpack: publish .tar.gz, .tgz, .tar or .zip"],
        ),
        (
            f'artifact = {{ url = "https://b.example.com/x.zip", sha256 = "{"a" * 64}", name = "{{ref}}.zip" }}\n',
            [f"{ARTIFACT}.name: has many names, but `url` has one file: remove {{ref}} and {{sha}} from `name`"],
        ),
        *(
            (
                f"artifact = {{ {key} = '{value}' }}\n",
                [f"{ARTIFACT}.{key}: should be {text}"],
            )
            for key, value, text in (
                ("name", "a/b.zip", "the name of a file"),
                ("name", ".zip", "the name of a file"),
                ("name", "{tag}.zip", "the name of a file"),
                ("actions", "a/b", "the name that the workflow gives to upload-artifact"),
                ("actions", "", "the name that the workflow gives to upload-artifact"),
                ("workflow", "../x.yml", "the name of a file in .github/workflows"),
                ("workflow", "Build", "the name of a file in .github/workflows"),
                ("job", "", "the name of a job in .gitlab-ci.yml"),
            )
        ),
    ],
)
def test_keys_of_a_forge_that_do_not_go_together_are_refused(
    problems: Callable[..., list[str]], app: str, found: list[str]
) -> None:
    said = sorted(problems(toml(app), S=SECRET, T=SECRET))
    assert [one[: len(start)] for one, start in zip(said, sorted(found), strict=True)] == sorted(found), said


@pytest.mark.parametrize(
    "url",
    [
        "http://b.example.com/{ref}",
        "ftp://b.example.com/{ref}",
        "https://user:pass@b.example.com/{ref}",
        "https://{ref}.example.com/site",
        "https://b.example.com/{tag}",
        "https://b.example.com/{ref",
        "https://169.254.169.254/{ref}",
        "https://b.example.com/{ref}#x",
        "https://b.example.com:0/{ref}",
        "/srv/{ref}",
    ],
)
def test_other_addresses_are_refused(problems: Callable[..., list[str]], url: str) -> None:
    (found,) = problems(toml(f'artifact = {{ url = "{url}", sha256 = "https://b.example.com/sums" }}\n'))
    assert found.startswith(f"{ARTIFACT}.url: should ")
    assert "pass" not in found.partition("put the token")[0].replace("password", "")


WHY = "but apps.site deploys artifacts: remove `{key}`, or remove `artifact`"


@pytest.mark.parametrize(
    ("app", "environment", "key", "what"),
    [
        ('warn_paths = ["a"]\n', "", "warn_paths", "compares commits"),
        ("", 'refs = ["main"]\n', "refs", "limits which commits may run"),
        ("", 'approvals = 1\napprovals_exclude = "authors"\n', "approvals_exclude", "is about the authors of commits"),
        ("", 'warn_paths = ["a"]\n', "warn_paths", "compares commits"),
        ("", 'auto = { branch = "main" }\n', "auto", "deploys commits and images"),
    ],
)
def test_keys_about_commits_are_refused(
    problems: Callable[..., list[str]], app: str, environment: str, key: str, what: str
) -> None:
    repo = 'repo = "/srv/repo"\n'
    path = "apps.site.environments.live" if environment else "apps.site"
    expected = f"{path}.{key}: {what}, {WHY.format(key=key)}"
    assert problems(toml(f"{repo}{GOOD}{app}", environment)) == [expected]


def test_a_branch_needs_the_commit_in_the_address(problems: Callable[..., list[str]]) -> None:
    found = problems(toml(f'repo = "/srv/repo"\n{GOOD}branch = "main"\n', 'branch = "next"\n'))
    assert found == [
        "apps.site.branch: has no effect without {sha} in the artifact's `url`: remove it",
        "apps.site.environments.live.branch: has no effect without {sha} in the artifact's `url`: remove it",
    ]


def test_keys_about_a_repository_need_one(problems: Callable[..., list[str]]) -> None:
    found = problems(toml(f'{GOOD}branch = "main"\n', 'branch = "next"\n'))
    assert found == [
        "apps.site.branch: needs a repository, but apps.site has no `repo`: remove `branch`, or set `repo`",
        "apps.site.environments.live.branch: needs a repository: remove it, or set `repo`",
    ]


def test_apps_in_containers_have_no_artifacts(problems: Callable[..., list[str]]) -> None:
    found = problems(toml(GOOD, strategy="compose"))
    assert 'apps.site.artifact: is for strategy = "files" or "script" only; this one is "compose"' in found


def test_a_secret_that_is_easy_to_guess_is_refused(problems: Callable[..., list[str]]) -> None:
    found = problems(toml('artifact = { upload = true, secret = { env = "S" } }\n', more=HTTP), S="secret1")
    assert found == [
        f"{ARTIFACT}.secret: is too easy to guess: use at least 16 random bytes, such as from `openssl rand -hex 32`"
    ]
