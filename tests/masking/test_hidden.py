"""Random texts with secrets in all encodings, cut anywhere: none is shown. And what is no secret stays."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from deploybot.masking import Redactor, Stream, clean
from tests.kit.seeds import new_seed
from tests.masking import hiding, innocent
from tests.masking.hiding import Hidden

N = int(os.environ.get("N", "4000"))
SEED = new_seed()
PARTS = 2
_BATCH = 40
_KNOWN = 4


def shown(hidden: Hidden, text: str, around: str) -> bool:
    """Whether half of what tells a secret, in one piece, can be read. What is `around` it may hold the same piece."""
    for part in hidden.tells:
        size = max(6, len(part) // 2 + 1)
        pieces = (part[at : at + size] for at in range(max(1, len(part) - size + 1)))
        if any(piece in text and piece not in around for piece in pieces):
            return True
    return False


def through_a_stream(redactor: Redactor, text: str, dice: random.Random) -> str:
    data = text.encode("utf-8", "surrogatepass")
    edges = sorted({0, len(data), *(dice.randrange(len(data)) for _ in range(dice.randint(1, 8)))})
    stream = Stream(redactor)
    pieces = [stream.feed(data[start:end]) for start, end in pairwise(edges)]
    return b"".join((*pieces, stream.flush())).decode()


def draw(dice: random.Random, secrets: list[str], short: str) -> tuple[str, Hidden]:
    """One way to hide, and what it gives."""
    kind = dice.randrange(10)
    if kind == 0:
        return "token", hiding.token(dice)
    if kind == 1:
        return "setting", hiding.setting(dice)
    if kind == 2:
        return "private key", hiding.private_key(dice)
    if kind == 3:
        return "short", Hidden(f" {short} ", (f" {short} ",))
    if kind == 4:
        return "line by line", hiding.line_by_line(dice, secrets[-1])
    hide = dice.choice(hiding.HIDES)
    return hide.__name__, hide(dice, dice.choice(secrets[:-1]))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_hidden_secret_is_shown(part: int, figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED * PARTS + part)
    failures: list[tuple[str, Hidden, str]] = []
    kinds: Counter[str] = Counter()
    count = N // PARTS
    secrets, short, redactor = [""], "", Redactor()
    for number in range(count):
        if number % _BATCH == 0:
            secrets[:] = [*(hiding.value(dice) for _ in range(_KNOWN)), hiding.of_lines(dice)]
            short = hiding.value(dice, 4, 5)
            redactor = Redactor((*secrets, short))
        kind, hidden = draw(dice, secrets, short)
        kinds[kind] += 1
        lines = innocent.lines(dice, dice.randint(0, 3))
        glue = (
            dice.choice((" ", "\n", "", "=", '"', "x")) if kind in {"plain", "in_base64"} else dice.choice((" ", "\n"))
        )
        before, after = "\n".join(lines), "\n".join(innocent.lines(dice, dice.randint(0, 3)))
        text = before + glue + hidden.text + glue + after
        way = dice.randrange(3)
        if way == 0:
            out = redactor.text(text)
        elif way == 1:
            out = redactor.data(clean(text.encode())).decode()
        else:
            out = through_a_stream(redactor, text, dice)
        if shown(hidden, out, f"{before}\n{after}"):
            failures.append((kind, hidden, out))
    figure(f"{len(failures)} of {count:,} hidden secrets shown, in {len(kinds)} ways, seed {SEED}")
    assert not failures, (Counter(kind for kind, _, _ in failures), failures[:3])


def test_what_is_no_secret_stays(figure: Callable[[str], None]) -> None:
    dice = random.Random(SEED)
    redactor = Redactor(tuple(hiding.value(dice) for _ in range(20)))
    lines = innocent.lines(dice, max(10_000, N))
    masked = redactor.text("\n".join(lines)).split("\n")
    wrong = [line for line, left in zip(lines, masked, strict=True) if line != left]
    figure(f"{len(wrong)} of {len(lines):,} lines of usual logs masked by mistake, seed {SEED}")
    assert not wrong, wrong[:10]
