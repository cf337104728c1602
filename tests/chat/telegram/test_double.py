"""The double is stricter than Telegram: what that refuses, it refuses in the same words, and notes who is to blame."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
import pytest

from tests.doubles.telegram import Limits, TelegramDouble, limits
from tests.doubles.telegram.limits import FREE
from tests.doubles.telegram.rooms import Json

GROUP = "-1001000000001"
ANA = "1000"


@pytest.fixture
async def double() -> AsyncIterator[TelegramDouble]:
    made = TelegramDouble(FREE)
    made.group(GROUP)
    made.user(ANA)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def _ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a millisecond pass whenever the limits look at the clock."""
    ticks = itertools.count()
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: 1_000.0 + next(ticks) / 1_000))


async def call(double: TelegramDouble, method: str, **params: object) -> tuple[int, str]:
    """Call it as any client could; the status, and the description of a refusal or the result as JSON."""
    form = aiohttp.FormData()
    for name, value in params.items():
        if isinstance(value, bytes):
            form.add_field(name, value, filename="file.log")
        else:
            form.add_field(name, value if isinstance(value, str) else json.dumps(value))
    url = f"{double.api_url}/bot{double.token}/{method}"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
        body = await answer.json()
        assert body["ok"] is (answer.status == 200)
        return answer.status, body.get("description") or json.dumps(body["result"])


def keyboard(**button: object) -> dict[str, object]:
    return {"inline_keyboard": [[{"text": "Go", **button}]]}


HTML = {
    "<b>open": "can't parse entities: Can't find end tag",
    "a < b": "can't parse entities: Unclosed start tag",
    "a </b>": "can't parse entities: Unexpected end tag",
    "<b><i>x</b></i>": "can't parse entities: Unmatched end tag",
    "<marquee>x</marquee>": 'can\'t parse entities: Unsupported start tag "marquee"',
    "<p>x</p>": "can't parse entities: Unsupported start tag",
    "<br>": "can't parse entities: Unsupported start tag",
    "": "message text is empty",
    "<b> </b>": "message text is empty",
    "x" * 4097: "message is too long",
    "💥" * 2049: "message is too long",
    "&lt;" * 4097: "message is too long",
}


@pytest.mark.parametrize("text", HTML, ids=range(len(HTML)))
async def test_texts_are_refused_as_the_real_one_does(double: TelegramDouble, text: str) -> None:
    status, why = await call(double, "sendMessage", chat_id=GROUP, text=text, parse_mode="HTML")
    assert status == 400
    assert HTML[text] in why
    assert len(double.violations) == 1
    double.violations.clear()


@pytest.mark.parametrize(
    "text", ["&lt;" * 4096, "<b>" * 20 + "x" + "</b>" * 20, "&lt;b&gt; &amp;lt;", "x" * 4096, "💥" * 2048, "a & b"]
)
async def test_lengths_are_counted_after_the_markup_was_read(double: TelegramDouble, text: str) -> None:
    assert (await call(double, "sendMessage", chat_id=GROUP, text=text, parse_mode="HTML"))[0] == 200
    assert double.violations == []


MARKUP: list[tuple[object, str]] = [
    (keyboard(callback_data="x" * 65), "BUTTON_DATA_INVALID"),
    (keyboard(callback_data="ä" * 33), "BUTTON_DATA_INVALID"),
    (keyboard(callback_data=""), "BUTTON_DATA_INVALID"),
    (keyboard(), "Text buttons are unallowed"),
    (keyboard(text=" ", callback_data="x"), "Text is empty"),
    (keyboard(callback_data="x", style="purple"), "invalid button style"),
    (keyboard(text="x" * 65, callback_data="x"), "label"),
    ({"inline_keyboard": [[{"text": "x", "callback_data": "x"}] * 9]}, "reply markup is too long"),
    ({"inline_keyboard": [[{"text": "x", "callback_data": "x"}]] * 101}, "reply markup is too long"),
]


@pytest.mark.parametrize(("markup", "why"), MARKUP, ids=range(len(MARKUP)))
async def test_keyboards_are_refused_as_the_real_one_does(double: TelegramDouble, markup: object, why: str) -> None:
    status, said = await call(double, "sendMessage", chat_id=GROUP, text="x", reply_markup=markup)
    assert status == 400
    assert why in said
    assert len(double.violations) == 1
    double.violations.clear()


async def test_a_group_takes_twenty_messages_a_minute_and_one_a_second() -> None:
    double = TelegramDouble(Limits(overall=1000, chat=1000, group=20))
    double.gate.on_the_way = 0.0
    double.group(GROUP)
    await double.start()
    answers = [await call(double, "sendMessage", chat_id=GROUP, text="x") for _ in range(21)]
    assert [status for status, _ in answers] == [200] * 20 + [429]
    assert "retry after" in answers[-1][1]
    assert (await call(double, "sendMessage", chat_id=GROUP, text="x"))[0] == 429
    assert len(double.violations) == 2
    assert "before retry_after was over" in double.violations[1]
    await double.close()


@pytest.mark.usefixtures("_ticking")
async def test_a_chat_takes_one_message_a_second_and_edits_count() -> None:
    double = TelegramDouble()
    double.user(ANA)
    await double.start()
    status, said = await call(double, "sendMessage", chat_id=ANA, text="x")
    edited, _ = await call(double, "editMessageText", chat_id=ANA, message_id=json.loads(said)["message_id"], text="y")
    assert (status, edited) == (200, 429)
    assert double.violations == [f"more than 1 messages in 1 s to {ANA}"]
    await double.close()


@pytest.mark.usefixtures("_ticking")
async def test_all_chats_together_take_thirty_messages_a_second() -> None:
    double = TelegramDouble(Limits(overall=30, chat=1, group=20))
    await double.start()
    people = [str(5000 + number) for number in range(31)]
    for user in people:
        double.user(user)
    answers = [await call(double, "sendMessage", chat_id=user, text="x") for user in people]
    assert [status for status, _ in answers] == [200] * 30 + [429]
    assert double.violations == ["more than 30 messages in 1 s to all chats"]
    await double.close()


async def test_what_is_no_method_or_no_parameter_is_noted(double: TelegramDouble) -> None:
    assert await call(double, "sendMassage", chat_id=GROUP) == (404, "Not Found")
    await call(double, "sendMessage", chat_id=GROUP, text="x", reply_to_message_id=1)
    assert double.violations == ["sendMessage has no parameter reply_to_message_id"]
    double.violations.clear()


async def test_another_token_is_refused(double: TelegramDouble) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{double.api_url}/bot1:x/getMe") as answer:
        assert (answer.status, (await answer.json())["description"]) == (401, "Unauthorized")


async def test_edits_answers_and_menus_are_refused_as_the_real_one_does(double: TelegramDouble) -> None:
    number = json.loads((await call(double, "sendMessage", chat_id=GROUP, text="x"))[1])["message_id"]
    assert (
        "message is not modified"
        in (await call(double, "editMessageText", chat_id=GROUP, message_id=number, text="x"))[1]
    )
    assert "not found" in (await call(double, "editMessageText", chat_id=GROUP, message_id=99, text="x"))[1]
    assert "query is too old" in (await call(double, "answerCallbackQuery", callback_query_id="7"))[1]
    assert "MESSAGE_TOO_LONG" in (await call(double, "answerCallbackQuery", callback_query_id="7", text="x" * 201))[1]
    commands = [{"command": "Deploy", "description": "x"}]
    assert "BOT_COMMAND_INVALID" in (await call(double, "setMyCommands", commands=commands))[1]
    commands = [{"command": "deploy", "description": ""}]
    assert "DESCRIPTION_INVALID" in (await call(double, "setMyCommands", commands=commands))[1]
    assert "non-empty" in (await call(double, "sendDocument", chat_id=GROUP, document=b""))[1]
    assert "no document" in (await call(double, "sendDocument", chat_id=GROUP))[1]
    double.violations.clear()


async def test_places_that_are_not_there_are_refused(double: TelegramDouble) -> None:
    double.group("-2", forum=True, topics=(7,))
    double.user("2000", started=False)
    wrong: dict[str, Json] = {
        "chat not found": {"chat_id": "-99"},
        "thread not found": {"chat_id": "-2", "message_thread_id": 8},
        "can't initiate conversation": {"chat_id": "2000"},
        "message to be replied not found": {"chat_id": GROUP, "reply_parameters": {"message_id": 9}},
    }
    for why, params in wrong.items():
        assert why in (await call(double, "sendMessage", text="x", **params))[1]
    assert double.violations == []


async def test_updates_are_given_until_they_are_confirmed(double: TelegramDouble) -> None:
    await double.say(ANA, ANA, "one")
    await double.say(ANA, ANA, "two")
    first = json.loads((await call(double, "getUpdates"))[1])
    again = json.loads((await call(double, "getUpdates"))[1])
    assert [one["message"]["text"] for one in first] == ["one", "two"]
    assert first == again
    rest = json.loads((await call(double, "getUpdates", offset=first[0]["update_id"] + 1))[1])
    assert [one["message"]["text"] for one in rest] == ["two"]


async def test_privacy_mode_hides_what_is_not_for_the_bot(double: TelegramDouble) -> None:
    for text in ("hello", "/status", "/status@otherbot", "/status@thebot", "hi @thebot"):
        await double.say(ANA, GROUP, text)
    seen = json.loads((await call(double, "getUpdates"))[1])
    assert [one["message"]["text"] for one in seen] == ["/status", "/status@thebot", "hi @thebot"]


async def test_a_press_that_nobody_answers_is_noted(double: TelegramDouble) -> None:
    number = json.loads(
        (await call(double, "sendMessage", chat_id=GROUP, text="x", reply_markup=keyboard(callback_data="x")))[1]
    )
    post = next(post for post in double.timeline.posts if post.id == str(number["message_id"]))
    await double.press(ANA, post, "Go")
    await double.close()
    assert double.violations == ["the press 1 of user1000 was never answered"]
    await double.start()


PINGS = [
    "@ana",
    "hello @ana_99!",
    "(@ana)",
    "/deploy",
    "#tag",
    "https://x.example",
    "x.example/path",
    "ana@x.example",
    "1.2.3.4",
]


@pytest.mark.parametrize("text", PINGS)
async def test_what_telegram_would_link_is_seen(double: TelegramDouble, text: str) -> None:
    await call(double, "sendMessage", chat_id=GROUP, text=text)
    assert len(double.links) >= 1
    assert bool(double.timeline.posts[-1].pings) is ("@ana" in text and "example" not in text)
    await call(double, "sendMessage", chat_id=GROUP, text=f"<code>{text}</code>", parse_mode="HTML")
    assert double.timeline.posts[-1].pings == ()
