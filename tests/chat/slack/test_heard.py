"""Payloads as what a person did: what Slack made of a text is taken back, and nonsense is nobody's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.chat.slack.slack_incoming import HomeOpened, Revoked, SlackLine, SlackPressed, Submitted, read, typed
from tests.doubles.slack.mrkdwn import escape

PRESS: dict[str, Any] = {
    "type": "block_actions",
    "user": {"id": "UANA"},
    "trigger_id": "1.1",
    "container": {"message_ts": "1.2", "channel_id": "C1", "thread_ts": "1.0"},
    "actions": [{"action_id": "ask:3:Why: exactly?", "value": "token"}],
    "response_url": "https://hooks.slack.example/x",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "event", "user", "view", "actions", "text", "id"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("<@U0BOT> deploy shop", "@deploybot deploy shop"),
        ("<@U0BOT|deploybot> deploy shop", "@deploybot deploy shop"),
        ("allow <@U1|ben> viewer", "allow slack:/U1 viewer"),
        ("say <#C1|ops> and <#C2>", "say #ops and #C2"),
        ("to <!subteam^S1|@team> and <!here> and <!channel|channel>", "to @team and @here and @channel"),
        ("deploy <http://shop.example|shop.example>", "deploy shop.example"),
        ("see <https://x.example/a?b=1&amp;c=2>", "see https://x.example/a?b=1&c=2"),
        ("ask <mailto:a@b.example|a@b.example>", "ask a@b.example"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &amp;lt;", "1 < 2 && 3 > 2 &lt;"),
    ],
)
def test_what_was_typed(raw: str, meant: str) -> None:
    assert typed(raw, "U0BOT") == meant


@given(st.text(max_size=60))
def test_any_text_comes_back_as_it_was_typed(text: str) -> None:
    assert typed(escape(text)) == text


def test_a_press() -> None:
    received = read(PRESS)
    assert isinstance(received, SlackPressed)
    assert (received.kind, received.asks, received.token) == ("ask", "Why: exactly?", "token")
    assert (received.channel, received.message, received.thread) == ("C1", "1.2", "1.0")


def test_a_press_in_the_home_tab_has_no_channel() -> None:
    received = read({**PRESS, "container": {"type": "view"}, "actions": [{"action_id": "home:0:"}]})
    assert isinstance(received, SlackPressed)
    assert (received.kind, received.channel, received.token) == ("home", "", "")


def test_a_modal_without_an_answer() -> None:
    view = {"id": "V1", "private_metadata": "{}", "state": {"values": {"answer": {"answer": {"value": None}}}}}
    received = read({"type": "view_submission", "user": {"id": "UANA"}, "view": view})
    assert isinstance(received, Submitted)
    assert (received.view, received.answer) == ("V1", "")


def test_events() -> None:
    def event(**event: object) -> object:
        return read({"type": "event_callback", "event_id": "Ev1", "event": event})

    assert event(type="app_uninstalled") == Revoked()
    assert event(type="tokens_revoked", tokens={"bot": ["U0BOT"]}) == Revoked()
    assert event(type="tokens_revoked", tokens={"oauth": ["UANA"]}) is None
    assert event(type="app_home_opened", user="UANA", tab="home") == HomeOpened(user="UANA", id="home:Ev1")
    assert event(type="app_home_opened", user="UANA", tab="messages") is None
    assert event(type="message", channel_type="channel", user="U1", channel="C1", ts="1.1", text="x") is None
    assert event(type="team_join", user="U1") is None
    said = event(type="message", channel_type="im", user="U1", channel="D1", ts="1.5", thread_ts="1.0", text="x")
    assert isinstance(said, SlackLine)
    assert (said.private, said.at, said.thread, said.trigger) == (True, 1.5, "1.0", "")


@given(st.dictionaries(st.sampled_from(["type", "event", "command", "user", "view", "actions"]), JSON, max_size=4))
def test_nonsense_is_nobodys(body: dict[str, Any]) -> None:
    read(body)


@given(JSON, st.sampled_from(["block_actions", "view_submission", "event_callback"]))
def test_nonsense_of_a_known_kind_is_nobodys(inner: object, kind: str) -> None:
    read({"type": kind, "event": inner, "actions": inner, "view": inner, "container": inner, "user": inner})
