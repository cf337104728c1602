"""Shapes of secrets that were never configured: tokens of providers, passwords in URLs, headers and settings.

| what | sources of the formats |
| --- | --- |
| GitHub | github.blog/2021-04-05-behind-githubs-new-authentication-token-formats |
| GitLab | docs.gitlab.com/security/tokens |
| Slack | api.slack.com/concepts/token-types |
| AWS | docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html |
| Google, Stripe, npm, PyPI, Telegram, Docker Hub and others | the prefixes in their own documents |
| JWT | RFC 7519 |
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploybot.masking.byte_patterns import compiled
from deploybot.masking.unescaped_views import Span

_TOKENS = (
    rb"gh[pousr]_[A-Za-z0-9]{20,}",
    rb"github_pat_[A-Za-z0-9_]{20,}",
    rb"gl(?:pat|dt|rt|ptt|soat|cbt|imt|ft|agent|oas)-[A-Za-z0-9_.-]{16,}",
    rb"xox[abcdeoprs]-[A-Za-z0-9.-]{10,}",
    rb"xapp-[A-Za-z0-9-]{10,}",
    rb"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b(?:[\s\"',:=/]{1,4}[A-Za-z0-9/+]{40}\b)?",
    rb"AIza[0-9A-Za-z_-]{35}",
    rb"GOCSPX-[A-Za-z0-9_-]{20,}",
    rb"\bya29\.[A-Za-z0-9_-]{20,}",
    rb"\b[spr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    rb"whsec_[A-Za-z0-9+/=_-]{16,}",
    rb"npm_[A-Za-z0-9]{36}",
    rb"pypi-[A-Za-z0-9_-]{32,}",
    rb"dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
    rb"\bhf_[A-Za-z0-9]{30,}",
    rb"\bsk-(?:[a-z]{2,8}[0-9]{0,2}-)?[A-Za-z0-9_-]{32,}",
    rb"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    rb"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    rb"\bdop_v1_[0-9a-f]{64}",
    rb"\bhvs\.[A-Za-z0-9_-]{24,}",
    rb"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
)
_WORD = (
    rb"(?i:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key"
    rb"|encryption[_-]?key|master[_-]?key|account[_-]?key|shared[_-]?key|deploy[_-]?key|auth[_-]?key|credential)"
)
_TAIL = rb"""[A-Za-z0-9_.-]{0,40}["']?\]?[ \t]{0,8}"""
_QUOTED = rb"""(?:"[^"\n]+|'[^'\n]+)"""
_BARE = rb"""[^\s"'<>][^\s"<>]*"""
_MIXED = rb"""[^\s"'<>]*(?:[0-9][^\s"<>]*[A-Za-z]|[A-Za-z][^\s"<>]*[0-9])[^\s"<>]*"""
# After a colon, prose may follow: "bad token: unexpected end". No groups: RE2 is ten times slower with them.
_KEYED = (
    _WORD + _TAIL + rb"(?:=>|:=|[=:])[ \t]{0,8}" + _QUOTED,
    _WORD + _TAIL + rb"(?:=>|:=|=)[ \t]{0,8}" + _BARE,
    rb"""(?m:^)[ \t{,"'-]{0,40}[A-Za-z0-9_.-]{0,40}""" + _WORD + _TAIL + rb":[ \t]{0,8}" + _BARE + rb"[ \t\r]*(?m:$)",
    _WORD + _TAIL + rb":[ \t]{0,8}" + _MIXED,
    rb"<[A-Za-z0-9_.:-]{0,40}" + _WORD + rb"[A-Za-z0-9_.-]{0,40}>[^\s<>]+</",
    rb"--[A-Za-z0-9-]{0,32}" + _WORD + rb"[A-Za-z0-9-]{0,32} {1,4}(?:" + _QUOTED + b"|" + _BARE + b")",
)
_AUTHORIZATION = rb"""(?i:authorization["']?\s{0,8}[:=]\s{0,8}["']?(?:bearer|basic|token|digest|negotiate)\s{1,8})"""
# The text before the secret, and the secret.
_PLACED = (
    (rb"://", rb"[^\s:/@\"'<>]*:[^\s/@\"'<>]+@"),
    (rb"\b[0-9]{6,12}:", rb"AA[A-Za-z0-9_-]{28,}"),
    (_AUTHORIZATION, rb"""[^\s"',]+"""),
    (rb"(?i:\bbearer\s{1,8})", rb"[A-Za-z0-9._~+/-]{20,}=*"),
    (rb"(?i:hooks\.slack\.com/services/)", rb"[A-Za-z0-9/_-]{20,}"),
    (rb"(?i:discord(?:app)?\.com/api/webhooks/)", rb"[A-Za-z0-9/_-]{20,}"),
)
_ALL_TOKENS = b"|".join(_TOKENS)
_ALL_PLACED = b"|".join(before + secret for before, secret in _PLACED)
_BEFORE = re.compile(b"|".join(before for before, _ in _PLACED))
_ALL_KEYED = b"|".join(_KEYED)
_EDGE = rb"-----(?:BEGIN|END)[ +][A-Z0-9 +]*PRIVATE[ +]KEY(?:[ +]BLOCK)?-----"
ANY = b"|".join((*_TOKENS, *(before + secret for before, secret in _PLACED), *_KEYED, _EDGE))
"""All shapes as one pattern. Patterns take memory, so it is compiled only when a text is first searched closely."""

_SETTING = re.compile(b"(" + _WORD + rb""")([A-Za-z0-9_.-]*+)["']?\]?[ \t]*+(?:(?:=>|:=|([=:>]))[ \t]*+)?(["']?)""")
_NO_SECRET_OF_THAT_NAME = (
    rb"(?i)(?:[_.-]?(?:type|count|names?|files?|path|dir|url|uri|endpoint|expir\w*|ttl|lengths?|len|min\w*|max\w*|reset\w*"
    rb"|policy|alg\w*|fields?|header|limit|size|status|version|arn|at|in|age|valid\w*|required|enabled|ref|usage|used"
    rb"|budget|store|provider|manager|rotation|stdin|prompt|id|ids|link|command|env|index|error|mismatch|change[ds]?|hint"
    rb"|s))+$|^[a-z]"
)
_NOTHING = re.compile(
    rb"(?i)(?:true|false|yes|no|null|none|nil|undefined|unset|empty|required|optional|invalid|missing|expired|redacted"
    rb"|hidden|masked|unknown|default|string|str|bool|int|bytes|on|off|ok|n/a|is|was|not|to|or|and|the|a|an|flag|option"
    rb"|instead|for|via|with|as|from|must|can|may|will|should|has|in|of|if|when|that|this|found|failed|incorrect|wrong"
    rb"|denied|rejected|revoked|refreshed|updated|changed|created|deleted|generated|received|accepted|ok\W*|[0-9]{1,5}"
    rb"|(?:sha256|sha512|md5):.*|(?:/[\w.-]+){2,}/?|[\w.]+\(.*|(?:os|process|env|self|config|settings|req)\.\w.*"
    rb"|[^A-Za-z0-9]{1,3}|[$*<{\[(|%\xe2=].*)"
)
_TRAILING = b"""'"`,;)]}.:"""
_VERSIONED = re.compile(rb"_[0-9]+$")
_INVITATION = b"otpauth://totp/deploybot:"
_NEAR = 200
"""Bytes after an invitation in which settings are not masked: `totp` shows it to a person in private, to be read."""
_PROSE = 8
"""Minimum length of a value without quotes after a colon inside a line. It has digits and letters."""


def spans_of(data: bytes) -> Iterator[Span]:
    """Yield where a text has any of the shapes."""
    for found in compiled(_ALL_TOKENS).finditer(data):
        yield found.span()
    for found in compiled(_ALL_PLACED).finditer(data):
        start, end = found.span()
        before = _BEFORE.match(data, start)
        yield (before.end() if before else start), (end - 1 if data[end - 1 : end] == b"@" else end)
    for found in compiled(_ALL_KEYED).finditer(data):
        if span := _value(data, *found.span()):
            yield span
    if b"PRIVATE" in data:
        yield from private_keys(data)


def looks_like_token(text: str) -> bool:
    """Return whether a text contains a provider's token, a private key or a password in a URL."""
    data = text.encode("utf-8", "surrogatepass")
    return any(compiled(one).search(data) for one in (_ALL_TOKENS, _ALL_PLACED)) or bool(_KEY_EDGE.search(data))


def _value(data: bytes, begin: int, end: int) -> Span | None:
    """Return the value of a setting, or None if its name or the value shows that it is not a secret."""
    setting = _SETTING.search(data, begin, end)
    if setting is None:
        return None
    word, rest, sign, quote = setting.groups()
    value = data[setting.end() : end]
    if sign == b">":
        value = value.removesuffix(b"</")
    elif not quote:
        value = value.rstrip(_TRAILING)
        # Prose, or a package with its version, as in `passwd_1:4.13`.
        if sign == b":" and (_VERSIONED.match(rest) or len(value) < _PROSE) and data[begin : begin + 1].isalpha():
            return None
    if data.rfind(_INVITATION, max(0, begin - _NEAR), begin) >= 0:
        return None
    if not value or _NOTHING.fullmatch(value) or (rest and compiled(_NO_SECRET_OF_THAT_NAME).search(rest)):
        return None
    # `DB_PASS=` is a secret, `pass: 12` is a count.
    before = data[max(0, setting.start() - 1) : setting.start()]
    if word.lower() == b"pass" and before not in {b"_", b"-", b"."}:
        return None
    return setting.end(), setting.end() + len(value)


_KEY_EDGE = re.compile(_EDGE.replace(b"(?:BEGIN|END)", b"(BEGIN|END)"))
KEY_SIZE = 32_768
"""Maximum length of a private key, with times before its lines. A `BEGIN` without an `END` is followed this far."""
_KEY_BODY = re.compile(rb"[A-Za-z0-9+/=]{16,}")


def private_keys(data: bytes) -> Iterator[Span]:
    """Yield where private keys are, PEM and PGP. If a begin or end is missing, yield where the key's body may be."""
    edges = [*_KEY_EDGE.finditer(data)]
    whole = whole_keys(edges)
    yield from whole
    position = 0
    for start, end in _halves(edges, whole, len(data)):
        for found in _KEY_BODY.finditer(data, max(start, position), end):
            yield found.span()
        position = end


def whole_keys(edges: list[re.Match[bytes]]) -> list[Span]:
    """Return where complete private keys are, in one pass."""
    ends = iter([edge for edge in edges if edge[1] == b"END"])
    end = next(ends, None)
    found: list[Span] = []
    for begin in edges:
        if begin[1] == b"END" or (found and begin.start() < found[-1][1]):
            continue
        while end is not None and end.start() < begin.end():
            end = next(ends, None)
        if end is not None and end.start() - begin.end() <= KEY_SIZE:
            found.append((begin.start(), end.end()))
    return found


def _halves(edges: list[re.Match[bytes]], whole: list[Span], size: int) -> Iterator[Span]:
    """Yield the spans around edges of incomplete keys: after a begin, before an end."""
    keys = iter(whole)
    key = next(keys, None)
    for edge in edges:
        while key is not None and key[1] <= edge.start():
            key = next(keys, None)
        if key is not None and key[0] <= edge.start():
            continue
        if edge[1] == b"BEGIN":
            yield edge.end(), min(size, edge.end() + KEY_SIZE)
        else:
            yield max(0, edge.start() - KEY_SIZE), edge.start()


def open_key(data: bytes, cut: int) -> int:
    """Return where a private key begins that has not ended before `cut`, or `cut` if there is none."""
    begin = data.rfind(b"-----BEGIN", max(0, cut - KEY_SIZE), cut)
    edge = _KEY_EDGE.match(data, begin) if begin >= 0 else None
    return begin if edge and not whole_keys([*_KEY_EDGE.finditer(data, begin, cut)]) else cut
