"""The manifest makes an app with which every command works, and which may do no more than the bot needs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploybot.chat.slack.app_manifest import manifest
from deploybot.chat.slack.oauth_scopes import EVENTS, SCOPES, bot_scopes
from deploybot.chat.slack.slash_command_names import BUILT_IN, advice, command_line, slash_name
from deploybot.cli import main
from deploybot.command_loader import load
from tests.chat.slack.workspace import Workspace, open_workspace
from tests.doubles.slack import SlackDouble
from tests.doubles.slack.manifest import make
from tests.doubles.slack.web import METHODS

COMMANDS = load()


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["slack-manifest", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)


def test_every_command_is_in_it_with_a_name_that_is_free() -> None:
    made = make(printed())
    assert made.commands == {"/deploybot", *(slash_name(name) for name in COMMANDS)}
    assert {"/deploy-status", "/deploy-apps", "/deploy-help", "/deploy"} <= made.commands
    assert (made.socket_mode, made.interactive, made.home, made.direct, made.hook) == (True, True, True, True, "")


def test_other_apps_may_keep_their_slash_commands() -> None:
    assert make(printed("--commands", "one")).commands == {"/deploybot"}
    assert make(printed("--commands", "deploy, /status")).commands == {"/deploybot", "/deploy", "/deploy-status"}
    result = CliRunner().invoke(main, ["slack-manifest", "--commands", "deploi"])
    assert result.exit_code == 2
    assert "There is no command `deploi`." in result.output


def test_for_http_mode_it_says_where_slack_knocks() -> None:
    made = make(printed("--url", "https://bot.example.com/"))
    assert (made.socket_mode, made.hook) == (False, "https://bot.example.com/slack/events")


def test_http_mode_needs_https() -> None:
    result = CliRunner().invoke(main, ["slack-manifest", "--url", "http://bot.example.com"])
    assert result.exit_code == 2
    assert "https://" in result.output


def test_bot_toml_says_which_mode_and_which_commands(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/greet.py").write_text(
        'from deploybot import App, Card, Context, command\n\n\n@command("greet <app>", needs="view")\n'
        'async def greet(ctx: Context, app: App) -> Card:\n    """Say hello to an app: “hi”."""\n'
        "    return Card(title=app.name)\n"
    )
    path = tmp_path / "bot.toml"
    path.write_text(
        '[bot]\ndata = "data"\nplugins = "own"\n[slack]\nbot_token = { env = "B" }\nsigning_secret = { env = "S" }\n'
        '[http]\nurl = "https://bot.example.com"\n'
    )
    made = make(printed())
    assert "/greet" in made.commands
    assert made.hook == "https://bot.example.com/slack/events"
    assert make(CliRunner().invoke(main, ["-c", str(path), "slack-manifest"]).output) == made


def test_the_app_gets_the_scopes_that_its_calls_and_events_need() -> None:
    made = make(printed())
    assert {*made.scopes} == {*bot_scopes()}
    needed = {METHODS[method][0] for method in SCOPES} - {"", "connections:write"}
    assert needed <= {*made.scopes}
    assert made.events == EVENTS.keys()
    assert "chat:write.public" not in made.scopes
    assert not any(scope.endswith(":history") and scope != "im:history" for scope in made.scopes)


async def test_with_the_app_that_it_makes_everything_works() -> None:
    def install(double: SlackDouble) -> None:
        double.install(manifest(COMMANDS.values()))

    async with open_workspace(prepare=install) as workspace:
        for number, name in enumerate(COMMANDS):
            await workspace.say(f"{slash_name(name)} help", channel=f"DANA{number}")
        await workspace.rest()
        assert not [post for post in workspace.double.timeline.posts if post.author == "Slackbot"]
        await _try_the_ways_in(workspace)


async def _try_the_ways_in(workspace: Workspace) -> None:
    await workspace.ask("/deploy shop@v1.4", "#1 deploy shop")
    await workspace.ask("@deploybot deploy blog@v1.4", "#2 deploy blog", channel="C0SECOND")
    await workspace.ask("deploy blog@v1.3", "#3 deploy blog", channel="DBEN", user="UANA")
    await workspace.double.open_home("UANA")
    await workspace.reads("board", channel="home:UANA")


def test_of_many_commands_the_first_have_slashes() -> None:
    one = COMMANDS["deploy"]
    many = [dataclasses.replace(one, name=f"task{number}") for number in range(80)]
    assert len(make(manifest(many)).commands) == 50


@pytest.mark.parametrize("help_text", ["", 'Says "hi": [x] & {y} # z', "Ünïcode ✓", "x" * 3_000])
def test_any_help_is_taken(help_text: str) -> None:
    text = manifest([dataclasses.replace(COMMANDS["deploy"], help=help_text)])
    assert make(text).commands == {"/deploybot", "/deploy"}


@pytest.mark.parametrize("name", ["deploy.all", "Deploy", "x" * 32, "grüße", "deploybot"])
def test_a_command_that_can_have_no_slash_is_left_out(name: str) -> None:
    assert slash_name(name) == ""
    assert make(manifest([dataclasses.replace(COMMANDS["deploy"], name=name)])).commands == {"/deploybot"}


@pytest.mark.parametrize("name", sorted({*COMMANDS, *BUILT_IN}))
def test_a_name_and_back(name: str) -> None:
    assert command_line(slash_name(name), "shop") == f"{name} shop"
    assert command_line("/deploybot", f" {name} shop ") == f"{name} shop"


def test_a_command_that_begins_like_a_free_name_keeps_its_own() -> None:
    assert command_line("/deploy-all", "shop") == "deploy-all shop"


def test_advice_names_only_what_is_called_otherwise() -> None:
    assert "/deploy-status" in advice(["deploy", "status"])
    assert advice(["deploy", "lock"]) == ""


def test_the_page_takes_ten_steps_at_most_and_names_every_scope() -> None:
    page = (Path(__file__).parents[3] / "docs/slack.md").read_text()
    steps = re.findall(r"^(\d+)\. ", page, re.MULTILINE)
    assert [int(step) for step in steps] == [*range(1, len(steps) + 1)]
    assert len(steps) <= 10
    table = page.partition("| scope | for |")[2].partition("\n\n")[0]
    assert {*re.findall(r"`([a-z_]+(?::[a-z]+)?)`", table)} == {*bot_scopes()}
    renamed = {*re.findall(r"`(/deploy-[a-z]+)`", page)}
    assert renamed == {slash_name(name) for name in COMMANDS if name in BUILT_IN}
