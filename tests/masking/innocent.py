"""Lines as they are in logs, with what resembles a secret and is none."""

from __future__ import annotations

import random
import string

_HEX = "0123456789abcdef"
_LINES = (
    "2026-11-21T01:23:45Z GET /products/{n}?page={n} 200 {n} bytes in {n} ms",
    '10.0.0.{n} - - [21/Nov/2026:01:02:03 +0000] "GET /a%20b/c?q=%C3%A4&x={n} HTTP/1.1" 200 {n} "-" "Mozilla/5.0"',
    "commit {sha}",
    "HEAD is now at {short} Give everybody a cart",
    "sha256:{digest}: Pulling from library/redis",
    "Digest: sha256:{digest}",
    "Status: Downloaded newer image for registry.example.com:5000/shop@sha256:{digest}",
    "#12 exporting layers {n}.{n}s done, writing image sha256:{digest} done",
    "password reset done",
    "password reset requested for user {n}",
    "the password is wrong, try again",
    "invalid token: unexpected end of JSON input",
    "SyntaxError: Unexpected token < in JSON at position {n}",
    "error: invalid token: unexpected '}}' at line {n}",
    "token expired, refreshing",
    "Token refreshed in {n} ms",
    "max_tokens={n} total_tokens: {n} token_count={n}",
    "token_type=bearer expires_in=3600",
    "secret not found: shop-config",
    'Error: secret "shop-tls" not found',
    "Access denied for user 'shop'@'10.0.0.{n}' (using password: YES)",
    "password=<redacted> secret=*** token=null",
    "PASSWORD=${{DB_PASSWORD}} TOKEN=$TOKEN",
    "use --password-stdin, --password is insecure",
    "Using a password on the command line interface can be insecure.",
    "test_password_reset PASSED [ {n}%]",
    "pass: 12 fail: 0 skipped: {n}",
    "tests pass=120 fail=0",
    "request {uuid} of the shop took {n} ms",
    "trace_id={hex32} span_id={hex16} msg=ok",
    '{{"level":"info","time":"2026-11-21T01:02:03Z","msg":"said \\"hello\\"\\nnext","path":"/a/b","trace":"{hex32}"}}',
    'File "/usr/lib/python3.11/site-packages/shop/auth.py", line {n}, in check_password',
    "    raise InvalidToken(f'token {{token!r}} is not valid')",
    "if password == expected: return token",
    "npm WARN deprecated request@2.88.2: see https://github.com/request/request/issues/{n}",
    "added {n} packages from {n} contributors and audited {n} packages in 12.{n}s",
    "integrity sha512-{b64}==",
    "https://example.com:80/a@b and mailto:ana@example.com",
    "git@github.com:acme/shop.git ssh://deploy@203.0.113.10:22/srv",
    "http://127.0.0.1:{n}/healthz answers 500",
    "SHA256:{b43} ana@laptop (ED25519)",
    "MD5 fingerprint {pairs}",
    "eth0 {mac} up",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "C:\\Users\\ana\\shop\\new {n}",
    "keyword: search, key: value, primary_key=id, monkey=banana",
    "author: Ana, authority: root, authorized: yes",
    "Started Session {n} of User deploy.",
    "tokenizer=cl100k passwordless=true secretary=ana",
    "password_file=/run/secrets/db secretName: shop-tls",
    "secret: /run/secrets/shop/key",
    "sshd[{n}]: Accepted publickey for deploy from 10.0.0.{n} port {n} ssh2: ED25519 SHA256:{b43}",
    "postgres: LOG:  checkpoint complete: wrote {n} buffers (0.{n}%); 0 WAL file(s) added",
    "CSRF token missing or incorrect.",
    "DEBUG cache key=user:{n}:profile hit",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor",
    "Preparing to unpack .../10-passwd_1%3a4.13+dfsg1-1+deb12u2_amd64.deb ...",
    "&lt;b&gt;bold&lt;/b&gt; &amp; more",
    "ünïcödé Übung “quoted” 漢字 🙂👍🏽",
)


def lines(dice: random.Random, count: int) -> list[str]:
    """So many lines."""
    return [_line(dice) for _ in range(count)]


def _line(dice: random.Random) -> str:
    def some(size: int, alphabet: str = _HEX) -> str:
        return "".join(dice.choices(alphabet, k=size))

    digits = string.ascii_letters + string.digits + "+/"
    return dice.choice(_LINES).format(
        n=dice.randrange(10**5),
        sha=some(40),
        short=some(10),
        digest=some(64),
        uuid="-".join(map(some, (8, 4, 4, 4, 12))),
        hex32=some(32),
        hex16=some(16),
        b64=some(86, digits),
        b43=some(43, digits),
        pairs=":".join(some(2) for _ in range(16)),
        mac=":".join(some(2) for _ in range(6)),
    )
