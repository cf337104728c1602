"""Signed calls: every state once, in order, by the scheme that others verify."""

from __future__ import annotations

import base64
import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import ArtifactSource, Kind, Release, RequestVerdict, ServerPlan, State
from deploybot.errors import ConfigError
from deploybot.events.deployment_reports import report_of
from deploybot.reporting.report_http import Caller
from deploybot.reporting.report_text import description_of
from deploybot.reporting.signed_calls import SignedCallTarget, message, signature
from deploybot.store.database import Database
from tests.reporting.doubles import SECRET, TOKEN, Receiver
from tests.reporting.reporting_bot import ReportingBot, reporting_settings, sha
from tests.store.examples import plan


def test_the_signature_is_that_of_the_published_vector() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["short", "whsec_c2hvcnQ=", "whsec_not base64 at all!"])
def test_a_secret_that_cannot_sign_is_refused_at_the_start(secret: str) -> None:
    with pytest.raises(ConfigError, match=r"outgoing\.board\.secret") as caught:
        SignedCallTarget(Caller(), "outgoing.board", "http://127.0.0.1/hook", secret)
    assert secret not in str(caught.value)


def test_a_plain_secret_signs_as_it_is() -> None:
    assert (
        SignedCallTarget(Caller(), "outgoing.board", "http://127.0.0.1/hook", "sixteen letters!")._key
        == b"sixteen letters!"
    )


async def test_every_state_of_every_kind_is_reported_in_order_with_what_is_known_of_it(
    store: Database, receiver: Receiver
) -> None:
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    await bot.deploy(reason=f"the token is {TOKEN}")
    await bot.deploy((State.RUNNING, State.RESTORING, State.RESTORED), number=2, kind=Kind.ROLLBACK, app="blog")
    await bot.deploy(number=3, kind=Kind.RESTART)
    await bot.told()
    by_number: dict[object, list[object]] = {}
    for _, body in receiver.taken:
        data = body["data"]
        assert isinstance(data, dict)
        by_number.setdefault(data["deployment"], []).append(body["type"])
    assert by_number == {
        1: ["deployment.waiting", "deployment.running", "deployment.succeeded"],
        2: ["deployment.waiting", "deployment.running", "deployment.restoring", "deployment.restored"],
        3: ["deployment.waiting", "deployment.running", "deployment.succeeded"],
    }
    assert len({name for name, _ in receiver.taken}) == 10
    last = next(body for _, body in receiver.taken if body["type"] == "deployment.succeeded")
    data = last["data"]
    assert isinstance(data, dict)
    assert data["seconds"] is not None
    assert {key: data[key] for key in ("app", "environment", "kind", "commit", "ref", "by", "reason", "outcome")} == {
        "app": "shop",
        "environment": "production",
        "kind": "deploy",
        "commit": sha(),
        "ref": "v1",
        "by": "ann",
        "reason": "the token is •••",
        "outcome": "It succeeded.",
    }
    assert str(last["timestamp"]).endswith("Z")


async def test_a_release_without_a_commit_is_reported_by_its_id(store: Database, receiver: Receiver) -> None:
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    release = Release(ArtifactSource("a" * 64), "v7")
    await bot.deploy(release=release)
    before = replace(await bot.deploy(number=2), plan=replace(plan(), servers=(after(release), after(None))))
    await bot.told()
    by_number = {}
    for _, body in receiver.taken:
        assert isinstance(body["data"], dict)
        by_number[body["data"]["deployment"]] = body["data"]
    told = [(by_number[number]["commit"], by_number[number]["release"]) for number in (1, 2)]
    assert told == [(None, release.id), (sha(2), sha(2))]
    assert by_number[1]["ref"] == "v7"
    assert report_of(before, 1.0).replaces == release.id


def after(release: Release | None) -> ServerPlan:
    """What happens to a server that runs a release."""
    return ServerPlan(server="web1", steps=(), replaces=release)


def test_what_the_docs_give_to_verify_a_call_verifies_it_and_no_other(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "verify.py").write_text(code)
    is_ours = runpy.run_path(str(tmp_path / "verify.py"))["is_ours"]
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1",
        "webhook-signature": signature(key, "msg_1", "1", b"{}"),
    }
    assert is_ours(headers, b"{}", SECRET)
    assert not is_ours(headers, b"{ }", SECRET)
    assert not is_ours({**headers, "webhook-id": "msg_2"}, b"{}", SECRET)


async def test_the_body_is_the_one_that_the_docs_show(store: Database, receiver: Receiver) -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    shown = json.loads(next(block for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "type" in block))
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    await bot.deploy()
    await bot.told()
    told = receiver.taken[-1][1]
    assert list(told) == list(shown)
    assert isinstance(told["data"], dict)
    assert list(told["data"]) == list(shown["data"])


async def test_only_the_apps_that_are_named_are_reported(store: Database, receiver: Receiver) -> None:
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook", apps=["blog"]))
    await bot.deploy()
    assert await bot.waiting() == 0
    await bot.deploy(app="blog")
    assert await bot.waiting() == 3


async def test_the_address_is_tried_and_nothing_is_posted(store: Database, receiver: Receiver) -> None:
    caller = Caller()
    (found,) = [one async for one in SignedCallTarget(caller, "outgoing.b", f"{receiver.url}/hook", SECRET).check()]
    await caller.close()
    assert (found.fix, receiver.taken) == ("", [])
    assert store.problem == ""


async def test_a_deployment_that_never_began_is_reported_with_its_reason_and_as_deployed_by_nobody(
    store: Database, receiver: Receiver
) -> None:
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    asked = await bot.deploy([State.WAITING])
    ended = replace(asked, state=State.CANCELLED, started=9.0, finished=9.0, verdict=RequestVerdict.VOID)
    report = report_of(ended, 9.0)
    assert description_of(report) == f"#{asked.number} void, requested by ann"
    data = message(report)["data"]
    assert isinstance(data, dict)
    assert (data["state"], data["why"], data["started"], data["seconds"]) == ("cancelled", "void", None, None)
