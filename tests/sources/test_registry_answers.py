"""What registries answer about tags and digests: the real one, and strange, slow and failing ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import Callable
from typing import cast

import pytest
from aiohttp import web

from deploybot.domain import Pin
from deploybot.domain.image_tags import Order, TagPattern
from deploybot.errors import NoImage, Unreachable
from deploybot.settings import App, ImageOf, RegistryLogin
from deploybot.sources.image_source import Registries, _FoundImage
from deploybot.testing import FakeClock
from tests.kit.seeds import new_seed
from tests.sources.shelf import DIGEST, PASSWORD, USER, Serve, Shelf, app_of, asking

N = int(os.environ.get("N", "200"))


async def test_a_tag_and_a_range_mean_digests(open_shelf: Shelf) -> None:
    found = {tag: open_shelf.push("acme/shop", tag) for tag in ("1.3.9", "1.4.2", "v1.5.0", "2.0.0-rc.1", "latest")}
    shop = f"{open_shelf.address}/acme/shop"
    pins = await asking(open_shelf.address).pins(app_of(web=f"{shop}:^1.4", side=f"{shop}:latest", old=f"{shop}:~1.3"))
    assert pins == (
        Pin("old", shop, "1.3.9", found["1.3.9"]),
        Pin("side", shop, "latest", found["latest"]),
        Pin("web", shop, "v1.5.0", found["v1.5.0"]),
    )


async def test_an_index_is_an_image(open_shelf: Shelf) -> None:
    parts = [open_shelf.push("acme/many", name) for name in ("amd64", "arm64")]
    index = open_shelf.push_index("acme/many", "1.0.0", *parts)
    (pin,) = await asking(open_shelf.address).pins(app_of(web=f"{open_shelf.address}/acme/many:1.0.0"))
    assert pin.digest == index


async def test_a_tag_that_moves_is_asked_anew_and_one_that_stays_costs_little(open_shelf: Shelf) -> None:
    app, registries = app_of(web=f"{open_shelf.address}/acme/moves:latest"), asking(open_shelf.address)
    for text in ("one", "two"):
        digest = open_shelf.push("acme/moves", "latest", text)
        for _ in range(2):
            assert [pin.digest for pin in await registries.pins(app)] == [digest]
    asked = [line for line in open_shelf.log.read_text().splitlines() if "HEAD /v2/acme/moves/manifests/latest" in line]
    assert [line.split('" ')[1][:3] for line in asked if " HTTP/1.1" in line] == ["200", "304", "200", "304"]


async def test_pages_of_tags(open_shelf: Shelf) -> None:
    for patch in range(7):
        open_shelf.push("acme/pages", f"1.0.{patch}")
    for page in (1, 3, 7, 1000):
        registries = asking(open_shelf.address, page=page)
        (pin,) = await registries.pins(app_of(web=f"{open_shelf.address}/acme/pages:^1"))
        assert pin.tag == "1.0.6"


def patterned(image: str, pattern: str, order: str) -> App:
    """An app whose service follows tags by a pattern."""
    tag = TagPattern(pattern, cast("Order", order))
    return app_of().model_copy(update={"images": {"web": ImageOf(service="web", image=image, tag=tag)}})


async def test_tags_are_followed_by_a_pattern_and_their_numbers(open_shelf: Shelf) -> None:
    found = {tag: open_shelf.push("acme/builds", tag) for tag in ("build-9", "build-1559", "2026.02.0", "latest")}
    image = f"{open_shelf.address}/acme/builds"
    (pin,) = await asking(open_shelf.address).pins(patterned(image, r"build-(\d+)", "number"))
    assert (pin.tag, pin.digest) == ("build-1559", found["build-1559"])
    with pytest.raises(NoImage, match=r"no version in `\^1.4`") as told:
        await asking(open_shelf.address).pins(app_of(web=f"{image}:^1.4"))
    assert "2026.02.0: a number in it begins with 0" in told.value.hint
    assert r"pattern = '(\d+)\.(\d+)\.(\d+)'" in told.value.hint
    unfit = await asking(open_shelf.address).unfit(app_of(web=f"{image}:^1.4"))
    assert [tag for tag, _ in unfit["web"]] == ["2026.02.0", "build-1559", "build-9"]


async def test_tags_that_are_commits_are_followed_by_when_their_images_were_made(open_shelf: Shelf) -> None:
    made = {
        "sha-ffff111": "2026-02-01T10:00:00Z",
        "sha-0000222": "2026-02-03T10:00:00.123456789Z",
        "sha-aaaa333": "2026-02-02T10:00:00Z",
        "sha-eeee444": "",
    }
    for tag, when in made.items():
        open_shelf.push("acme/commits", tag, made=when)
    part = open_shelf.push("acme/commits", "part", made="2026-02-04T10:00:00Z")
    app, registries = (
        patterned(f"{open_shelf.address}/acme/commits", r"sha-[0-9a-f]+", "time"),
        asking(open_shelf.address),
    )
    for _ in range(2):
        assert [pin.tag for pin in await registries.pins(app)] == ["sha-0000222"]
    asked = open_shelf.log.read_text()
    assert sum("GET /v2/acme/commits/manifests/sha-ffff111" in line for line in asked.splitlines()) <= 2
    open_shelf.push_index("acme/commits", "sha-bbbb555", part)
    assert [pin.tag for pin in await registries.pins(app)] == ["sha-bbbb555"]


async def test_what_is_not_there_is_reported_with_the_nearest(open_shelf: Shelf) -> None:
    for tag in ("1.4.2", "1.4.3", "nightly"):
        open_shelf.push("acme/told", tag)
    registries, told = asking(open_shelf.address), f"{open_shelf.address}/acme/told"
    for tag, sentence, hint in (
        ("1.4.4", f"{told} has no tag `1.4.4`.", "1.4.3"),
        ("^2", f"{told} has no version in `^2`.", "Its newest versions: 1.4.3, 1.4.2."),
    ):
        with pytest.raises(NoImage) as caught:
            await registries.pins(app_of(web=f"{told}:{tag}"))
        assert caught.value.sentence == sentence
        assert hint in caught.value.hint
    for tag in ("1.4", "^1.4"):
        with pytest.raises(NoImage, match="There is no image"):
            await registries.pins(app_of(web=f"{open_shelf.address}/acme/nothing:{tag}"))
    open_shelf.push("acme/wild", "nightly")
    with pytest.raises(NoImage) as caught:
        await registries.pins(app_of(web=f"{open_shelf.address}/acme/wild:^1"))
    assert caught.value.hint == "None of its 1 tags is a version such as 1.4.2."


async def test_images_by_their_name(open_shelf: Shelf) -> None:
    old, new = (open_shelf.push("acme/named", tag) for tag in ("1.0.0", "1.1.0"))
    side = open_shelf.push("acme/side", "1.0.0", "side")
    named, other = (f"{open_shelf.address}/acme/{name}" for name in ("named", "side"))
    app, registries = app_of(web=f"{named}:^1", worker=f"{named}:^1", side=f"{other}:1.0.0"), asking(open_shelf.address)
    both = [Pin("web", named, "1.0.0", old), Pin("worker", named, "1.0.0", old)]
    assert await registries.named(app, "1.0.0") == (Pin("side", other, "1.0.0", side), *both)
    assert await registries.named(app, new) == tuple(Pin(one, named, "1.1.0", new) for one in ("web", "worker"))
    assert [pin.tag for pin in await registries.named(app, old)] == ["", ""]
    for nothing in (DIGEST, "2.0.0", "feature/cart", "..", "a" * 129):
        assert await registries.named(app, nothing) == ()


async def test_many_registries_are_asked_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    running = most = 0

    async def newest(_: Registries, ref: object) -> object:
        nonlocal running, most
        del ref
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return _FoundImage("1", DIGEST)

    monkeypatch.setattr(Registries, "_newest", newest)
    registries = Registries([], FakeClock())
    pins = await registries.pins(app_of(**{f"s{at}": f"registry{at}.example.com/x:1" for at in range(50)}))
    assert (len(pins), most) == (50, 8)


@pytest.mark.parametrize(
    ("said", "rest"), [("30", 30.0), ("0", 1.0), ("", 60.0), ("soon", 60.0), ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0)]
)
async def test_a_registry_that_was_asked_too_often_is_left_alone(serve: Serve, said: str, rest: float) -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            return web.Response(status=429, headers={"Retry-After": said})
        return web.Response(headers={"Docker-Content-Digest": DIGEST})

    address, clock = await serve(answer), FakeClock()
    registries = Registries([("house", RegistryLogin(host=address, plain=True))], clock)
    app = app_of(web=f"{address}/shop:1")
    for _ in range(3):
        with pytest.raises(Unreachable) as caught:
            await registries.pins(app)
        assert caught.value.retry_after == rest
    assert asked == 1
    clock.advance(rest)
    assert [pin.digest for pin in await registries.pins(app)] == [DIGEST]


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_registry_that_reports_no_digest(serve: Serve, *, refuses: bool) -> None:
    body, left, asked = b'{"schemaVersion": 2}', "3;w=21600", list[str]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        headers = {"ratelimit-remaining": left, "ETag": '"x"'}
        if request.method == "HEAD":
            return web.Response(status=405 if refuses else 200, headers=headers)
        if request.headers.get("If-None-Match") == '"x"':
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    address = await serve(answer)
    registries, app = asking(address), app_of(web=f"{address}/shop:1")
    for _ in range(2):
        assert [pin.digest for pin in await registries.pins(app)] == [f"sha256:{hashlib.sha256(body).hexdigest()}"]
    left = "0;w=21600"
    asked.clear()
    with pytest.raises(Unreachable, match="pull limit"):
        await asking(address).pins(app)
    assert asked == ["HEAD"]


async def test_a_registry_that_is_slow_or_gone(serve: Serve) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"[" * 65536)

    address = await serve(slow)
    with pytest.raises(Unreachable, match="no answer within"):
        await asking(address, within=0.2).pins(app_of(web=f"{address}/shop:^1"))
    address = await serve(endless)
    with pytest.raises(Unreachable, match="too large"):
        await asking(address).pins(app_of(web=f"{address}/shop:^1"))
    with pytest.raises(Unreachable, match="refused"):
        await asking("127.0.0.1:1").pins(app_of(web="127.0.0.1:1/shop:^1"))


async def test_a_list_of_tags_has_an_end(serve: Serve) -> None:
    """And what is no tag is none: a number that is too long for any would have ended the look."""

    async def few(_: web.Request) -> web.Response:
        tags = [f"{'9' * 5_000}.0.0", "1.0.0", "1.0.1\n", "-1.0.2"]
        return web.json_response({"tags": tags} if "tags" in _.path else {}, headers={"Docker-Content-Digest": DIGEST})

    async def many(_: web.Request) -> web.Response:
        tags = [f"1.0.{number}" for number in range(100_001)]
        return web.json_response({"tags": tags}, headers={"Link": '</v2/shop/tags/list?more>; rel="next"'})

    address = await serve(few)
    assert [pin.tag for pin in await asking(address).pins(app_of(web=f"{address}/shop:>=1"))] == ["1.0.0"]
    address = await serve(many)
    with pytest.raises(Unreachable, match="its list of tags of shop has no end"):
        await asking(address).pins(app_of(web=f"{address}/shop:^1"))


async def test_nonsense_is_reported_and_breaks_nothing(serve: Serve, figure: Callable[[str], None]) -> None:
    """Whatever a registry answers is an image that is there, or an error of ours."""
    seed = new_seed()
    dice = random.Random(seed)

    def junk() -> str:
        words = ["", "x", '"', "sha256:", DIGEST, "Bearer", 'Bearer realm="', "Basic", "99999999999", "-1"]
        return dice.choice([*words, "<" * 8_000, f"Bearer {'a' * 8_000}"])

    async def answer(_: web.Request) -> web.Response:
        names = ["Docker-Content-Digest", "WWW-Authenticate", "Location", "Retry-After", "ETag", "Link"]
        headers = {name: junk() for name in dice.sample(names, dice.randrange(len(names)))}
        bodies = [b"", b"{", b"null", b'{"tags": 1}', b'{"tags": [1, null, "1.0.0"]}', b'{"token": 1}', b"[" * 9999]
        bodies += [json.dumps({"tags": [f"{'9' * 5_000}.0.0", "1.0.0\n"]}).encode()]
        status = dice.choice([200, 200, 200, 301, 304, 307, 400, 401, 403, 404, 405, 418, 429, 500, 503])
        return web.Response(status=status, headers=headers, body=b"" if status == 304 else dice.choice(bodies))

    address = await serve(answer)
    told = 0
    for _ in range(N):
        app = app_of(web=f"{address}/shop:{dice.choice(['1', '^1'])}")
        try:
            await asking(address, user=USER, password=PASSWORD).pins(app)
        except (NoImage, Unreachable):
            told += 1
    figure(f"0 of {N} strange answers broke anything ({told} told), seed={seed}")


async def test_a_next_page_that_is_refused_ends_the_look_at_once(serve: Serve) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        if "last=b" in request.path_qs:
            return web.Response(status=400)
        return web.json_response({"tags": ["1.0.0"]}, headers={"Link": '</v2/shop/tags/list?last=b>; rel="next"'})

    address = await serve(answer)
    with pytest.raises(Unreachable, match="its list of tags of shop is incomplete: the next page answered 400"):
        await asking(address).pins(app_of(web=f"{address}/shop:^1"))
    assert len(asked) == 2
