"""One-time codes: enrolled in private, used once, tried five times, and in neither the database nor the audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyotp
import pytest

from deploybot.deployments.one_time_codes import enrolment, new_secret, step_of
from deploybot.domain import State
from deploybot.errors import StoreError, UserError
from deploybot.store.one_time_code_rows import CodeFiles
from deploybot.testing import FakeClock
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import BotUnderTest, shop_settings

WRONG = "This code is wrong or was already used."


def code(bot: BotUnderTest, secret: str, steps: int = 0) -> str:
    """What a phone shows now, or so many half minutes later."""
    return pyotp.TOTP(secret).at(int(bot.clock.now()) + 30 * steps)


@asynccontextmanager
async def open_code_bot(folder: Path, **environment: object) -> AsyncIterator[BotUnderTest]:
    """A bot whose production wants codes. Its clock stands: a request that waits would use up a code's half minute."""
    async with open_approval_bot(folder, approval_code="totp", **environment) as bot:
        bot.clock = FakeClock()
        await bot.restart()
        yield bot


async def enrol(bot: BotUnderTest, who: str) -> str:
    """Enrol somebody; their secret."""
    card = await bot.say("totp", who, platform="telegram")
    secret = card.lines[0].text
    said = await bot.say(f"totp {code(bot, secret)}", who, platform="telegram")
    assert said.title == "One-time codes are set up: your phone generates them from now on."
    bot.clock.advance(60)
    return secret


async def test_the_codes_of_rfc_6238() -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert step_of(secret, "287082", 59.0) == 1
    assert step_of(secret, "287 082", 59.0) == 1
    assert step_of(secret, "081804", 1111111109.0) == 37037036
    assert step_of(secret, "287082", 59.0 + 30) == 1
    assert step_of(secret, "287082", 59.0 + 31) == 0
    for wrong in ("287083", "", "28708", "2870820", "-87082"):
        assert step_of(secret, wrong, 59.0) == 0
    assert len(new_secret()) == 32
    assert enrolment(secret, "ana") == f"otpauth://totp/deploybot:ana?secret={secret}&issuer=deploybot"


async def test_an_approval_takes_a_code(tmp_path: Path) -> None:
    async with open_code_bot(tmp_path) as bot:
        number = await bot.ask()
        assert (await bot.card(number)).footer.endswith(" · an approver other than ana, with a one-time code")
        button = (await bot.card(number)).buttons[0]
        assert (button.asks, button.asks_code) == ("Your one-time code?", True)
        card = await bot.say(f"approve #{number} code 123456", "ben")
        assert card.title == "An approval needs a one-time code, and you have not set one up."
        secret = await enrol(bot, "ben")
        card = await bot.say(f"approve #{number}", "ben")
        assert (card.title, card.hint) == (
            "An approval needs a one-time code from your phone.",
            f"Like this: `approve #{number} code 123456`.",
        )
        card = await bot.say(f"approve #{number} code {code(bot, secret, 9)}", "ben")
        assert card.title == WRONG
        assert (await bot.deployment(number)).awaits_approval
        assert (await bot.say(f"approve #{number} code {code(bot, secret)}", "ben")).ok
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_a_code_works_once_whatever_it_is_for(tmp_path: Path) -> None:
    async with open_code_bot(tmp_path, approvals=2) as bot:
        secret = await enrol(bot, "ben")
        first, second = await bot.ask(), await bot.ask()
        used = code(bot, secret)
        said = await asyncio.gather(
            *(bot.say(f"approve #{number} code {used}", "ben") for number in (first, second) for _ in range(5))
        )
        assert sum(card.ok for card in said) == 1
        bot.clock.advance(1000)
        older = code(bot, secret, -1)
        number = second if (await bot.request_of(first)).approvals else first
        assert (await bot.say(f"approve #{number} code {code(bot, secret)}", "ben")).ok
        third = await bot.ask()
        assert (await bot.say(f"approve #{third} code {older}", "ben")).title == WRONG


async def test_the_fifth_wrong_one_stops_them_for_a_while(tmp_path: Path) -> None:
    async with open_code_bot(tmp_path) as bot:
        secret = await enrol(bot, "ben")
        number = await bot.ask()
        bad = str((int(code(bot, secret)) + 1) % 1_000_000).zfill(6)
        for _ in range(5):
            assert (await bot.say(f"approve #{number} code {bad}", "ben")).title == WRONG
        card = await bot.say(f"approve #{number} code {code(bot, secret)}", "ben")
        assert card.title.startswith("Too many wrong codes. Try again after 2027-01-15 08:")
        card = await bot.say(f"totp {code(bot, secret)}", "ben", platform="telegram")
        assert card.title.startswith("Too many wrong codes")
        bot.clock.advance(901)
        assert (await bot.say(f"approve #{number} code {code(bot, secret)}", "ben")).ok


async def test_codes_that_are_asked_for_later_are_asked_for(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.restart(shop_settings(bot.settings.bot.data, approvals=1, approval_code="totp"))
    assert "you have not set one up" in (await bot.say(f"approve #{number}", "ben")).title


async def test_enrolment(bot: BotUnderTest) -> None:
    card = await bot.say("totp", "ben", platform="console")
    assert card.private
    shared = await bot.say("totp", "ben", platform="slack", private=False)
    assert (shared.title, shared.hint) == (
        "Others would see your secret here.",
        "Type it to me in a direct message.",
    )
    assert (await bot.say("totp 123456", "cem", platform="telegram")).title == (
        "You have not set up one-time codes yet."
    )
    assert (await bot.say("totp 12345", "ben", platform="telegram")).title == "A one-time code is six digits."
    secret = card.lines[0].text
    assert (await bot.say("totp 000000", "ben", platform="telegram")).title == WRONG
    assert (await bot.say(f"totp {code(bot, secret)}", "ben", platform="slack")).ok
    card = await bot.say("totp", "ben", platform="slack")
    assert card.title == "Your phone already generates your codes."


async def test_another_phone_takes_a_code_of_the_old_one(bot: BotUnderTest) -> None:
    old = await enrol(bot, "ben")
    assert (await bot.say("totp 000000", "ben", platform="telegram")).title == WRONG
    card = await bot.say(f"totp {code(bot, old)}", "ben", platform="telegram")
    new = card.lines[0].text
    assert new != old
    assert bot.codes.kept[bot.people["ben"].id] == old
    bot.clock.advance(60)
    await bot.say(f"totp {code(bot, new)}", "ben", platform="telegram")
    assert bot.codes.kept[bot.people["ben"].id] == new


@pytest.mark.parametrize(("seconds", "valid"), [(590, True), (601, False)])
async def test_an_offered_secret_expires(bot: BotUnderTest, seconds: int, *, valid: bool) -> None:
    """Somebody with ben's chat account, but not his phone, finds the secret in an old message."""
    old = await enrol(bot, "ben")
    card = await bot.say(f"totp {code(bot, old)}", "ben", platform="telegram")
    assert card.hint == "The secret expires in 10 min, unless you type a code of it."
    new = card.lines[0].text
    bot.clock.advance(seconds)
    card = await bot.say(f"totp {code(bot, new)}", "ben", platform="telegram")
    assert card.title == ("One-time codes are set up: your phone generates them from now on." if valid else WRONG)
    assert bot.codes.kept[bot.people["ben"].id] == (new if valid else old)


async def test_who_took_too_long_to_enrol_gets_another_secret(bot: BotUnderTest) -> None:
    secret = (await bot.say("totp", "ben", platform="telegram")).lines[0].text
    bot.clock.advance(601)
    late = await bot.say(f"totp {code(bot, secret)}", "ben", platform="telegram")
    assert (late.title, late.hint) == ("You have not set up one-time codes yet.", "Type `totp` first.")
    await enrol(bot, "ben")


async def test_neither_secret_nor_code_is_kept_where_it_can_be_read(tmp_path: Path) -> None:
    async with open_code_bot(tmp_path) as bot:
        secret = await enrol(bot, "ben")
        number = await bot.ask()
        good = code(bot, secret)
        await bot.say(f"approve #{number} code {code(bot, secret, 5)}", "ben")
        await bot.say(f"approve #{number} code {good}", "ben")
        await bot.end_of(number)
        rows = "\n".join(f"{row.action} {row.subject} {row.detail}" for row in await bot.audit())
        files = [path.read_bytes() for path in bot.store.database.path.parent.rglob("*") if path.is_file()]
        assert files
        assert not [one for one in files if secret.encode() in one or f"code {good}".encode() in one]
        assert f"approve #{number} code …" in rows


async def test_files_of_secrets(tmp_path: Path) -> None:
    files = CodeFiles(tmp_path / "codes")
    assert (await files.get(7), await files.offered(7), await files.forget(7)) == (None, None, False)
    await files.offer(7, "SECRET")
    assert (await files.get(7), await files.offered(7)) == (None, "SECRET")
    await files.offer(7, "SECRET", at=1000.0)
    assert [await files.offered(7, since=since) for since in (999.0, 1000.0, 1000.1)] == ["SECRET", "SECRET", None]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "codes", tmp_path / "codes" / "7.new")} == {
        0o700,
        0o600,
    }
    await files.confirm(7)
    assert (await files.get(7), await files.offered(7)) == ("SECRET", None)
    await files.offer(8, "OTHER")
    await files.confirm(8)
    await files.move(8, 7)
    assert (await files.get(7), await files.get(8)) == ("SECRET", None)
    await files.move(7, 9)
    assert (await files.get(7), await files.get(9)) == (None, "SECRET")
    await files.offer(5, "OFFERED")
    assert await files.copy(9, 5)
    assert (await files.get(5), await files.offered(5), await files.get(9)) == ("SECRET", None, "SECRET")
    assert not await files.copy(6, 9), "who has none gives none"
    await files.offer(4, "OTHER")
    await files.confirm(4)
    assert not await files.copy(9, 4)
    assert await files.get(4) == "OTHER"
    assert [await files.forget(number) for number in (4, 5)] == [True, True]
    assert await files.forget(9)
    assert [*(tmp_path / "codes").iterdir()] == []


async def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    files = CodeFiles(tmp_path / "codes")
    await files.offer(7, "SECRET")
    await files.confirm(7)
    (tmp_path / "codes" / "7").chmod(0o640)
    with pytest.raises(
        StoreError,
        match=r"others can read .*codes/7 .*; run `chmod 600 .*`, and set up one-time codes again: it holds a secret",
    ):
        await files.get(7)
    (tmp_path / "codes" / "8").write_bytes(b"\xff")
    (tmp_path / "codes" / "8").chmod(0o600)
    with pytest.raises(StoreError, match="cannot be read"):
        await files.get(8)
    for name in ("9", "9.new"):
        (tmp_path / "codes" / name).mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        await files.offer(9, "SECRET")
    with pytest.raises(StoreError, match="cannot be written"):
        await files.confirm(11)
    with pytest.raises(StoreError, match="cannot be deleted"):
        await files.forget(9)


async def test_each_refusal_says_what_to_do_and_is_counted_in_the_audit(tmp_path: Path) -> None:
    async with open_code_bot(tmp_path) as bot:
        number = await bot.ask()
        with pytest.raises(UserError) as caught:
            await bot.deployments.approve(bot.ctx(who="cem"), number, "123456")
        assert (caught.value.sentence, caught.value.hint) == (
            "An approval needs a one-time code, and you have not set one up.",
            "Send `totp` in a private chat to set it up.",
        )
        secret = await enrol(bot, "ben")
        next_code = "Your phone shows a new one every 30 seconds."
        with pytest.raises(UserError) as caught:
            await bot.deployments.approve(bot.ctx(who="ben"), number, code(bot, secret, 9))
        assert (caught.value.sentence, caught.value.hint) == (WRONG, next_code)
        card = await bot.say(f"totp {code(bot, secret, 9)}", "ben", platform="telegram")
        assert (card.title, card.hint) == (WRONG, next_code)
        rows = [(row.actor, row.subject) for row in await bot.audit() if row.action == "wrong code"]
        assert rows == [("ben", f"#{number}"), ("ben", "ben")]
