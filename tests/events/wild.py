"""Events in which every text was written by somebody who means harm."""

from __future__ import annotations

import random
from typing import Any

from deploybot.domain import (
    Alert,
    Author,
    Build,
    BuildState,
    Change,
    Deployed,
    Event,
    ImagePushed,
    Note,
    Published,
    Push,
    PushedCommit,
    Synced,
    Tagged,
)
from tests.events.channel import ANA, DIGEST, NOON, sha

PIECES = (
    *("<!channel>", "<!here|x>", "@channel", "@here", "@everyone", "@ana", "<@U0BOT>", "<#C1|ops>", "&lt;!channel&gt;"),
    *("*bold*", "_it_", "~no~", "`code`", "```\nx", "[text](https://evil.example)", "<https://evil.example|safe>"),
    *("<b>", "</b>", "<a href='tg://user?id=1'>x</a>", "<pre>", "&amp;", "<", ">", "&", "|", "{}", "\\", '"', "'"),
    *("/deploy", "#tag", "$USD", "+49 30 123456", "https://evil.example/?q=1", "t.me/evil", "203.0.113.10"),
    *("\u202egnp.exe", "\u2066x\u2069", "\u200f", "\u200b", "\u2060", "\u00ad", "\ufeff", "\ud800", "\x00", "\x1b[31m"),
    *("\r\n", "\n\n", "\t", "\u2028", "e" + "\u0301" * 9, "מבחן", "مرحبا", "日本語", "💥", "👩‍👩‍👧", "ﷺ", ":fire:"),
    *("a", "shop", "feature/a_b-c*d", "v1.4_rc*", "!", "…", " ", "x" * 300, "because", "to production", "--dry-run"),
)  # fmt: skip
PAGES = (
    "",
    "https://git.example.com/x?a=b&c=d",
    "javascript:alert(1)",
    'https://x.example/">',
    "https://a@b.example/x",
)
SOUND = PAGES[1]


def text(dice: random.Random) -> str:
    """What a stranger may write; now and then 60 kB of it."""
    made = "".join(dice.choice(PIECES) for _ in range(dice.randint(0, 5)))
    return made * (60_000 // max(len(made), 1)) if dice.random() < 0.02 else made


def event(dice: random.Random) -> Event:
    """An event of any kind about any commit."""

    def some() -> str:
        return text(dice)

    common: dict[str, Any] = {
        "sender": dice.choice(("github", "gitlab", "event")), "repository": dice.choice(("acme/shop", some())),
        "url": dice.choice(PAGES), "at": NOON + dice.randint(0, 900),
        "by": dice.choice((ANA, Author(some()))),
    }  # fmt: skip
    commit = dice.choice((sha(dice.randint(1, 9)), some(), ""))
    pairs = tuple((some(), some()) for _ in range(dice.randint(0, 20)))
    commits = tuple(PushedCommit(commit, some(), some(), dice.choice(PAGES)) for _ in range(dice.randint(0, 20)))
    state = dice.choice([*BuildState])
    makers = (
        lambda: Push(
            **common, branch=some(), before=commit, after=dice.choice((sha(3), some(), "")), commits=commits,
            total=dice.choice((0, 3, 500, 10_000)), compare=dice.choice(PAGES), forced=dice.random() < 0.2,
        ),
        lambda: Tagged(**common, tag=some(), commit=commit),
        lambda: Published(
            **common, tag=some(), name=some(), text=some(), early=dice.random() < 0.5, gone=dice.random() < 0.2
        ),
        lambda: Change(
            **common, number=dice.randint(1, 9), title=some(), what=dice.choice(("opened", "merged", "closed")),
            branch=some(), into=some(), commit=commit,
        ),
        lambda: Build(
            **common, key=some(), name=some(), state=state, branch=some(), tag=some(), commit=commit,
            number=dice.randint(0, 9), failed=tuple(some() for _ in range(dice.randint(0, 30))),
        ),
        lambda: ImagePushed(**common, image=some(), tag=some(), digest=dice.choice((DIGEST, some())), size=-1),
        lambda: Deployed(**common, key=some(), environment=some(), state=state, ref=some(), commit=commit, text=some()),
        lambda: Synced(**common, application=some(), state=some(), health=some(), commit=commit, text=some()),
        lambda: Alert(**common, key=some(), name=some(), firing=True, severity=some(), text=some(), labels=pairs),
        lambda: Note(**common, title=some(), text=some(), tone=some(), key=some(), environment=some(), fields=pairs),
    )  # fmt: skip
    return dice.choice(makers)()
