"""Masking: whole texts, and texts that arrive in pieces cut anywhere."""

from __future__ import annotations

import base64
import itertools
import json
import random
import string
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest

from deploybot.card import Button, Card, Line, Link, Table
from deploybot.masking import MASK, Redactor, Stream
from deploybot.masking.key_shapes import looks_like_token
from tests.kit.seeds import new_seed

PASSWORD = "corr/ect+horse=b&ttery"
TOKEN = "hunter2-Zq9"
MULTILINE = "first line of it\nsecond line of it\nab\ncd"
KNOWN = (PASSWORD, TOKEN, MULTILINE, "pässwörd€")

KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    + "\n".join("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW" for _ in range(5))
    + "\n-----END OPENSSH PRIVATE KEY-----"
)
SHAPES = {
    "github": "ghp_" + "a1B2" * 9,
    "github fine": "github_pat_" + "a1B2" * 9,
    "gitlab": "glpat-" + "a1B2-" * 4,
    "slack bot": "xoxb-" + "1234567-abcdef",
    "slack app": "xapp-" + "1-A0B1C2-998877",
    "telegram": "123456789:" + "AAE-abcdefghijklmnopqrstuvwxyz_123",
    "aws": "AKIA" + "ABCD1234EFGH5678",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s5w-signature_x",
    "webhook": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def test_known_values_are_masked() -> None:
    assert Redactor(KNOWN).text(f"a {PASSWORD} b {TOKEN}c pässwörd€d") == f"a {MASK} b {MASK}c {MASK}d"


@pytest.mark.parametrize("before", ["", "x", "xy", "user:", "a longer beginning"])
@pytest.mark.parametrize("after", ["", "y", "yz", "!"])
def test_encoded_forms_are_masked(before: str, after: str) -> None:
    redactor = Redactor((PASSWORD,))
    raw = (before + PASSWORD + after).encode()
    for coded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        masked = redactor.text(coded.decode())
        assert MASK in masked
        stripped = masked.replace(MASK, "").encode()
        assert len(stripped) <= len(coded) - len(base64.b64encode(PASSWORD.encode())) + 8
    assert redactor.text(f"{before}={quote(PASSWORD, safe='')}") == f"{before}={MASK}"
    assert redactor.text(f"{before}={quote_plus(PASSWORD)}") == f"{before}={MASK}"


def test_lines_of_a_value_are_masked_alone() -> None:
    assert Redactor((MULTILINE,)).text("it says: second line of it") == f"it says: {MASK}"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_shapes_are_masked(shape: str) -> None:
    masked = Redactor().text(f"before={shape} after")
    assert MASK in masked
    assert masked.endswith(" after")
    assert shape[-12:] not in masked


def test_a_password_in_a_url_is_masked() -> None:
    assert Redactor().text("get https://bob:s3cr:et@host/x now") == f"get https://{MASK}@host/x now"
    assert Redactor().text("get https://host/x@y now") == "get https://host/x@y now"


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer {}", "authorization: basic {}", '{{"AUTHORIZATION": "Token {}"}}']
)
def test_authorization_is_masked(header: str) -> None:
    masked = Redactor().text(header.format("abcDEF123"))
    assert MASK in masked
    assert "abcDEF123" not in masked


def test_a_private_key_is_masked_whole() -> None:
    assert Redactor().text(f"cat id: {KEY}.") == f"cat id: {MASK}."


@pytest.mark.parametrize("cut", ["begin", "end"])
def test_of_half_a_private_key_the_body_is_masked(cut: str) -> None:
    lines = KEY.splitlines()
    half = "\n".join(lines[1:] if cut == "begin" else lines[:-1])
    assert "b3BlbnNz" not in Redactor().text("hello\n" + half + "\nbye")


def test_what_is_no_secret_stays() -> None:
    text = "2026-11-21T01:23:45.123456789Z GET /authorization?pat-h=1 https://example.com:80/a@b eyJ sec_ondary AKIA\n"
    assert Redactor(KNOWN).text(text) == text


def test_text_that_is_not_utf8_survives() -> None:
    junk = bytes(range(256)) * 3
    assert Redactor(KNOWN).data(junk + TOKEN.encode() + junk) == junk + MASK.encode() + junk
    assert Redactor().text("\udc80") == "\udc80"


def test_a_value_in_another_encoding_that_ends_within_a_character_breaks_nothing() -> None:
    assert Redactor(("password-é",)).text("password-高 and more") == f"{MASK}\ufffd\ufffd and more"


def test_values_that_overlap_are_masked_by_the_longest() -> None:
    assert Redactor(("abcdef", "abcd", "cdefgh")).text("xabcdefgh abcd") == f"x{MASK}gh {MASK}"


def test_a_value_learned_later_is_masked_from_then_on() -> None:
    redactor = Redactor()
    stream = Stream(redactor)
    redactor.learn("later-secret")
    assert stream.feed(b"a later-secret\n") == f"a {MASK}\n".encode()


def canaries() -> Iterator[tuple[str, bytes]]:
    """Texts with a secret in each, and the part of it that must not be seen."""
    for value in (PASSWORD, TOKEN, MULTILINE, *SHAPES.values()):
        yield value, value[-9:].encode()
    raw = base64.b64encode(b"x" + PASSWORD.encode() + b"yz").decode()
    yield raw, raw[4:-4].encode()
    yield quote(PASSWORD, safe=""), quote(PASSWORD, safe="").encode()
    yield KEY, KEY.splitlines()[3].encode()
    yield "https://bob:s3cretpw@host", b"s3cretpw"


def cut_at(text: bytes, *places: int) -> list[bytes]:
    edges = [0, *sorted(places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


def through(stream: Stream, pieces: list[bytes]) -> bytes:
    return b"".join([*map(stream.feed, pieces), stream.flush()])


@pytest.mark.parametrize("end", ["\n", "", "\nmore\n"])
def test_a_stream_cut_at_every_place_masks_the_same_as_the_whole(end: str) -> None:
    redactor = Redactor(KNOWN)
    for secret, canary in canaries():
        text = f"one\ntwo {secret} three{end}".encode()
        whole = redactor.data(text)
        assert canary not in whole
        for place in range(len(text) + 1):
            assert through(Stream(redactor), cut_at(text, place)) == whole
        assert through(Stream(redactor), [text[at : at + 1] for at in range(len(text))]) == whole


def test_no_secret_passes_in_a_line_without_end() -> None:
    redactor = Redactor(KNOWN)
    for secret, canary in canaries():
        for place in range(0, len(secret), 3):
            filler = b"." * (20_000 - place)
            text = filler + secret.replace("\n", "\\n").encode() + b"." * 20_000
            pieces = [text[at : at + 1000] for at in range(0, len(text), 1000)]
            out = through(Stream(redactor, hold=9_000), pieces)
            assert canary.replace(b"\n", b"\\n") not in out
            assert out.startswith(b"." * 15_000)


def test_a_token_longer_than_what_is_held_is_swallowed_whole() -> None:
    stream = Stream(Redactor(), hold=5_000)
    token = b"ghp_" + b"A1b2" * 10_000
    pieces = [token[at : at + 700] for at in range(0, len(token), 700)]
    assert through(stream, [*pieces, b" after\n"]).replace(MASK.encode(), b"") == b" after\n"


def test_pending_counts_what_has_not_come_out() -> None:
    stream = Stream(Redactor(KNOWN))
    assert stream.feed(b"one\ntw") == b"one\n"
    assert stream.pending == 2
    assert stream.feed(b"o\n") == b"two\n"
    assert stream.pending == 0


def test_from_any_offset_without_what_is_pending_nothing_is_lost_or_doubled() -> None:
    redactor = Redactor(KNOWN)
    text = f"one\n{KEY}\n{PASSWORD}\nlast".encode()
    for place in range(len(text)):
        first = Stream(redactor)
        out = first.feed(text[:place])
        resumed = through(Stream(redactor), [text[place - first.pending :]])
        assert out + resumed == redactor.data(text)


def test_a_begin_without_an_end_does_not_stop_a_stream() -> None:
    stream = Stream(Redactor())
    assert stream.feed(b"-----BEGIN PRIVATE KEY-----\n") == b""
    line = b"this is no key at all\n"
    assert line in stream.feed(line * 2000)
    assert stream.pending == 0


def test_what_a_stream_holds_is_bounded() -> None:
    stream = Stream(Redactor(KNOWN), hold=10_000)
    for _ in range(200):
        stream.feed(b"x" * 1000)
        assert stream.pending <= 10_000


def test_lines_are_cleaned_before_they_are_masked() -> None:
    stream = Stream(Redactor((TOKEN,)))
    assert stream.feed(b"hunter\x1b[1m2-Zq9\n") == f"{MASK}\n".encode()


def random_text(numbers: random.Random, secrets: list[str]) -> bytes:
    words = [
        *secrets,
        "a",
        "plain",
        "word",
        "https://x/",
        "12345678:",
        "ghp_",
        "-----BEGIN ",
        "\n",
        "\n",
        " ",
        "=",
        "é",
    ]
    return "".join(numbers.choice(words) for _ in range(60)).encode()


def test_random_texts_cut_at_random_are_masked_as_a_whole(seed: int) -> None:
    numbers = random.Random(seed)
    alphabet = string.ascii_letters + string.digits + "/+-_="
    for _ in range(300):
        secrets = ["".join(numbers.choices(alphabet, k=numbers.randint(8, 40))) for _ in range(5)]
        redactor = Redactor(tuple(secrets))
        text = random_text(numbers, secrets)
        places = [numbers.randint(0, len(text)) for _ in range(6)]
        masked = through(Stream(redactor), cut_at(text, *places))
        assert masked == redactor.data(text)
        assert not any(secret.encode() in masked for secret in secrets)


@pytest.fixture
def seed() -> int:
    seed = new_seed()
    print(f"seed {seed}")  # noqa: T201  shown by pytest when the test fails
    return seed


@pytest.mark.parametrize("count", [3, 500])
def test_masking_keeps_up_with_a_log(count: int) -> None:
    numbers = random.Random(1)
    values = tuple("".join(numbers.choices(string.ascii_letters + string.digits, k=30)) for _ in range(count))
    redactor = Redactor(values)
    line = b"2026-11-21T01:23:45.123456789Z 12 GET /path/to/some/resource?id=12 200 1234 0.123 Mozilla/5.0 agent\n"
    block = line * 10_000
    assert rate(lambda: redactor.data(block), len(block)) > 20e6


def rate(work: Callable[[], object], size: int) -> float:
    """Bytes a second, the best of several tries."""
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        work()
        best = max(best, size / (time.process_time() - start))
    return best


JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl"
HALF = b"-----BEGIN RSA PRIVATE KEY-----\n"
NASTY = 1 << 20


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (b"eyJ" * (NASTY // 3) + b" " + JWT, b"eyJ" * (NASTY // 3) + b" " + MASK.encode()),
        (b"x-eyJ " + JWT[:20] + b".\n" + b"id_" + JWT, b"x-eyJ " + JWT[:20] + b".\nid_" + MASK.encode()),
        (HALF * (NASTY // len(HALF)), HALF * (NASTY // len(HALF))),
        (HALF.replace(b"BEGIN", b"END") * (NASTY // len(HALF)), HALF.replace(b"BEGIN", b"END") * (NASTY // len(HALF))),
    ],
    ids=["beginnings of tokens", "a token behind others", "begins of keys", "ends of keys"],
)
def test_what_looks_like_the_beginning_of_many_secrets_is_read_once(text: bytes, masked: bytes) -> None:
    """Read anew from each of them, it took minutes: what an app writes to its log would have stopped the bot."""
    assert Redactor(KNOWN).data(text) == masked


def test_keys_among_halves_of_keys_are_masked() -> None:
    body = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n"
    end = b"-----END RSA PRIVATE KEY-----\n"
    text = body + end + HALF + body + end + b"between\n" + HALF + b"x\n" * 16_384 + body
    assert Redactor(()).data(text) == (
        MASK.encode() + b"\n" + end + MASK.encode() + b"\nbetween\n" + HALF + b"x\n" * 16_384 + body
    )
    assert body not in Redactor(()).data(HALF + body + HALF + body)


HOSTILE = {
    "passwords of URLs": b"://a:b@ ",
    "beginnings of URLs": b"://a:",
    "settings": b"pwd=a1 ",
    "settings in quotes": b"pwd='a' ",
    "settings of JSON": b'"token":"a1",',
    "settings without an end": b'password="',
    "names that may be harmless": b"token" + b"min" * 12 + b".=x1 ",
    "backslashes": b"\\",
    "escapes": b"\\a",
    "numbers of HTML": b"&#65;",
    "names of HTML without an end": b"&" + b"a" * 31,
    "codes of terminals": b"\x1b[",
    "titles of terminals": b"\x1b]",
    "signs that are not seen": "\u200b".encode(),
    "pairs of digits": b"ab:",
    "groups of digits": b"abab ",
    "lines of base64": b"a" * 33 + b"\n",
    "a known value": TOKEN.encode() + b" ",
    "a known value in percents": "".join(f"%{sign:02x}" for sign in TOKEN.encode()).encode() + b" ",
    "tokens": JWT + b" ",
    "blanks": b" ",
    "a line": b"A",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_blocks_the_loop(unit: bytes) -> None:
    """64 KiB are masked at once, others have their turn in between; a busy machine gets ten times the usual time."""
    redactor = Redactor((*KNOWN, "with\\backslash", "%20 and &lt;"))
    text = (unit * (65_536 // len(unit) + 1))[:65_536]
    start = time.process_time()
    through(Stream(redactor), [text, b"\n"])
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Y%FfGRv", "&#X0059;%FfGR&#X0076;"),
        ("a%2fb7", "\\u0061%2fb7"),
        ("a&lt;b", "%61&lt;b"),
        ("a&lt;%41b", "\\u0061&lt;%41b"),
        ("a\\101b", "a\\\\10&#49;b"),
        ("ab%2bc\\def", "ab%25252bc%25255cdef"),
    ],
)
def test_what_looks_like_an_escape_may_be_part_of_a_value(value: str, text: str) -> None:
    """The escapes of the text beside it are decoded, and those of the value stay."""
    assert Redactor((value,)).text(f"is {text} it") == f"is {MASK} it"


ESCAPES = "\\ % & # x X u { } ; ' \" \x1b [ ] \n \r 0 d83d 7f ffffff amp : = token password :// @ -- -----BEGIN"


def test_every_text_is_survived(seed: int) -> None:
    """What others write is looked at for escapes of every kind: nothing of it may break."""
    dice = random.Random(seed)
    parts = [*(part.encode() for part in ESCAPES.split(" ")), b" ", b"\n", b"a" * 33, TOKEN.encode()]
    parts += [b"\xe2\x80\x8b", b"\xed\xa0\xbd", b"\xf4\xbf\xbf\xbf", b"\xff", b"--secret "]
    redactor = Redactor((*KNOWN, "a\\b&#x41;%41\\u0041"))
    for _ in range(3000):
        text = b"".join(dice.choices(parts, k=dice.randint(1, 30)))
        assert TOKEN.encode() not in redactor.data(text)
        assert TOKEN not in redactor.text(text.decode("utf-8", "replace"))
        assert TOKEN.encode() not in through(Stream(redactor), cut_at(text, dice.randrange(len(text) + 1)))


def test_every_text_of_a_card_is_masked() -> None:
    hidden, url = f"x {TOKEN} y", f"https://example.com/?q={TOKEN}"
    lines = (Line(hidden, hidden, url=url),)
    masked = Redactor(KNOWN).card(
        Card(
            title=hidden,
            text=hidden,
            lines=lines,
            details=lines,
            table=Table((hidden,), ((hidden, "plain"),)),
            code=(hidden, "plain"),
            listing=("plain", hidden),
            buttons=(Button(hidden, "deploy shop"),),
            links=(Link(hidden, url), Link("plain", "https://example.com/")),
            footer=hidden,
            hint=hidden,
        )
    )
    shown, line = f"x {MASK} y", Line(f"x {MASK} y", f"x {MASK} y")
    assert masked == Card(
        title=shown,
        text=shown,
        lines=(line,),
        details=(line,),
        table=Table((shown,), ((shown, "plain"),)),
        code=(shown, "plain"),
        listing=("plain", shown),
        buttons=(Button(shown, "deploy shop"),),
        links=(Link(shown, ""), Link("plain", "https://example.com/")),
        footer=shown,
        hint=shown,
    )
    again = Button("Ask again", f"deploy shop to production because {hidden}")
    assert Redactor(KNOWN).card(Card(title="x", buttons=(again,))).buttons == (
        Button("Ask again", f"deploy shop to production because {shown}"),
    )
    plain = Card(title="plain", lines=(Line("a", "b", url="https://example.com/"),), code=("a", "", "b"))
    assert Redactor(KNOWN).card(plain) == plain


def test_a_secret_over_several_lines_of_code_is_masked() -> None:
    card = Redactor((MULTILINE,)).card(Card(title="x", code=("a", *MULTILINE.split("\n"), "b")))
    assert card.code == ("a", MASK, "b")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (SHAPES["github"], True),
        (KEY, True),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----", True),
        ("https://ana:secret@example.com/", True),
        ("password=x", False),
        ("shop/production", False),
    ],
)
def test_what_looks_like_a_token(text: str, *, is_one: bool) -> None:
    assert looks_like_token(text) is is_one


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("DB_PASS=hunter2hunter2", f"DB_PASS={MASK}"),
        ("my-pass=hunter2hunter2", f"my-pass={MASK}"),
        ("pass=hunter2hunter2", "pass=hunter2hunter2"),
        ("pass: 12 of 14", "pass: 12 of 14"),
        ("bad passwd_1:4.13-1ubuntu2", "bad passwd_1:4.13-1ubuntu2"),
        ("bad token: abc123", "bad token: abc123"),
        ("bad token: abcd1234", f"bad token: {MASK}"),
        ("  token: abc123", f"  token: {MASK}"),
        ("password=none", "password=none"),
        ("password='none of your business'", f"password='{MASK}'"),
        ("token_type=bearer1bearer2", "token_type=bearer1bearer2"),
        ("<token>abc</token>", f"<token>{MASK}</token>"),
        ("--api-key  abc", f"--api-key  {MASK}"),
        ("password=abc, next", f"password={MASK}, next"),
    ],
)
def test_settings_are_masked_by_their_names_unless_they_are_no_secrets(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


def test_a_value_of_three_characters_is_too_short_to_be_masked() -> None:
    assert Redactor(("abc", "abcd")).text("abc abcd xabcd") == f"abc {MASK} xabcd"


@pytest.mark.parametrize(
    "hidden",
    [
        "geheim\\ud83d\\ude00wort",
        "geheim&#128512;wort",
        "geheim&#x1F600;wort",
        "geheim%F0%9F%98%80wort",
        "geheim😀wort",
    ],
)
def test_characters_beyond_the_first_65536_are_found_under_escapes(hidden: str) -> None:
    assert Redactor(("geheim😀wort",)).text(f"x={hidden};") == f"x={MASK};"


def test_a_value_with_a_backslash_and_other_escapes_is_found_under_a_shell_quote() -> None:
    """Both may have to be read in their own way: `\\` as itself, `%2b` and the quote as escapes."""
    value = "jArwec0f%2b4JdH3dQsA\\'VodCl3'aXVius5"
    quoted = value.replace("'", "'\\''")
    assert Redactor((value,)).text(f"PASS='{quoted}'") == f"PASS='{MASK}'"
    in_json = json.dumps(quoted)[1:-1]
    assert Redactor((value,)).text(f'"{in_json}"') == f'"{MASK}"'
