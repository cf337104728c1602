from __future__ import annotations

from tests.world import World


async def test_only_those_of_what_one_may_see(world: World) -> None:
    assert (await world.say("servers")).code == ("web1", "web2", "web3")
    assert (await world.say("servers", "ben")).code == ("web1", "web2")
    assert (await world.say("servers", "cem")).code == ("web1", "web3")
