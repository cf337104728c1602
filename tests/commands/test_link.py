from __future__ import annotations

from tests.world import STRANGER, World


async def test_from_one_chat_to_the_other(world: World) -> None:
    code = (await world.say("link", "ben")).title.rpartition(" ")[2]
    assert (await world.say(f"link {code}", STRANGER, platform="telegram")).title.startswith("Almost")
    assert (await world.say("link yes", "ben")).ok
    assert (await world.say("whoami", STRANGER, platform="telegram")).title == "You are ben."
