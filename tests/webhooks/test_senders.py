"""What senders make of what they are sent: of every documented payload, of huge ones, and of anything at all."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from deploybot.domain import Alert, Deployed, Event, ImagePushed, Ping, Push
from deploybot.part_tables import SENDERS
from deploybot.webhooks.sender_port import MalformedError, Received
from deploybot.webhooks.senders import sender
from tests.webhooks.recorded import NOW, RECORDED, SECRETS, Recorded, as_json, made

Figure = Callable[[str], None]


def _events(name: str, body: object, kind: str = "", **query: str) -> tuple[Event, ...]:
    """What a sender makes of a body, as it would come."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    caller = sender(name)
    signed = caller.sign(written, SECRETS[name], kind=kind, delivery="d", at=NOW)
    received = made(written, signed.headers, signed)
    return caller.events(replace(received, query=dict(received.query) | {key: [one] for key, one in query.items()}))


def _body(name: str) -> dict[str, Any]:
    found = next(one for one in RECORDED if str(one) == name)
    body: dict[str, Any] = json.loads(found.body)
    return body


@pytest.mark.parametrize("one", RECORDED, ids=str)
def test_of_each_payload_is_made_what_stands_beside_it(one: Recorded) -> None:
    events = sender(one.sender).events(one.received())
    assert json.loads(json.dumps([as_json(event) for event in events])) == one.expected


def test_every_sender_has_payloads(figure: Figure) -> None:
    told = Counter(one.sender for one in RECORDED)
    assert set(told) == set(SENDERS)
    kinds = Counter(f"{one.sender} {sender(one.sender).kind(one.received())}" for one in RECORDED)
    figure(f"{len(RECORDED)} payloads of {len(kinds)} kinds of {len(told)} senders")


@pytest.mark.parametrize("one", RECORDED, ids=str)
def test_a_delivery_keeps_its_id_and_its_events_when_it_comes_again(one: Recorded) -> None:
    caller = sender(one.sender)
    first, again = one.received(), one.received(at=NOW + 86_400)
    assert caller.delivery(first) == caller.delivery(again)
    assert caller.events(first) == caller.events(again)


def test_ids_distinguish_deliveries() -> None:
    idents = Counter(
        (one.sender, ident)
        for one in RECORDED
        if one.sender != "event" and (ident := sender(one.sender).delivery(one.received()))
    )
    assert idents
    assert set(idents.values()) == {1}


@pytest.mark.parametrize("one", [one for one in RECORDED if one.expected], ids=str)
def test_a_payload_alone_reports_its_kind(one: Recorded) -> None:
    """As `hooks replay` needs it, which may have nothing but bodies."""
    caller = sender(one.sender)
    kind = caller.guess(json.loads(one.body))
    assert kind is not None
    signed = caller.sign(one.body, SECRETS[one.sender], kind=kind, delivery="d", at=NOW)
    guessed = caller.events(made(one.body, {**one.headers, **signed.headers}, signed))
    assert [type(event).__name__ for event in guessed] == [event["type"] for event in one.expected]


def test_an_alert_without_a_status_has_that_of_its_group() -> None:
    alerts: list[dict[str, object]] = [{"labels": {"alertname": "disk"}, "status": "resolved"}, {"labels": {"a": "b"}}]
    body = {"groupKey": "g", "status": "firing", "alerts": alerts}
    assert [one.firing for one in _events("prometheus", body) if isinstance(one, Alert)] == [False, True]
    del body["status"]
    with pytest.raises(MalformedError, match="no status"):
        _events("prometheus", body)


def test_a_job_of_an_older_gitlab_names_its_pipeline_as_its_commit() -> None:
    body = _body("gitlab/job")
    now = _events("gitlab", body, "Job Hook")
    del body["pipeline_id"]
    assert _events("gitlab", body, "Job Hook") == now
    del body["commit"]
    with pytest.raises(MalformedError, match=r"no commit\.id"):
        _events("gitlab", body, "Job Hook")


def test_a_pull_request_of_an_older_gitea_is_known_without_headers() -> None:
    body = _body("gitea/pull_request-merged")
    del body["commit_id"]
    assert sender("gitea").guess(body) == "pull_request"


@pytest.mark.parametrize("name", SENDERS)
def test_a_ping_tries_the_address_and_means_nothing(name: str) -> None:
    caller = sender(name)
    kind, body = caller.ping(NOW)
    signed = caller.sign(body, SECRETS[name], kind=kind, delivery="d", at=NOW)
    received = made(body, signed.headers, signed)
    caller.verify(received, SECRETS[name])
    assert [type(event) for event in caller.events(received)] == [Ping]
    assert caller.ping(NOW + 1)[1] != body


@pytest.mark.parametrize("name", SENDERS)
def test_what_to_click_is_shown_with_the_address(name: str) -> None:
    url = f"https://bot.example.com/hooks/shop/{name}"
    text = sender(name).setup(url)
    assert url in text
    assert "secret" in text.lower() or "SECRET" in text
    assert text == text.strip()


def test_what_is_to_be_pasted_for_argo_cd_is_what_it_takes() -> None:
    text = sender("argocd").setup("https://bot.example.com/hooks/shop/argocd")
    for key in _body("argocd/synced"):
        assert f'"{key}": ' in text


def test_one_sender_is_imported_and_no_other() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _IMPORTS, *SENDERS], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert said.split() == [f"{name}:{name}" for name in SENDERS]


_IMPORTS = """
import sys
from deploybot.webhooks.senders import sender
for name in sys.argv[1:]:
    sender(name)
    there = [one for one in sys.modules if one.startswith("deploybot.webhooks.senders.")]
    print(name + ":" + "+".join(one.rpartition(".")[2] for one in there))
    for one in there:
        del sys.modules[one]
"""


def test_there_is_no_sender_of_another_name() -> None:
    for name in ("", "__init__", "..proofs", "slack", "GitHub"):
        with pytest.raises(LookupError):
            sender(name)


# what is huge


def _commits(count: int, message: str) -> list[dict[str, Any]]:
    commit = _body("github/push")["commits"][0]
    return [
        commit | {"id": f"{number:040x}", "message": message, "modified": [f"service-{number % 50}/main.py"]}
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(("count", "message"), [(500, "x" * 60_000), (2_048, "fix"), (10_000, "fix " * 500)])
def test_a_push_of_many_commits_is_a_small_event_and_quick(count: int, message: str, figure: Figure) -> None:
    commits = _commits(count, message)
    body = json.dumps(_body("github/push") | {"commits": commits, "after": commits[-1]["id"]}).encode()
    start = time.thread_time()
    (push,) = _events("github", body, "push")
    took = time.thread_time() - start
    assert isinstance(push, Push)
    assert (len(push.commits), push.total, push.more) == (20, count, count == 2_048)
    assert push.commits[0].sha == push.after
    assert max(len(commit.message) for commit in push.commits) <= 2_000
    assert (push.paths is None) == (count == 2_048)
    assert len(repr(push)) < 60_000
    assert took < 10
    figure(f"push of {count} commits, {len(body) / 1e6:.1f} MB, read in {took * 1000:.0f} ms")


def test_an_incomplete_list_of_files_is_not_reported() -> None:
    push = _body("github/push")
    many = [push["commits"][0] | {"added": [f"f{number}" for number in range(3_000)]}]
    none = [{key: value for key, value in push["commits"][0].items() if key != "removed"}]
    for commits in (many, none, []):
        (event,) = _events("github", push | {"commits": commits}, "push")
        assert isinstance(event, Push)
        assert event.paths is None


# what is special


def test_forms_are_read_as_github_sends_them_by_default() -> None:
    body = urlencode({"payload": json.dumps(_body("github/push"))}).encode()
    headers = {"x-github-event": ["push"], "content-type": ["application/x-www-form-urlencoded"]}
    (event,) = sender("github").events(Received(headers=headers, body=body, query={}, at=NOW))
    assert isinstance(event, Push)


def test_gitea_at_githubs_address_learns_the_right_address() -> None:
    for one in RECORDED:
        if one.sender in {"gitea", "forgejo"}:
            headers = {name: [value] for name, value in one.headers.items()}
            with pytest.raises(MalformedError, match=f"…/{one.sender}"):
                sender("github").events(Received(headers=headers, body=one.body, query={}, at=NOW))


@pytest.mark.parametrize("text", ["deploybot #42", "deploybot"])
def test_the_bots_own_deployments_are_known_by_their_description_too(text: str) -> None:
    body = _body("github/deployment")
    body["deployment"]["description"] = text
    (event,) = _events("github", body, "deployment")
    assert isinstance(event, Deployed)
    assert event.own


def test_alibabas_host_may_be_named_in_the_address() -> None:
    (event,) = _events("acr", _body("acr/push"), registry="acme.cn-hangzhou.cr.aliyuncs.com")
    assert isinstance(event, ImagePushed)
    assert event.image == "acme.cn-hangzhou.cr.aliyuncs.com/silk/loom"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "The body reports nothing"),
        ({"titel": "x"}, "did you mean title"),
        ({"title": ["x"]}, "title should be a string"),
        ({"title": "x", "tone": "loud"}, "tone should be one of"),
        ({"title": "x", "commit": "abc"}, "full commit"),
        ({"title": "x", "url": "javascript:alert(1)"}, "url should be an address"),
        ({"title": "x", "at": "yesterday"}, "at should be seconds"),
        ({"title": "x", "fields": ["a"]}, "fields should be an object"),
        ({"build": []}, "build should be an object"),
        ({"build": {"state": "passed"}}, "build.name is missing"),
        ({"build": {"name": "n", "state": "green"}}, "build.state should be one of queued, running"),
        ({"build": {"name": "n", "state": "passed", "failed": "x"}}, "build.failed should be a list"),
        ({"build": {"name": "n", "stat": "passed"}}, "did you mean build.state"),
        ({"images": "acme/shop:v1"}, "images should be a list"),
        ({"images": ["acme/shop"]}, "with a tag"),
        ({"images": ["acme/Shop:v1"]}, "with a tag"),
        ({"images": ["a:v1"] * 51}, "more than 50"),
        ([], "not an object"),
        (b"{", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b'{"title": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"title": ' + b"9" * 5_000 + b"}", "not JSON"),
    ],
)
def test_scripts_learn_what_is_wrong(body: object, sentence: str) -> None:
    with pytest.raises(MalformedError, match=sentence):
        _events("event", body)
