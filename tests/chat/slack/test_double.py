"""The double refuses what Slack refuses: without that, a test against it proves nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, SlackDouble, rates
from tests.doubles.slack.manifest import make, read_yaml
from tests.doubles.slack.mrkdwn import read_blocks, read_text
from tests.doubles.slack.rules import check_message, check_view
from tests.doubles.slack.wire import post

Json = dict[str, Any]
ROOM = "C0OPS00"


def text(words: str = "x", **more: object) -> Json:
    return {"type": "plain_text", "text": words, **more}


def button(**more: object) -> Json:
    return {"type": "button", "text": text(), "action_id": "a", **more}


def rich(*elements: Json, kind: str = "rich_text_section") -> Json:
    return {"type": "rich_text", "elements": [{"type": kind, "elements": [*elements]}]}


def field(element: Json) -> Json:
    return {"type": "input", "label": text(), "element": {"action_id": "a", **element}}


OPTION = {"text": text(), "value": "v"}
BLOCKS: dict[str, Json] = {
    "unknown type": {"type": "carousel"},
    "unknown key": {"type": "divider", "colour": "red"},
    "an input in a message": field({"type": "plain_text_input"}),
    "empty section": {"type": "section"},
    "long section": {"type": "section", "text": text("x" * 3_001)},
    "long header": {"type": "header", "text": text("x" * 151)},
    "markup in a header": {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
    "eleven fields": {"type": "section", "fields": [text()] * 11},
    "eleven in a context": {"type": "context", "elements": [text()] * 11},
    "long block_id": {"type": "divider", "block_id": "x" * 256},
    "no buttons": {"type": "actions", "elements": []},
    "many buttons": {"type": "actions", "elements": [button(action_id=f"{n}") for n in range(26)]},
    "one action twice": {"type": "actions", "elements": [button(), button()]},
    "long label": {"type": "actions", "elements": [button(text=text("x" * 76))]},
    "long value": {"type": "actions", "elements": [button(value="x" * 2_001)]},
    "long action": {"type": "actions", "elements": [button(action_id="x" * 256)]},
    "unknown style": {"type": "actions", "elements": [button(style="warning")]},
    "unknown element": {"type": "actions", "elements": [{"type": "knob", "action_id": "a"}]},
    "long confirmation": {
        "type": "actions",
        "elements": [button(confirm={"title": text(), "text": text("x" * 301), "confirm": text(), "deny": text()})],
    },
    "empty rich text": {"type": "rich_text", "elements": []},
    "empty rich part": rich(),
    "empty rich element": rich({"type": "text", "text": ""}),
    "unknown rich element": rich({"type": "marquee", "text": "x"}),
    "unknown rich part": rich({"type": "text", "text": "x"}, kind="rich_text_poem"),
    "unknown rich style": rich({"type": "text", "text": "x", "style": {"blink": True}}),
    "a person in preformatted": rich({"type": "user", "user_id": "U1"}, kind="rich_text_preformatted"),
}
VIEWS: dict[str, Json] = {
    "unknown type": {"type": "popup"},
    "no title": {"type": "modal", "blocks": [{"type": "divider"}]},
    "long title": {"type": "modal", "title": text("x" * 25), "blocks": [{"type": "divider"}]},
    "no blocks": {"type": "home", "blocks": []},
    "many blocks": {"type": "home", "blocks": [{"type": "divider"}] * 101},
    "no submit": {"type": "modal", "title": text(), "blocks": [field({"type": "plain_text_input"})]},
    "long metadata": {
        "type": "modal",
        "title": text(),
        "blocks": [{"type": "divider"}],
        "private_metadata": "x" * 3_001,
    },
    "unknown input": {"type": "modal", "title": text(), "submit": text(), "blocks": [field({"type": "dial"})]},
    "no options": {
        "type": "modal",
        "title": text(),
        "submit": text(),
        "blocks": [field({"type": "static_select", "options": []})],
    },
    "many options": {
        "type": "modal",
        "title": text(),
        "submit": text(),
        "blocks": [field({"type": "static_select", "options": [OPTION] * 101})],
    },
    "long option": {
        "type": "modal",
        "title": text(),
        "submit": text(),
        "blocks": [field({"type": "static_select", "options": [{**OPTION, "value": "x" * 151}]})],
    },
}


@pytest.mark.parametrize("what", BLOCKS)
def test_blocks_that_are_refused(what: str) -> None:
    assert [*check_message({"text": "x", "blocks": [BLOCKS[what]]})]


@pytest.mark.parametrize("what", VIEWS)
def test_views_that_are_refused(what: str) -> None:
    assert [*check_view(VIEWS[what])]


def test_messages_that_are_refused() -> None:
    assert [*check_message({"text": ""})]
    assert [*check_message({"text": "x" * 40_001})]
    assert [*check_message({"text": "x", "blocks": [{"type": "divider"}] * 51})]
    long = [rich({"type": "text", "text": "x" * 2_900}) for _ in range(5)]
    assert [*check_message({"text": "x", "blocks": long})] == ["msg_blocks_too_long"]
    twice = [{"type": "divider", "block_id": "b"}] * 2
    assert [*check_message({"text": "x", "blocks": twice})] == ["blocks: one block_id twice"]


@pytest.fixture
async def double() -> AsyncIterator[SlackDouble]:
    made = SlackDouble()
    await made.start()
    yield made
    await made.close()


async def call(double: SlackDouble, method: str, token: str = BOT_TOKEN, **args: object) -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{double.api_url}/{method}", json=args, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("chat.shout", {}, "unknown_method"),
        ("chat.postMessage", {"text": "x"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": ROOM, "text": "x", "colour": "red"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": ROOM}, "no_text"),
        ("chat.postMessage", {"channel": ROOM, "text": "x", "thread_ts": "1.1"}, "thread_not_found"),
        ("chat.postMessage", {"channel": ROOM, "text": "x", "blocks": [{"type": "x"}]}, "invalid_blocks"),
        ("views.open", {"trigger_id": "1.1", "view": {}}, "invalid_trigger_id"),
        ("files.completeUploadExternal", {"files": [{"id": "F1"}]}, "file_not_found"),
    ],
)
async def test_calls_that_are_refused_and_noted(double: SlackDouble, method: str, args: Json, error: str) -> None:
    status, answer = await call(double, method, **args)
    assert (status, answer["ok"], answer["error"]) == (200, False, error)
    assert len(double.violations) == 1


async def test_each_token_for_its_own_calls(double: SlackDouble) -> None:
    assert (await call(double, "auth.test", APP_TOKEN))[1]["error"] == "not_allowed_token_type"
    assert (await call(double, "apps.connections.open", BOT_TOKEN))[1]["error"] == "invalid_auth"
    assert (await call(double, "auth.test", "xoxb-other"))[1]["error"] == "invalid_auth"


async def test_people_who_are_too_fast_have_to_wait_and_are_logged(
    double: SlackDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: 1_000.0 + next(ticks) / 1_000))
    double.web.rates.on_the_way = 0.0
    answers = [await call(double, "chat.postMessage", channel=ROOM, text="x") for _ in range(5)]
    assert [status for status, _ in answers] == [200, 200, 200, 429, 429]
    assert len(double.violations) == 2
    ts = answers[0][1]["ts"]
    edits = [await call(double, "chat.update", channel=ROOM, ts=ts, text="y") for _ in range(51)]
    assert [status for status, _ in edits].count(429) == 1


async def test_a_late_ack_is_logged_and_shown_to_the_person(double: SlackDouble) -> None:
    double.wire.ack_within = 0.05
    _, answer = await call(double, "apps.connections.open", APP_TOKEN)
    async with aiohttp.ClientSession() as session, session.ws_connect(answer["url"]) as socket:
        assert (await socket.receive_json())["type"] == "hello"
        await double.say("UANA", ROOM, "/deploy shop")
        envelope = await socket.receive_json()
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
        async with asyncio.timeout(10):
            while len(double.violations) < 2:  # noqa: ASYNC110  the double reads it, and has no event for it
                await asyncio.sleep(0.005)
    assert double.timeline.posts[-1].text == "/deploy failed with the error “operation_timeout”"
    assert double.violations == [
        "slash_commands was not acknowledged within 0.05 s",
        "socket: an acknowledgement of nothing",
    ]


async def test_a_ticket_is_good_once_and_there_are_ten_sockets(double: SlackDouble) -> None:
    async with aiohttp.ClientSession() as session:
        sockets, url = [], ""
        for number in range(11):
            url = (await call(double, "apps.connections.open", APP_TOKEN))[1]["url"]
            socket = await session.ws_connect(url)
            sockets.append(socket)
            assert (await socket.receive_json())["type"] == ("disconnect" if number == 10 else "hello")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        for socket in sockets:
            await socket.close()
    assert double.violations == ["a socket with a ticket that was used or made up"]


async def test_an_answer_address_is_good_for_five_posts(double: SlackDouble) -> None:
    address = double._answer_url(ROOM, "UANA")
    headers = {"Content-Type": "application/json"}
    statuses = [(await post(address, b'{"text": "x"}', headers))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [404]
    assert len(double.violations) == 1


MANIFEST = """\
display_information:
  name: "x"
  description: "y"
features:
  bot_user:
    display_name: "x"
  slash_commands:
    - command: "/deploy"
      description: "z"
oauth_config:
  scopes:
    bot:
      - "commands"
settings:
  socket_mode_enabled: true
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("/deploy", "/status", "keeps this name"),
        ("/deploy", "/Deploy", "no name for a command"),
        ("/deploy", "/" + "x" * 32, "no name for a command"),
        ('"z"', '""', "no description"),
        ('"x"\n  desc', '"' + "x" * 36 + '"\n  desc', "display_information.name"),
        ('"commands"', '"everything"', "unknown"),
        ("socket_mode_enabled: true", "socket_mode_enabled: false", "no https url"),
        ("settings:", "surprises:", "unknown"),
        (
            "settings:\n",
            'settings:\n  event_subscriptions:\n    bot_events:\n      - "app_mention"\n',
            "needs the scope",
        ),
    ],
)
def test_manifests_that_are_refused(old: str, new: str, says: str) -> None:
    make(MANIFEST)
    with pytest.raises(ValueError, match=says):
        make(MANIFEST.replace(old, new))


@pytest.mark.parametrize("broken", ["a: b", '- "x"', 'a: "x', "a:\n   b: 1\n  c: 2", "a: 1\na: 2"])
def test_yaml_that_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_yaml(broken)
    assert str(caught.value)


async def test_the_app_gets_only_what_its_manifest_asks_for(double: SlackDouble) -> None:
    double.install(MANIFEST)
    assert (await call(double, "chat.postMessage", channel=ROOM, text="x"))[1]["error"] == "missing_scope"
    await double.say("UANA", ROOM, "/rollback shop")
    assert double.timeline.posts[-1].text == "/rollback is not a valid command of this app."
    assert await double.deliver_event({"type": "app_mention"}) == ""


@pytest.mark.parametrize(
    ("markup", "pings", "styled", "shown"),
    [
        ("<!channel> now", ["@channel"], 0, "@channel now"),
        ("<!here|@here>", ["@here"], 0, "@here"),
        ("<!subteam^S1|@ops>", ["@ops"], 0, "@ops"),
        ("<@U1> look", ["@U1"], 0, "@U1 look"),
        ("hello @everyone", ["@everyone"], 0, "hello @everyone"),
        ("<https://evil.example|safe>", [], 1, "safe"),
        ("see https://evil.example/x", [], 1, "see https://evil.example/x"),
        ("<#C1|ops>", [], 1, "ops"),
        ("*bold* and _it_ and ~no~", [], 3, "bold and it and no"),
        ("`code` <b>", [], 2, "code b"),
        ("&lt;!channel&gt; a_b_c 2*3*4 me@channel.example", [], 0, "<!channel> a_b_c 2*3*4 me@channel.example"),
    ],
)
def test_whom_markup_wakes_and_what_it_hides(markup: str, pings: list[str], styled: int, shown: str) -> None:
    seen = read_text(markup)
    assert (seen.pings, len(seen.styled), seen.text) == (pings, styled, shown)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": markup}}
    assert read_blocks([section]).pings == pings


def test_whom_rich_text_wakes() -> None:
    block = rich(
        {"type": "text", "text": "<!channel> *x* @here "},
        {"type": "broadcast", "range": "channel"},
        {"type": "user", "user_id": "U1"},
        {"type": "usergroup", "usergroup_id": "S1"},
        {"type": "link", "url": "https://evil.example", "text": "safe"},
        {"type": "emoji", "name": "x"},
        {"type": "channel", "channel_id": "C1"},
    )
    seen = read_blocks(
        [block, {"type": "header", "text": text("head")}, {"type": "context", "elements": [text("foot")]}]
    )
    assert seen.pings == ["@channel", "@U1", "@S1"]
    assert (seen.styled, seen.links) == ([], [("safe", "https://evil.example")])
    assert seen.text.startswith("<!channel> *x* @here @channel@U1@S1safe❌#C1\nhead")
