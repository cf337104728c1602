"""Who learns a registry's login: the real one with every way to log in, and nobody elsewhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from deploybot.domain import ImageOrigin
from deploybot.errors import NoImage, Unreachable
from deploybot.net.guarded_resolver import GuardedResolver
from deploybot.settings import RegistryLogin
from deploybot.sources.image_source import Registries
from deploybot.testing import FakeClock
from tests.sources.shelf import BASIC, DIGEST, PASSWORD, USER, Serve, Shelf, Tokens, app_of, asking, htpasswd


async def test_basic_login(shelves: Callable[..., Shelf]) -> None:
    closed = shelves(htpasswd, BASIC)
    digest = closed.push("acme/shop", "1.0.0")
    app = app_of(web=f"{closed.address}/acme/shop:^1")
    assert [pin.digest for pin in await asking(closed.address, user=USER, password=PASSWORD).pins(app)] == [digest]
    with pytest.raises(NoImage, match="or needs a login") as caught:
        await asking(closed.address).pins(app)
    assert caught.value.hint == f'Set `host = "{closed.address}"`, `user` and `password` in [registries.house].'
    with pytest.raises(NoImage, match=f"{USER} has no permission for acme/shop") as caught:
        await asking(closed.address, user=USER, password="wrong").pins(app)
    assert "[registries.house]" in caught.value.hint


async def test_a_login_is_only_for_the_apps_that_it_names_if_files_on_servers_name_images(
    shelves: Callable[..., Shelf],
) -> None:
    closed = shelves(htpasswd, BASIC)
    closed.push("acme/shop", "1.0.0")
    app = app_of(web=f"{closed.address}/acme/shop:^1").model_copy(update={"repo": None})
    login = RegistryLogin.model_validate(
        {"host": closed.address, "plain": True, "user": USER, "password": {"env": "PASSWORD"}}
    )
    assert login.password is not None
    login.password.fill(PASSWORD)
    with pytest.raises(NoImage, match="or needs a login"):
        await Registries([("house", login)], FakeClock()).pins(app)
    named = login.model_copy(update={"apps": (app.name,)})
    pins = await Registries([("house", named)], FakeClock()).pins(app)
    assert len(pins) == 1
    asked = Registries([("house", login)], FakeClock())
    assert await asked.origins(app, pins) == {pins[0].digest: ImageOrigin()}, "one that fails hides no other"


async def test_login_by_token(shelves: Callable[..., Shelf], serve: Serve, tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    realm = f"http://{await serve(tokens.answer)}/token"
    shut = shelves(lambda _: tokens.auth(realm))
    digests = {}
    for repository in ("open/shop", "acme/shop"):
        filled = Shelf(shut.address, shut.log, f"Bearer {tokens.token(repository, 'pull', 'push')}")
        digests[repository] = await asyncio.to_thread(filled.push, repository, "1.0.0")
    public, private = (app_of(web=f"{shut.address}/{name}:^1") for name in digests)
    anonymous = asking(shut.address)
    assert [pin.digest for pin in await anonymous.pins(public)] == [digests["open/shop"]]
    before = tokens.given
    await anonymous.pins(public)
    assert tokens.given == before
    with pytest.raises(NoImage, match="or needs a login"):
        await anonymous.pins(private)
    known = asking(shut.address, user=USER, password=PASSWORD)
    assert [pin.digest for pin in await known.pins(private)] == [digests["acme/shop"]]
    with pytest.raises(NoImage, match="has no permission for"):
        await asking(shut.address, user=USER, password="wrong").pins(private)


async def test_a_token_is_asked_for_anew_when_its_time_is_over(serve: Serve) -> None:
    given = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal given
        if request.path == "/token":
            given += 1
            return web.json_response({"access_token": f"t{given}", "expires_in": 100})
        if request.headers.get("Authorization") != f"Bearer t{given}":
            realm = f'Bearer realm="http://{request.host}/token",service="x"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return web.Response(headers={"Docker-Content-Digest": DIGEST})

    address, clock = await serve(answer), FakeClock()
    login = RegistryLogin(host=address, plain=True)
    registries, app = Registries([("house", login)], clock), app_of(web=f"{address}/shop:1")
    for passed, expected in ((0.0, 1), (80.0, 1), (20.0, 2)):
        clock.advance(passed)
        await registries.pins(app)
        assert given == expected


async def test_nobody_else_learns_who_we_are(serve: Serve) -> None:
    seen = list[str]()

    async def other(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        if request.path == "/closed":
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return web.Response(headers={"Docker-Content-Digest": DIGEST})

    elsewhere = await serve(other)

    async def answer(request: web.Request) -> web.Response:
        if not request.headers.get("Authorization"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        path = "closed" if "closed" in request.path else "open"
        return web.Response(status=307, headers={"Location": f"http://{elsewhere}/{path}"})

    address = await serve(answer)
    registries = asking(address, user=USER, password=PASSWORD)
    assert [pin.digest for pin in await registries.pins(app_of(web=f"{address}/shop:1"))] == [DIGEST]
    with pytest.raises(NoImage):
        await registries.pins(app_of(web=f"{address}/closed:1"))
    assert set(seen) == {""}


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://metadata.google.internal/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://[::1",
        "ftp://example.com/",
        "file:///etc/passwd",
        "",
        "//",
    ],
)
async def test_where_the_bot_does_not_follow(serve: Serve, place: str) -> None:
    async def redirects(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": place})

    async def challenges(_: web.Request) -> web.Response:
        return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="{place}"'})

    async def goes_on(request: web.Request) -> web.Response:
        body = {"tags": ["x"]} if "tags" in request.path else {}
        return web.json_response(body, headers={"Link": f'<{place or "http://example.com/"}>; rel="next"'})

    for handler, tag in ((redirects, "1"), (challenges, "1"), (goes_on, "^1")):
        address = await serve(handler)
        with pytest.raises(Unreachable):
            await asking(address, within=2.0).pins(app_of(web=f"{address}/shop:{tag}"))


async def test_names_that_lead_to_metadata_are_not_followed() -> None:
    assert await GuardedResolver().resolve("127.0.0.1", 80, socket.AF_UNSPEC)
    with pytest.raises(OSError, match="link-local"):
        await GuardedResolver().resolve("169.254.169.254", 80, socket.AF_UNSPEC)


async def test_without_tls_nothing_is_said_unless_it_is_plain(open_shelf: Shelf) -> None:
    registries = Registries([], FakeClock())
    with pytest.raises(Unreachable) as caught:
        await registries.pins(app_of(web=f"{open_shelf.address}/acme/shop:latest"))
    assert "plain = true" in caught.value.hint


async def test_a_token_that_lasts_for_ever_lasts_a_day(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"token": "t", "expires_in": 10**400})
        if request.headers.get("Authorization") != "Bearer t":
            return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="http://{address}/token"'})
        return web.Response(headers={"Docker-Content-Digest": DIGEST})

    address = await serve(answer)
    assert [pin.digest for pin in await asking(address).pins(app_of(web=f"{address}/shop:1"))] == [DIGEST]
