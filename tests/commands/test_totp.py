from __future__ import annotations

import pyotp

from tests.world import STRANGER, World


async def test_a_phone_is_enrolled(world: World) -> None:
    card = await world.say("totp", "ben")
    assert card.private
    secret, address = (line.text for line in card.lines)
    assert address == f"otpauth://totp/deploybot:ben?secret={secret}&issuer=deploybot"
    code = pyotp.TOTP(secret).at(int(world.clock.now()))
    assert (await world.say(f"totp {code}", "ben")).ok
    assert [*world.codes.kept.values()] == [secret]


async def test_not_for_strangers(world: World) -> None:
    assert not (await world.say("totp", STRANGER)).ok
    assert world.codes.new == {}
