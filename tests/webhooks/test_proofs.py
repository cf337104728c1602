"""Every sender is held to its proof: the right one passes, and nothing else does."""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.part_tables import SENDERS
from deploybot.webhooks.delivery_signatures import TOLERANCE, BodyMac, Standard
from deploybot.webhooks.sender_port import ForgedError, Received
from deploybot.webhooks.senders import sender
from tests.kit.seeds import new_seed
from tests.webhooks.forgeries import TIMED, forgeries
from tests.webhooks.recorded import NOW, RECORDED, SECRETS, SIGNED, Recorded, made

N = int(os.environ.get("N", "10000"))
Figure = Callable[[str], None]
ALL = (*SENDERS, "gitlab-signed")
"""GitLab counts twice: it has two proofs."""


def _secret(name: str) -> str:
    return SIGNED if name == "gitlab-signed" else SECRETS[name]


def _recorded(name: str) -> list[Recorded]:
    return [one for one in RECORDED if one.sender == name.partition("-")[0]]


def _believed(name: str, received: Received, secret: str) -> bool:
    try:
        sender(name.partition("-")[0]).verify(received, secret)
    except ForgedError as error:
        said = str(error)
    else:
        return True
    assert not secret.strip() or secret not in said
    assert _secret(name) not in said
    return False


@pytest.mark.parametrize("name", ALL)
def test_what_is_proven_is_believed(name: str) -> None:
    for one in _recorded(name):
        sender(one.sender).verify(one.received(_secret(name)), _secret(name))


@pytest.mark.parametrize("name", ALL)
def test_no_change_of_a_proof_is_believed(name: str, figure: Figure) -> None:
    seed = new_seed()
    tried = 0
    for one in _recorded(name):
        for how, received, secret in forgeries(name, one.received(_secret(name)), _secret(name), seed):
            assert not _believed(name, received, secret), f"{one}: {how}, seed {seed}"
            tried += 1
    assert tried
    figure(f"{name}: 0 of {tried} changed proofs believed (seed {seed})")


def test_no_forgery_of_many_is_believed(figure: Figure) -> None:
    """Those of every payload over and over, each time with other bytes of the proof or the body changed."""
    seed = new_seed()
    chance = random.Random(seed)
    ready = [(name, one.received(_secret(name))) for name in ALL for one in _recorded(name)]
    for _ in range(N):
        name, received = chance.choice(ready)
        forged, what = _changed(chance, received)
        assert not _believed(name, forged, _secret(name)), f"{name}, {what}, seed {seed}"
    figure(f"0 of {N} forgeries believed (seed {seed})")


def _changed(chance: random.Random, received: Received) -> tuple[Received, str]:
    """Another character somewhere in what proves it."""
    kinds = ("signature", "token", "authorization")
    places = [header for header in received.headers if any(kind in header for kind in kinds)]
    if places:
        header = chance.choice(places)
        return _with(received, **{header: _other(chance, received.headers[header][0])}), header
    if received.path:
        return replace(received, path=_other(chance, received.path)), "path"
    return replace(
        received, query={name: [_other(chance, values[0])] for name, values in received.query.items()}
    ), "query"


def _with(received: Received, **headers: str) -> Received:
    """The same with other headers, each once."""
    return replace(received, headers=dict(received.headers) | {name: [value] for name, value in headers.items()})


def _other(chance: random.Random, text: str) -> str:
    # The scheme's name before a token may be written in any case.
    start = len("Bearer ") if text.startswith("Bearer ") else 0
    where = chance.randrange(start, len(text))
    return text[:where] + chance.choice([one for one in "abcdef0189_-= " if one != text[where]]) + text[where + 1 :]


@pytest.mark.parametrize("name", ALL)
def test_only_ones_own_secret_is_believed(name: str, figure: Figure) -> None:
    seed = new_seed()
    chance = random.Random(seed)
    many = [
        SIGNED[:10] + chance.randbytes(14).hex()
        if name == "gitlab-signed"
        else base64.urlsafe_b64encode(chance.randbytes(24)).decode()
        for _ in range(40)
    ]
    one = _recorded(name)[0]
    ready = [one.received(secret) for secret in many]
    believed = [
        (mine, yours)
        for mine, received in enumerate(ready)
        for yours, secret in enumerate(many)
        if _believed(name, received, secret)
    ]
    assert believed == [(n, n) for n in range(len(many))]
    figure(f"{name}: of {len(many)}x{len(many)} secrets, {len(believed)} believed, all of them on the diagonal")


@pytest.mark.parametrize("name", ALL)
def test_where_there_is_no_secret_nothing_is_believed(name: str) -> None:
    caller = sender(name.partition("-")[0])
    with pytest.raises(ForgedError):
        caller.sign(b"{}", "", kind="", delivery="d", at=NOW)
    with pytest.raises(ForgedError):
        caller.verify(Received(headers={}, body=b"{}", query={}), "")


@given(st.sampled_from(SENDERS), st.text(min_size=1, max_size=80), st.binary(max_size=100))
def test_whatever_the_secret_is_it_proves_itself_and_no_other(name: str, secret: str, body: bytes) -> None:
    caller = sender(name)
    try:
        signed = caller.sign(body, secret, kind="push", delivery="d-1", at=NOW)
    except ForgedError:
        assert secret.startswith("whsec_")
        return
    received = made(body, signed.headers, signed)
    caller.verify(received, secret)
    with pytest.raises(ForgedError):
        caller.verify(received, secret + "x")


@pytest.mark.parametrize("name", sorted(TIMED))
def test_a_time_may_be_as_far_away_as_the_tolerance(name: str) -> None:
    received = _recorded(name)[0].received(_secret(name))
    for apart in (TOLERANCE, -TOLERANCE):
        assert _believed(name, replace(received, at=NOW + apart), _secret(name))


def test_github_documents_this_signature() -> None:
    signed = BodyMac("x-hub-signature-256", "sha256=").sign(
        b"Hello, World!", "It's a Secret to Everybody", delivery="", at=0
    )
    assert signed.headers["x-hub-signature-256"] == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


def test_standard_webhooks_documents_this_signature() -> None:
    signed = Standard().sign(
        b'{"test": 2432232314}',
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        delivery="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=1614265330,
    )
    assert signed.headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_one_of_several_standard_signatures_is_enough_while_secrets_are_exchanged() -> None:
    received = _recorded("event")[0].received()
    good = received.headers["webhook-signature"][0]
    several = f"v1,{'A' * 43}= v1a,xyz {good}"
    assert _believed("event", _with(received, **{"webhook-signature": several}), SECRETS["event"])
    flood = " ".join([good] * 17)
    assert not _believed("event", _with(received, **{"webhook-signature": flood}), SECRETS["event"])


def test_gitlabs_two_proofs_do_not_stand_in_for_each_other() -> None:
    one = _recorded("gitlab")[0]
    signed, plain = one.received(SIGNED), one.received()
    assert not _believed(
        "gitlab", replace(signed, headers=dict(signed.headers) | {"x-gitlab-token": [SECRETS["gitlab"]]}), SIGNED[:-1]
    )
    assert not _believed("gitlab", replace(plain, headers=dict(plain.headers) | {"x-gitlab-token": [SIGNED]}), SIGNED)


def test_a_standard_secret_that_is_no_base64_says_so_and_not_itself() -> None:
    with pytest.raises(ForgedError, match="not base64") as caught:
        Standard().verify(_recorded("event")[0].received(), "whsec_%%%")
    assert "%%%" not in str(caught.value)


def test_a_bearer_token_does_for_scripts_and_does_not_mend_a_signature() -> None:
    body = b'{"title": "x"}'
    bearer = {"authorization": ["Bearer " + SECRETS["event"]]}
    assert _believed("event", Received(headers=bearer, body=body, query={}, at=NOW), SECRETS["event"])
    mixed = bearer | {"webhook-signature": ["v1,x"]}
    assert not _believed("event", Received(headers=mixed, body=body, query={}, at=NOW), SECRETS["event"])


def test_jenkins_plugin_proves_itself_by_its_address() -> None:
    received = Received(headers={}, body=b"{}", query={"token": [SECRETS["jenkins"]]}, at=NOW)
    assert _believed("jenkins", received, SECRETS["jenkins"])
    assert not _believed("jenkins", replace(received, headers={"authorization": ["Bearer x"]}), SECRETS["jenkins"])


def test_gitee_with_a_password_and_with_an_encoded_signature() -> None:
    received = _recorded("gitee")[0].received()
    secret = SECRETS["gitee"]
    assert _believed("gitee", _with(received, **{"x-gitee-token": secret}), secret)
    encoded = received.headers["x-gitee-token"][0].replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    assert _believed("gitee", _with(received, **{"x-gitee-token": encoded}), secret)


@pytest.mark.parametrize("name", ["github", "gitea", "forgejo", "gitlab", "bitbucket", "ghcr", "gitee"])
def test_the_kind_is_there_once_and_the_id_at_most_once(name: str) -> None:
    received = _recorded(name)[0].received()
    caller = sender(name)
    for header, count in (
        (getattr(caller, "kind_header", ""), 0),
        (getattr(caller, "kind_header", ""), 2),
        (getattr(caller, "id_header", ""), 2),
    ):
        if header:
            headers = dict(received.headers) | {header: ["push"] * count}
            assert not _believed(name, replace(received, headers=headers), SECRETS[name])
