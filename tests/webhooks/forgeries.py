"""What a forger might send: a delivery that is proven, with something about its proof changed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Iterator
from dataclasses import replace

from deploybot.webhooks.sender_port import Received

PROOFS = {
    "github": ("x-hub-signature-256",),
    "ghcr": ("x-hub-signature-256",),
    "gitea": ("x-gitea-signature",),
    "forgejo": ("x-forgejo-signature",),
    "bitbucket": ("x-hub-signature",),
    "gitlab": ("x-gitlab-token",),
    "gitee": ("x-gitee-token", "x-gitee-timestamp"),
    "harbor": ("authorization",),
    "registry": ("authorization",),
    "jenkins": ("authorization",),
    "argocd": ("authorization",),
    "prometheus": ("authorization",),
    "event": ("webhook-id", "webhook-timestamp", "webhook-signature"),
    "dockerhub": (),
    "acr": (),
}
"""The headers that prove something, by sender; of `gitlab-signed` they are those of `event`."""

COVERED = frozenset({"github", "ghcr", "gitea", "forgejo", "bitbucket", "event", "gitlab-signed"})
"""Whose proof covers the body."""
TIMED = frozenset({"gitee", "event", "gitlab-signed"})
"""Whose proof covers a time."""


def forgeries(name: str, received: Received, secret: str, seed: int) -> Iterator[tuple[str, Received, str]]:
    """Each as what was changed, the delivery, and the secret that it is held against."""
    yield from _secrets(received, secret)
    for header in PROOFS.get(name, PROOFS["event"]):
        yield from _headers(received, secret, header)
    if name in COVERED:
        yield from _bodies(received, secret, seed)
    if name in TIMED:
        yield from (
            (f"{past:+} seconds", replace(received, at=received.at + past), secret) for past in (301, -301, 9e9)
        )
    for parameter in received.query:
        yield from _queries(received, secret, parameter)
    if received.path:
        yield from _paths(received, secret)


def _secrets(received: Received, secret: str) -> Iterator[tuple[str, Received, str]]:
    changed = {"empty": "", "shorter": secret[:-1], "longer": secret + "x", "upper": secret.upper(), "blank": " "}
    changed |= {"other": "another-secret-altogether", "turned": secret[::-1], "spaced": f" {secret}"}
    yield from ((f"secret {how}", received, other) for how, other in changed.items() if other != secret)


def _changes(value: str) -> Iterator[tuple[str, str]]:
    yield "empty", ""
    yield "shorter", value[:-1]
    yield "longer", value + "0"
    yield "upper case", value.upper()
    yield "turned case", value.swapcase()
    yield "quoted", f'"{value}"'
    yield "not ASCII", value[:-1] + "é"
    yield "not UTF-8", value[:-1] + "\udcff"
    yield "twice in one", f"{value},{value}"
    yield "NUL", value + "\0"
    yield "another digit", value[:-1] + ("0" if value[-1] != "0" else "1")
    if value.startswith("sha256="):
        yield "bare", value.removeprefix("sha256=")
        yield "sha1", "sha1=" + value.removeprefix("sha256=")
    if value.startswith("v1,"):
        yield "v1a", value.replace("v1,", "v1a,")
        yield "v2", value.replace("v1,", "v2,")
        yield "bare", value.removeprefix("v1,")
    if value.startswith("Bearer "):
        yield "basic", value.replace("Bearer ", "Basic ")
        yield "two spaces", value.replace(" ", "  ")
        yield "base64", "Basic " + base64.b64encode(value.removeprefix("Bearer ").encode()).decode()


def _headers(received: Received, secret: str, header: str) -> Iterator[tuple[str, Received, str]]:
    headers = dict(received.headers)
    value = headers[header][0]
    without = {name: values for name, values in headers.items() if name != header}
    yield f"{header} missing", replace(received, headers=without), secret
    yield f"{header} renamed", replace(received, headers=without | {f"x-{header}": [value]}), secret
    for values in ([], [value, value], [value, "x"], ["x", value]):
        yield f"{header} {len(values)} times", replace(received, headers=headers | {header: values}), secret
    for how, other in _changes(value):
        if other != value:
            yield f"{header} {how}", replace(received, headers=headers | {header: [other]}), secret
    for algorithm in ("md5", "sha1", "sha512", "sha3_256"):
        made = hmac.new(secret.encode(), received.body, getattr(hashlib, algorithm)).hexdigest()
        for prefix in ("", "sha256=", f"{algorithm}="):
            yield (
                f"{header} {prefix}{algorithm}",
                replace(received, headers=headers | {header: [prefix + made]}),
                secret,
            )


def _bodies(received: Received, secret: str, seed: int) -> Iterator[tuple[str, Received, str]]:
    body, chance = received.body, random.Random(seed)
    for _ in range(8):
        where, bit = chance.randrange(len(body)), 1 << chance.randrange(8)
        changed = body[:where] + bytes([body[where] ^ bit]) + body[where + 1 :]
        yield f"body, bit {bit} of byte {where}", replace(received, body=changed), secret
    for how, changed in (("empty", b""), ("shorter", body[:-1]), ("longer", body + b" "), ("again", body + body)):
        yield f"body {how}", replace(received, body=changed), secret


def _queries(received: Received, secret: str, parameter: str) -> Iterator[tuple[str, Received, str]]:
    query = dict(received.query)
    value = query[parameter][0]
    yield f"?{parameter} missing", replace(received, query={}), secret
    yield f"?{parameter} as a header", replace(received, query={}, headers={parameter: [value]}), secret
    for values in ([], [value, value], ["x", value]):
        yield f"?{parameter} {len(values)} times", replace(received, query=query | {parameter: values}), secret
    for how, other in _changes(value):
        if other != value:
            yield f"?{parameter} {how}", replace(received, query=query | {parameter: [other]}), secret


def _paths(received: Received, secret: str) -> Iterator[tuple[str, Received, str]]:
    path = received.path
    for how, other in (*_changes(path), ("slash", f"/{path}"), ("deeper", f"{path}/x"), ("dots", f"x/../{path}")):
        if other != path:
            yield f"path {how}", replace(received, path=other), secret
