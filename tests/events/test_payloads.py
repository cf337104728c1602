"""What senders send, as they document it, from the body to the message."""

from __future__ import annotations

import re
from collections.abc import Callable

from deploybot.domain import Ping
from deploybot.webhooks.senders import sender
from tests.events.channel import open_channel, settings
from tests.events.test_wild import ALL, on_slack, on_telegram
from tests.webhooks.recorded import NOW, RECORDED, SECRETS

ADDRESS = re.compile(r"[\w.]+@\w+\.\w+")


async def test_every_recorded_payload_is_a_message(figure: Callable[[str], None]) -> None:
    heard, wrong = 0, []
    async with open_channel(settings(notify=ALL)) as channel:
        channel.clock.advance(NOW - channel.clock.now())
        for one in RECORDED:
            events = sender(one.sender).events(one.received(SECRETS[one.sender]))
            for number, event in enumerate(events):
                said = await channel.hear(event, delivery=f"{one}-{number}")
                heard += bool(said)
                assert said or isinstance(event, Ping)
        cards = await channel.messages()
        kept = await channel.store.read(lambda tables: tables.events._run("SELECT event FROM event_parts").fetchall())  # type: ignore[attr-defined]
    wrong += [what for card in cards for what in (*on_slack(card), *on_telegram(card)) if what != "page"]
    figure(f"{len(wrong)} of {len(cards)} messages of {heard} events of {len(RECORDED)} payloads were wrong")
    assert len(cards) > 30
    assert wrong == []
    # Bodies hold the address of whoever pushed. Nobody is told it, so it is not kept.
    assert len(kept) > 30
    assert [event for (event,) in kept if ADDRESS.search(event)] == []
