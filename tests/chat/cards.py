"""Cards as the bot says them, for tests of how they look."""

from __future__ import annotations

from deploybot.card import Button, Card, File, Line, Table, Tone

COMMIT = "0123456789012345678901234567890123456789"

RUNNING = Card(
    title="#42 deploy v2 (0123456789) to shop production — running",
    key="deployment:42",
    tone=Tone.BUSY,
    text=(
        "Faster checkout — Ann Example\n"
        "replaces v1 (abcdef0123)\n"
        "2 new commits, 3 files changed\n"
        "  0123456789 Faster checkout — Ann Example\n"
        "  9876543210 Round prices the way the tax office does — Ben\n"
        "! touches migrations/0007_price.sql"
    ),
    lines=(
        Line("web1", "fetch 0.4 s, build 31 s, switch 0.2 s", Tone.GOOD),
        Line("web2", "fetch 0.4 s, build …", Tone.BUSY),
        Line("web3", "not begun"),
    ),
    buttons=(Button("Cancel", "cancel #42", danger=True),),
    footer="by ann",
    final=False,
)

RESTORED = Card(
    title="#43 deploy v3 (3333333333) to shop production — failed, the old release is back",
    key="deployment:43",
    tone=Tone.WARN,
    text="web1 was not healthy within 60 s: GET http://127.0.0.1:8000/healthz said 500. v2 (0123456789) runs again.",
    lines=(Line("web1", "fetch 0.4 s, switch 0.2 s, back: switch 0.1 s", Tone.WARN),),
    code=("Traceback (most recent call last):", '  File "app.py", line 3', "\x1b[31mKeyError\x1b[0m: 'PRICE'"),
    buttons=(
        Button("Try again", f"deploy shop@{COMMIT} to production"),
        Button("What runs now", "status shop production"),
    ),
    footer="by ann, took 1 min 33 s, full log: logs #43",
    ok=False,
)

STATUS = Card(
    title="Status",
    table=Table(
        ("app", "environment", "server", "release", "since", "health"),
        (
            ("shop", "production", "web1", "v2 (0123456789)", "3 h by ann", "healthy"),
            ("shop", "production", "web2", "v1 (abcdef0123)", "4 d by ben", "unhealthy: HTTP 500"),
            ("blog", "production", "web2", "main (4444444444)", "2 min by ann", "healthy"),
        ),
        (Tone.GOOD, Tone.BAD, Tone.GOOD),
    ),
)

TYPO = Card(title="No app `shpo`, did you mean `shop`?", tone=Tone.BAD, hint="deploy shop", ok=False)

LOG = Card(
    title="shop production, last 2 lines",
    code=("web1  GET / 200", "web2  GET /cart 500 " + "x" * 80),
    files=(File("/var/lib/deploybot/shop.log.gz", "shop.log.gz"),),
    footer="2 servers",
)

HELP = Card(
    title="Commands", lines=(Line("deploy", "Put a release onto an environment."), Line("status", "The board."))
)
