"""Ways to hide a secret in a text: each gives the text, and the part of it that tells the secret."""

from __future__ import annotations

import base64
import html
import json
import random
import shlex
import string
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

ALPHABETS = (
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "+/=_-",
    string.ascii_letters + string.punctuation,
    string.ascii_lowercase + "äöüßéñ€漢字",
    string.ascii_letters + string.digits + " '\"\\/&<>%",
)
UNSEEN = ("\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e", "\u0301", "\ufe0f")
CODES = ("\x1b[1m", "\x1b[0;31m", "\x1b[K", "\x1b]0;title\x07", "\x1b(B", "\x00", "\x07", "\x08", "\x7f", "\x9b")
STAMPS = ("", "2026-11-21T01:23:45.123456789Z ", "web-1  | ", "Nov 21 01:23:45 web1 app[12]: ")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A text with a secret in it, and what of it tells the secret, in one or several parts."""

    text: str
    tells: tuple[str, ...]


Hide = Callable[[random.Random, str], Hidden]


def value(dice: random.Random, least: int = 6, most: int = 48) -> str:
    """A secret, which begins and ends with something that is seen."""
    alphabet = dice.choice(ALPHABETS)
    made = "".join(dice.choices(alphabet, k=dice.randint(least, most)))
    ends = string.ascii_letters + string.digits
    return dice.choice(ends) + made[1:-1] + dice.choice(ends)


def _whole(text: str) -> Hidden:
    return Hidden(text, (text,))


def plain(dice: random.Random, secret: str) -> Hidden:
    del dice
    return _whole(secret)


def broken_by_codes(dice: random.Random, secret: str) -> Hidden:
    return _strewn(dice, secret, CODES)


def broken_by_unseen(dice: random.Random, secret: str) -> Hidden:
    return _strewn(dice, secret, UNSEEN)


def _strewn(dice: random.Random, secret: str, signs: tuple[str, ...]) -> Hidden:
    places = {dice.randrange(1, len(secret)) for _ in range(dice.randint(1, 4))}
    text = "".join(dice.choice(signs) + sign if at in places else sign for at, sign in enumerate(secret))
    return Hidden(text, (secret, text))


def in_base64(dice: random.Random, secret: str) -> Hidden:
    text, first, last = _stable(dice, secret)
    return Hidden(text, (text[first:last],))


def _stable(dice: random.Random, secret: str) -> tuple[str, int, int]:
    """Base64 of the secret among other text; where the digits are that tell it."""
    before, after = (dice.choice(("", "x", "yz", "user:", "-" * dice.randrange(90))) for _ in range(2))
    coder = dice.choice((base64.b64encode, base64.urlsafe_b64encode))
    text = coder((before + secret + after).encode()).decode()
    start, size = len(before.encode()), len(secret.encode())
    first, last = -(-start * 8 // 6), (start + size) * 8 // 6
    return text, first, last


def wrapped_base64(dice: random.Random, secret: str) -> Hidden:
    text, first, last = _stable(dice, secret)
    width, end, stamp = dice.choice((64, 76)), dice.choice(("\n", "\r\n")), dice.choice(STAMPS)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    tells = [text[max(first, at) : min(last, at + width)] for at in range(0, len(text), width)]
    return Hidden(f"\n{stamp}" + f"{end}{stamp}".join(lines) + "\n", tuple(part for part in tells if len(part) > 6))


def wrapped_in_json(dice: random.Random, secret: str) -> Hidden:
    hidden = wrapped_base64(dice, secret)
    slash = "\\/" if dice.random() < 0.5 else "/"
    return Hidden(json.dumps(hidden.text).replace("/", slash), tuple(one.replace("/", slash) for one in hidden.tells))


def in_hex(dice: random.Random, secret: str) -> Hidden:
    digits = secret.encode().hex()
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    between = dice.choice(("", "", ":", " ", "\\x", "-", ", ", ", 0x"))
    text = between.join(pairs)
    text = text.upper().replace("X", "x") if dice.random() < 0.5 else text
    return Hidden(("\\x" if between == "\\x" else "0x" if between == ", 0x" else "") + text, (text,))


def in_percents(dice: random.Random, secret: str) -> Hidden:
    text = dice.choice((quote, quote_plus))(secret, safe=dice.choice(("", "/", "/:@")))
    return _whole(text)


def partly_in_percents(dice: random.Random, secret: str) -> Hidden:
    style = dice.choice(("%%%02x", "%%%02X"))

    def coded(sign: str) -> str:
        must = sign in "% +&" or not sign.isascii()
        return "".join(style % byte for byte in sign.encode()) if must or dice.random() < 0.4 else sign

    return _whole("".join(map(coded, secret)))


def twice_in_percents(dice: random.Random, secret: str) -> Hidden:
    return _whole(quote(partly_in_percents(dice, secret).text, safe=""))


def in_json(dice: random.Random, secret: str) -> Hidden:
    text = json.dumps(secret, ensure_ascii=dice.random() < 0.5)[1:-1]
    return _whole(text.replace("/", dice.choice(("/", "\\/", "\\u002f", "\\u002F"))))


def partly_in_json(dice: random.Random, secret: str) -> Hidden:
    def coded(sign: str) -> str:
        return f"\\u{ord(sign):04x}" if sign in '"\\' or dice.random() < 0.4 else sign

    return _whole("".join(map(coded, secret)))


def twice_in_json(dice: random.Random, secret: str) -> Hidden:
    return _whole(json.dumps(in_json(dice, secret).text)[1:-1])


def in_html(dice: random.Random, secret: str) -> Hidden:
    return _whole(html.escape(secret, quote=dice.random() < 0.8))


def partly_in_html(dice: random.Random, secret: str) -> Hidden:
    names = {"&": "&amp;", "<": "&lt;", "/": "&sol;", "ä": "&auml;", '"': "&quot;", "=": "&equals;"}
    styles = ("&#{};", "&#0{};", "&#x{:x};", "&#X{:04X};")

    def coded(sign: str) -> str:
        if sign != "&" and dice.random() < 0.6:
            return sign
        return names[sign] if sign in names and dice.random() < 0.5 else dice.choice(styles).format(ord(sign))

    return _whole("".join(map(coded, secret)))


def with_slashes(dice: random.Random, secret: str) -> Hidden:
    del dice
    return _whole("".join("\\" + sign if sign in "'\"\\" else sign for sign in secret))


def for_a_shell(dice: random.Random, secret: str) -> Hidden:
    way = dice.randrange(4)
    if way == 0:
        return Hidden(text := shlex.quote(secret), (text.strip("'"),))
    if way == 1:
        return _whole(secret.replace("'", "'\\''"))
    if way == 2:
        return _whole("".join(sign if sign.isalnum() or not sign.isascii() else f"\\{sign}" for sign in secret))
    return _whole("".join(f"\\{sign}" if sign in '$`"\\!' else sign for sign in secret))


def for_python(dice: random.Random, secret: str) -> Hidden:
    return _whole(dice.choice((repr, ascii))(secret)[1:-1])


def in_octal(dice: random.Random, secret: str) -> Hidden:
    def coded(sign: str) -> str:
        must = sign == "\\" or not sign.isascii() or dice.random() < 0.4
        return "".join(f"\\{byte:03o}" for byte in sign.encode()) if must else sign

    return _whole("".join(map(coded, secret)))


def json_of_percents(dice: random.Random, secret: str) -> Hidden:
    return _whole(json.dumps(partly_in_percents(dice, secret).text)[1:-1])


def percents_of_json(dice: random.Random, secret: str) -> Hidden:
    return _whole(quote(in_json(dice, secret).text, safe=""))


def html_of_json(dice: random.Random, secret: str) -> Hidden:
    return _whole(html.escape(in_json(dice, secret).text))


def base64_in_percents(dice: random.Random, secret: str) -> Hidden:
    text, first, last = _stable(dice, secret)
    return Hidden(quote(text, safe=""), (quote(text[first:last], safe=""),))


HIDES: tuple[Hide, ...] = (
    plain,
    broken_by_codes,
    broken_by_unseen,
    in_base64,
    wrapped_base64,
    wrapped_in_json,
    in_hex,
    in_percents,
    partly_in_percents,
    twice_in_percents,
    in_json,
    partly_in_json,
    twice_in_json,
    in_html,
    partly_in_html,
    with_slashes,
    for_a_shell,
    for_python,
    in_octal,
    json_of_percents,
    percents_of_json,
    html_of_json,
    base64_in_percents,
)


def _some(dice: random.Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(dice.choices(alphabet, k=count))


_DIGITS = string.ascii_letters + string.digits + "_-"
TOKENS: dict[str, Callable[[random.Random], str]] = {
    "github": lambda dice: "gh" + dice.choice("pousr") + "_" + _some(dice, 36),
    "github fine": lambda dice: "github" + "_pat_" + _some(dice, 22) + "_" + _some(dice, 59),
    "gitlab": lambda dice: "gl" + "pat-" + _some(dice, 20, _DIGITS),
    "slack": lambda dice: "xox" + dice.choice("bpa") + "-" + _some(dice, 12, string.digits) + "-" + _some(dice, 24),
    "aws": lambda dice: "AK" + "IA" + _some(dice, 16, string.ascii_uppercase + string.digits),
    "google": lambda dice: "AI" + "za" + _some(dice, 35, _DIGITS),
    "stripe": lambda dice: "sk" + "_live_" + _some(dice, 24),
    "npm": lambda dice: "np" + "m_" + _some(dice, 36),
    "pypi": lambda dice: "py" + "pi-AgEIcHlwaS5vcmc" + _some(dice, 70, _DIGITS),
    "telegram": lambda dice: _some(dice, 10, "123456789") + ":AA" + _some(dice, 33, _DIGITS),
    "jwt": lambda dice: ".".join(
        ("ey" + "J" + _some(dice, 20), "ey" + "J" + _some(dice, 30), _some(dice, 43, _DIGITS))
    ),
}
_URL = "https://{}:{}@db.example.com/x"
_SETTINGS = (
    "DB_PASSWORD={}",
    "export API_TOKEN={}",
    "password: {}",
    "  clientSecret: {}",
    '{{"password":"{}","user":"ana"}}',
    "{{'secret_key': '{}'}}",
    "mysqldump --password {} shop",
    "login --token={}",
    "define('DB_PASSWORD' => '{}')",
    "X-Api-Key: {}",
    "Authorization: Bearer {}",
    "<password>{}</password>",
    'api_key = "{}"',
)


def token(dice: random.Random) -> Hidden:
    """A provider's token, or a password in a URL, that nobody has named."""
    kind = dice.choice((*TOKENS, "url"))
    if kind == "url":
        secret = _some(dice, dice.randint(8, 30))
        return Hidden(_URL.format(_some(dice, 6), secret), (secret,))
    secret = TOKENS[kind](dice)
    return Hidden(secret, (secret[12:] if kind == "telegram" else secret,))


def of_lines(dice: random.Random) -> str:
    """A secret of several lines, each long enough to be masked alone."""
    return "\n".join(value(dice, 10, 40) for _ in range(dice.randint(2, 5)))


def line_by_line(dice: random.Random, secret: str) -> Hidden:
    """Its lines with something in front of them, in JSON, or one of them alone."""
    lines, way = secret.split("\n"), dice.randrange(3)
    if way == 0:
        return Hidden(text := dice.choice(lines), (text,))
    if way == 1:
        text = json.dumps(secret, ensure_ascii=False)
        return Hidden(text, tuple(json.dumps(line, ensure_ascii=False)[1:-1] for line in lines))
    stamp = dice.choice(STAMPS)
    return Hidden(f"\n{stamp}" + f"\n{stamp}".join(lines) + "\n", tuple(lines))


def setting(dice: random.Random) -> Hidden:
    """A setting of that name, in one of many languages."""
    secret = "x1" + _some(dice, dice.randint(8, 30))
    return Hidden("\n" + dice.choice(_SETTINGS).format(secret) + "\n", (secret,))


def private_key(dice: random.Random) -> Hidden:
    """A private key of PEM or PGP, also with times in front of its lines, or in JSON."""
    kind = dice.choice(("", "RSA ", "EC ", "OPENSSH ", "PGP "))
    end = "PRIVATE KEY BLOCK" if kind == "PGP " else "PRIVATE KEY"
    body = [_some(dice, 64, string.ascii_letters + string.digits + "+/") for _ in range(dice.randint(2, 30))]
    lines = [f"-----BEGIN {kind}{end}-----", *body, f"-----END {kind}{end}-----"]
    if dice.random() < 0.3:
        return Hidden(json.dumps("\n".join(lines)), tuple(body))
    stamp = dice.choice(STAMPS)
    return Hidden(f"\n{stamp}" + f"\n{stamp}".join(lines) + "\n", tuple(body))
