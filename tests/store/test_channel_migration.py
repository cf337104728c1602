"""A database from before channels had their name: every row that holds a channel is taken over."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.domain import AccountLink, Channel, Identity
from deploybot.masking import Redactor
from deploybot.store.codec import encode
from deploybot.store.database_connection import Way, open_database
from deploybot.store.deployment_rows import DeploymentRows
from deploybot.store.event_rows import EventRows
from deploybot.store.link_code_rows import LinkRows
from deploybot.store.outbox_rows import OutboxRows
from deploybot.store.schema import STEPS
from tests.store.channels_before import before
from tests.store.examples import NOW, plan

TOPIC = Channel("telegram", "-100123", "45")
DIRECT = Channel("slack", "D1", private=True)
BEFORE = STEPS[: [step.__name__ for step in STEPS].index("m021_channels")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of that version, with a row of each kind."""
    path = tmp_path / "deploybot.db"
    with closing(open_database(path, Way(durable=False), steps=BEFORE)) as old:
        old.execute("INSERT INTO persons (name) VALUES ('ana')")
        deployment = (
            "INSERT INTO deployments (app, environment, kind, state, commit_id, plan, requester, requester_name, "
            "reason, place, created) VALUES ('shop', 'staging', 'deploy', 'waiting', 'c', ?, 1, 'ana', '', ?, 1.0)"
        )
        for channel in (TOPIC, None):
            old.execute(deployment, (encode(plan()), before(channel) if channel else None))
        for key in ("a", "b"):
            card = encode(Card(title="hello", key=key))
            old.execute(
                "INSERT INTO outbox (place, key, card, next_at) VALUES (?, ?, ?, ?)", (before(TOPIC), key, card, NOW)
            )
        old.execute("INSERT INTO event_subjects VALUES ('shop', 'push:1', ?)", (NOW,))
        old.execute(
            "INSERT INTO notifications (app, thing, place, messages, posted_at, due, mood, stream, storm, line) "
            "VALUES ('shop', 'push:1', ?, 1, ?, 0, 'bad', 'github', 1, '')",
            (before(TOPIC), NOW),
        )
        old.execute("INSERT INTO storms VALUES (1, ?, 'github', ?, ?)", (before(TOPIC), NOW, NOW + 60))
        account = {"platform": "slack", "user": "U1", "team": ""}
        link = {"person": 1, "identity": account, "place": json.loads(before(DIRECT)), "until": NOW + 60}
        old.execute("INSERT INTO links VALUES (1, ?, x'', x'', ?)", (json.dumps(link), NOW + 60))
        old.commit()
    return path


def test_every_channel_is_found_again(path: Path) -> None:
    with closing(open_database(path, Way(durable=False))) as new:
        assert [one.channel for one in DeploymentRows(new).open()] == [TOPIC, None]
        outbox = OutboxRows(new, Redactor())
        outbox.put(TOPIC, Card(title="again", key="a"), NOW)
        assert [(one.channel, one.card.title) for one in outbox.due(NOW)] == [(TOPIC, "again"), (TOPIC, "hello")]
        assert outbox.due(NOW, besides=[(TOPIC.platform, TOPIC.id, "new")]) == ()
        events = EventRows(new)
        assert [one.channel for one in events.notifications("shop", "push:1")] == [TOPIC]
        assert (events.open_storm(TOPIC, "github"), events.recent(TOPIC, "github", NOW - 1)) == (1, 1)
        link = AccountLink(1, Identity("slack", "U1"), DIRECT, NOW + 60)
        assert LinkRows(new).get(1, NOW) == link
    assert path.with_name("deploybot.db.before-m021_channels").is_file()


def test_the_old_name_is_gone_and_the_rules_stay(path: Path) -> None:
    with closing(open_database(path, Way(durable=False))) as new:
        columns = "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE c.name = 'place'"
        assert new.execute(columns).fetchall() == []
        assert new.execute("SELECT 1 FROM links WHERE link LIKE '%place%'").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            new.execute("UPDATE outbox SET key = 'a'")
