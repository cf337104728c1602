"""Keys that an environment has instead of its app: what holds there, and mistakes in them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploybot.config import load
from deploybot.config.config_tables import within
from deploybot.domain import Channel
from deploybot.settings import PER_ENVIRONMENT, App, Environment, Logs, Settings, project_name
from tests.config.conftest import APP, SERVER, Write

ROOT = Path(__file__).parents[2]
STAGING = "apps.shop.environments.staging"
BOTH = f'[{STAGING}]\nservers = ["web1"]\ndirectory = "/srv/staging"\n'
PRODUCTION = '[apps.shop.environments.production]\nservers = ["web1"]\n'
FULL = """
branch = "main"
channel = "console"
logs = { docker = "web" }
tasks = { migrate = "./migrate", seed = "./seed" }
warn_paths = ["migrations/**"]
keep = 7
stable = "20s"
need_disk = "1GB"
step_timeout = "20m"
env = { A = "app", B = "app" }
[apps.shop.compose]
files = ["compose.yaml", "prod.yaml"]
profiles = ["web"]
env_file = "prod.env"
source = "images"
wait = "3m"
[apps.shop.images.web]
image = "acme/shop"
tag = "main"
[apps.shop.images.worker]
image = "acme/worker"
"""
OWN = """
branch = "develop"
compose = { profiles = [], project = "try", wait = "1m" }
images = { web = { tag = "develop" }, mail = { image = "acme/mail" } }
tasks = { seed = "./seed --all", clear = "./clear" }
warn_paths = []
keep = 2
stable = 0
need_memory = "100MB"
env = { B = "staging", C = "staging" }
"""


@pytest.fixture
def settings(write: Write) -> Settings:
    return load(write(f"{SERVER}{APP}{FULL}{BOTH}{OWN}{PRODUCTION}"), {})


def test_an_environment_has_its_own_values_and_takes_the_rest_of_the_app(settings: Settings) -> None:
    there = settings.apps["shop"].at("staging")
    assert (there.name, there.branch, there.keep, there.stable, there.warn_paths) == ("shop", "develop", 2, 0.0, ())
    assert (there.need_disk, there.need_memory, there.step_timeout) == (1_000_000_000, 100_000_000, 1200.0)
    assert (there.directory, there.channel, there.logs) == (
        "/srv/staging",
        (Channel("console", "console"),),
        Logs(docker="web"),
    )
    compose = there.compose
    assert (compose.files, compose.profiles, compose.env_file) == (("compose.yaml", "prod.yaml"), (), "prod.env")
    assert (compose.project, compose.source, compose.wait) == ("try", "images", 60.0)
    images = {service: (one.image, one.tag) for service, one in there.images.items()}
    assert images == {
        "web": ("acme/shop", "develop"),
        "worker": ("acme/worker", "latest"),
        "mail": ("acme/mail", "latest"),
    }
    assert there.tasks == {"migrate": "./migrate", "seed": "./seed --all", "clear": "./clear"}
    assert there.env == {"A": "app", "B": "staging", "C": "staging"}


def test_the_app_and_its_other_environments_stay_as_they_are(settings: Settings) -> None:
    app = settings.apps["shop"]
    there = app.at("staging").at("production")
    for one in (app, there):
        assert (one.branch, one.keep, one.stable, one.warn_paths) == ("main", 7, 20.0, ("migrations/**",))
        assert (one.compose.profiles, one.compose.project, one.images["web"].tag) == (("web",), None, "main")
        assert one.tasks == {"migrate": "./migrate", "seed": "./seed"}
    assert there.directory == "/srv/shop"
    assert [one.branch for one in app.everywhere()] == ["develop", "main"]
    names = [project_name(app, environment) for environment in app.environments.values()]
    assert names == [project_name(there, one) for one in app.environments.values()] == ["try", "shop-production"]


def test_what_is_there_once_stays_there(settings: Settings) -> None:
    """A site with the Compose files of a record is not given those of bot.toml again."""
    there = settings.apps["shop"].at("staging")
    recorded = there.model_copy(update={"keep": 99})
    assert recorded.at("staging") is recorded
    assert there.at(settings.apps["shop"].environments["staging"]) is there
    assert there.at("gone") is settings.apps["shop"] is settings.apps["shop"].at("")
    assert there.at("production") is settings.apps["shop"]


def test_every_key_of_both_tables_is_one_that_an_environment_may_have() -> None:
    both = App.known_keys().keys() & Environment.known_keys().keys()
    assert both == PER_ENVIRONMENT
    assert App.known_keys().keys() - both == {
        *(
            "repo",
            "repo_key",
            "repo_host_key",
            "repo_token",
            "artifact",
            "strategy",
            "hooks",
            "notify",
            "forge",
            "poll",
            "environments",
        )
    }


WEB = 'images = { web = { image = "acme/shop" } }\n'
UTC = "is for `file` and `command` only: containers and journald log in UTC"
SLACK = '"slack:C0STAGING123" needs [slack], which is missing: add it, or remove this channel'


@pytest.mark.parametrize(
    ("app", "keys", "found"),
    [
        ("", 'branch = "no good"', 'branch: should be a branch name, such as "main", got "no good"'),
        ("", 'build = "make"', 'build: is for strategy = "files" only; this one is "compose"'),
        ("", "keep = 0", "keep: should be at least 1, got 0"),
        ("", "kepe = 2", 'kepe: unknown key, did you mean "keep"?'),
        ("", "poll = 60", "poll: unknown key here; it belongs in [apps.NAME]"),
        ("", 'strategy = "files"', "strategy: unknown key here; it belongs in [apps.NAME]"),
        ("", 'compose = { profile = ["a"] }', 'compose.profile: unknown key, did you mean "profiles"?'),
        ("", 'compose = { source = "none" }', 'compose.source: should be "build" or "images", got "none"'),
        ("", "logs = {}", "logs: should have exactly one of docker, file, journald and command, has nothing"),
        ("", 'logs = { docker = "*", timezone = "UTC" }', f"logs.timezone: {UTC}"),
        ("", 'channel = "slack:C0STAGING123"', f"channel: {SLACK}"),
        ("", 'images = { web = { tag = "a" } }', "images.web.image: is missing: apps.shop.images has no web"),
        ("", "images = { web = {} }", "images.web.image: is missing: apps.shop.images has no web"),
        (
            WEB,
            'images = { wbe = { tag = "develop" } }',
            'images.wbe.image: is missing: apps.shop.images has no wbe, did you mean "web"?',
        ),
        ("", "auto = { image = true }", "auto.image: needs images, but apps.shop.images is empty"),
    ],
)
def test_a_mistake_names_the_environment(problems: Callable[..., list[str]], app: str, keys: str, found: str) -> None:
    assert problems(f"{SERVER}{APP}{app}{BOTH}{keys}\n{PRODUCTION}") == [f"{STAGING}.{found}"]


@pytest.mark.parametrize(
    ("app", "own", "project"),
    [
        ('compose = { project = "shop" }\n', "", "shop"),
        ("", 'compose = { project = "shop-production" }\n', "shop-production"),
    ],
)
def test_two_environments_on_a_server_cannot_share_a_project(
    problems: Callable[..., list[str]], app: str, own: str, project: str
) -> None:
    (found,) = problems(f"{SERVER}{APP}{app}{BOTH}{own}{PRODUCTION}")
    uses = f"uses the Compose project {project} on web1, and so does {STAGING}; use a different one for each"
    assert found == f"apps.shop.environments.production: {uses}"


def test_projects_and_images_may_be_an_environments_own(write: Write) -> None:
    own = 'compose = { project = "try" }\nimages = { web = { image = "acme/shop" } }\nauto = { image = true }\n'
    settings = load(write(f'{SERVER}{APP}compose = {{ project = "shop" }}\n{BOTH}{own}{PRODUCTION}'), {})
    app = settings.apps["shop"]
    assert [project_name(app, one) for one in app.environments.values()] == ["try", "shop"]
    assert (app.images, [*app.at("staging").images]) == ({}, ["web"])


@pytest.mark.parametrize(("own", "lacks"), [("", ""), ('script = "s.sh"\n', ".environments.production")])
def test_what_a_strategy_needs_may_come_from_each_environment(
    problems: Callable[..., list[str]], write: Write, own: str, lacks: str
) -> None:
    app = APP.replace("compose", "script")
    needs = 'is missing: strategy "script" needs the path of the script in the repository or artifact'
    assert problems(f"{SERVER}{app}{BOTH}{own}{PRODUCTION}") == [f"apps.shop{lacks}.script: {needs}"]
    load(write(f'{SERVER}{app}{BOTH}script = "a.sh"\n{PRODUCTION}script = "b.sh"\n'), {})


def test_after_needs_images_of_the_same_services(problems: Callable[..., list[str]], write: Write) -> None:
    images = 'images = { web = { image = "acme/shop" } }\n'
    more = 'images = { web = { tag = "develop" }, mail = { image = "acme/mail" } }\n'
    after = f'{PRODUCTION}after = "staging"\n'
    (found,) = problems(f"{SERVER}{APP}{images}{BOTH}{more}{after}")
    assert found == (
        "apps.shop.environments.production.after: can never be reached: production pins the images of web, but staging "
        "those of mail and web; give both the same services in `images`"
    )
    load(write(f'{SERVER}{APP}{images}{BOTH}images = {{ web = {{ tag = "develop" }} }}\n{after}'), {})


def test_a_secret_of_an_environment_is_there_too(write: Write) -> None:
    text = f'{SERVER}{APP}secrets = {{ A = {{ env = "A" }} }}\n{BOTH}secrets = {{ B = {{ env = "B" }} }}\n{PRODUCTION}'
    app = load(write(text), {"A": "the first secret", "B": "the second secret"}).apps["shop"]
    assert {name: one.reveal() for name, one in app.at("staging").secrets.items()} == {
        "A": "the first secret",
        "B": "the second secret",
    }
    assert [*app.at("production").secrets] == ["A"]
    assert any(path[-2:] == ("secrets", "B") for path, _ in within(app))


DERIVED = frozenset({"bot_folder", "server_folder", "compose_source", "has_images"})
"""What an app derives from such keys."""

READERS = {
    "commands/apps.py": "takes each environment",
    "deploybot/applogs/log_sources.py": "gets the app from AppLogs.show",
    "deploybot/autodeploy/detector.py": "gets the app from TriggerDetector.look",
    "deploybot/chat/card_channels.py": "lists all channels",
    "deploybot/check/app_checks.py": "gets the app from branches_of and images_of",
    "deploybot/check/server_checks.py": "gets the app from _targets_on",
    "deploybot/cli/check_command.py": "lists what the app has, and what an environment has instead",
    "deploybot/deployments/followed_tags.py": "gets the app from Releases.ignored_tags",
    "deploybot/deployments/local_images.py": "gets the app from a site",
    "deploybot/deployments/meant_images.py": "gets the app from Releases and ServerImages",
    "deploybot/deployments/ref_resolution.py": "takes that of the environment in Releases.resolve",
    "deploybot/deployments/release_verification.py": "gets the app from Executor.target",
    "deploybot/deployments/restore.py": "gets the app from Executor.target",
    "deploybot/deployments/retention.py": "gets the app from a site",
    "deploybot/deployments/runner.py": "gets the app from Executor.target",
    "deploybot/deployments/stage_runner.py": "gets the app from Executor.target",
    "deploybot/deployments/server_images.py": "gets the app from Releases and TriggerDetector",
    "deploybot/deployments/step_execution.py": "gets the app from Executor.target",
    "deploybot/deployments/switch_tasks.py": "gets the app from Planner.deploy and a site",
    "deploybot/deployments/target_inspection.py": "adds the environment's secrets",
    "deploybot/notifications/channel_routing.py": "events of the app as a whole",
    "deploybot/notifications/event_buttons.py": "wanted_tag gets the app of an environment",
    "deploybot/observed_state/observation.py": "takes that of the environment in observe",
    "deploybot/ports/strategy_port.py": "a site takes that of its environment",
    "deploybot/sources/git_source.py": "gets the app from Releases and Planner",
    "deploybot/sources/image_source.py": "gets the app from Releases and TriggerDetector",
    "deploybot/status/server_look.py": "takes that of the environment in look",
    "deploybot/status/status_cards.py": "puts the environment's first",
    "deploybot/strategies/common_steps.py": "gets the app from a site",
    "deploybot/strategies/compose/compose_strategy.py": "gets the app from a site",
    "deploybot/strategies/compose/release_study.py": "gets the app from a site",
    "deploybot/strategies/compose/server_files.py": "gets the app from a site",
    "deploybot/strategies/compose/step_values.py": "gets the app from a site",
    "deploybot/strategies/files_strategy.py": "gets the app from a site",
    "deploybot/strategies/release_folders.py": "gets the app from a site",
    "deploybot/strategies/script_strategy.py": "gets the app from a site",
    "deploybot/strategies/server_requirements.py": "gets the app from a site",
    "deploybot/testing/fake_images.py": "as the real one",
    "deploybot/testing/fake_refs.py": "as the real one",
    "deploybot/wiring/autodeploy_wiring.py": "gets the app from TriggerRecords.put, or as a whole from the poller",
}
"""The modules that read such a key of an app, and why it is the environment's. A new one has to say so."""


def _readers() -> Iterator[str]:
    for path in (*ROOT.glob("deploybot/**/*.py"), *ROOT.glob("commands/*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(("deploybot/settings/", "deploybot/config/", "deploybot/demo/", "deploybot/chat/console/")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            of = node.value if isinstance(node, ast.Attribute) and node.attr in PER_ENVIRONMENT | DERIVED else None
            named = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
            target = isinstance(of, ast.Subscript) and "target(" in ast.unparse(of)
            if named == "app" or target:
                yield name


def test_every_reader_of_such_a_key_says_why_it_is_the_environments() -> None:
    found = {*_readers()}
    assert not found - READERS.keys(), "read it of `app.at(environment)`, and say in READERS where that is done"
    assert not READERS.keys() - found
