"""Debian's docker-registry as a process, filled without any Docker, a server of tokens, and what asks them."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from deploybot.settings import App, RegistryLogin
from deploybot.sources.image_source import Registries
from deploybot.testing import FakeClock
from tests.kit.settings import app_settings
from tests.lab import free_port

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
USER, PASSWORD = "deploybot", "correct horse"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
DIGEST = f"sha256:{'1' * 64}"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@dataclass(frozen=True)
class Shelf:
    """A registry that runs. `header` is what proves to it who we are."""

    address: str
    log: Path
    header: str = ""

    def asked(self, method: str, path: str, *, body: bytes = b"", kind: str = "") -> Mapping[str, str]:
        """One request; the headers of the answer."""
        made = urllib.request.Request(f"http://{self.address}{path}", method=method, data=body or None)
        made.add_header("Accept", f"{MANIFEST}, {INDEX}")
        if self.header:
            made.add_header("Authorization", self.header)
        if kind:
            made.add_header("Content-Type", kind)
        with urllib.request.urlopen(made, timeout=10) as answer:  # noqa: S310  our own
            return dict(answer.headers.items())

    def blob(self, repository: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = self.asked("POST", f"/v2/{repository}/blobs/uploads/")["Location"]
        path = "/" + place.split("/", 3)[3]
        self.asked("PUT", f"{path}&digest={digest}", body=content, kind="application/octet-stream")
        return digest

    def push(self, repository: str, tag: str, content: str = "", *, made: str = "") -> str:
        """Make a tag mean an image of its own, that says when it was `made`; its digest."""
        config = json.dumps({"content": content or tag, **({"created": made} if made else {})}).encode()
        part = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config)}
        part["digest"] = self.blob(repository, config)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": part, "layers": []}).encode()
        return self.put(repository, tag, manifest, MANIFEST)

    def put(self, repository: str, tag: str, manifest: bytes, kind: str) -> str:
        """Make a tag mean a manifest; its digest."""
        answer = self.asked("PUT", f"/v2/{repository}/manifests/{tag}", body=manifest, kind=kind)
        return answer["Docker-Content-Digest"]

    def push_index(self, repository: str, tag: str, *of: str) -> str:
        """Make a tag mean an index of images that are there; its digest."""
        parts = []
        for digest in of:
            found = self.asked("HEAD", f"/v2/{repository}/manifests/{digest}")
            parts.append({"mediaType": MANIFEST, "digest": digest, "size": int(found["Content-Length"])})
        content = {"schemaVersion": 2, "mediaType": INDEX, "manifests": parts}
        return self.put(repository, tag, json.dumps(content).encode(), INDEX)


@contextmanager
def shelf(folder: Path, auth: Mapping[str, object] | None = None, header: str = "") -> Iterator[Shelf]:
    """Run one until the end of the block."""
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": "0.1",
        "http": {"addr": address},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.json").write_text(json.dumps(config))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["docker-registry", "serve", folder / "config.json"], stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        _until_it_answers(address, process)
        yield Shelf(address, log, header)
    finally:
        process.kill()
        process.wait()


def _until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/v2/", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            assert process.poll() is None, "the registry ended"
            assert time.monotonic() < end, "the registry does not come up"
            time.sleep(0.02)
        else:
            return


def htpasswd(folder: Path) -> dict[str, object]:
    """Let in who has the password."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    return {"htpasswd": {"realm": "lab", "path": str(folder / "htpasswd")}}


class Tokens:
    """A server of tokens (CNCF Distribution, "Token Authentication Implementation"): `open/…` for all, else for us."""

    def __init__(self, folder: Path) -> None:
        """Make the key with which it signs."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._certificate = made
        (folder / "tokens.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self._bundle = folder / "tokens.pem"
        self.given = 0
        self.url = ""

    def auth(self, url: str) -> dict[str, object]:
        """The registry's configuration for tokens from `url`."""
        self.url = url
        return {"token": {"realm": url, "service": "lab", "issuer": "lab", "rootcertbundle": str(self._bundle)}}

    def token(self, repository: str, *actions: str, life: int = 300) -> str:
        """A token for a repository (JWT, RFC 7519, signed by RS256)."""
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": list(actions)}]
        der = base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()
        head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        claims = {"iss": "lab", "aud": "lab", "sub": "x", "nbf": now - 10, "iat": now, "exp": now + life, "jti": "1"}
        text = ".".join(_coded(json.dumps(part).encode()) for part in (head, {**claims, "access": access}))
        return f"{text}.{_coded(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    async def answer(self, request: web.Request) -> web.Response:
        """A token for what is asked, if it may be had."""
        _, repository, _ = request.query["scope"].split(":")
        given = request.headers.get("Authorization", "")
        if given not in {"", BASIC}:
            return web.json_response({"details": "wrong password"}, status=401)
        actions = ("pull",) if given or repository.startswith("open/") else ()
        self.given += 1
        return web.json_response({"token": self.token(repository, *actions), "expires_in": 300})


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def app_of(**images: str) -> App:
    """An app whose services have these images; `web="acme/shop:^1.4"`."""
    found = {}
    for service, text in images.items():
        image, _, tag = text.rpartition(":")
        found[service] = {"image": image, "tag": tag}
    return app_settings(strategy="compose", images=found)


def asking(address: str, *, user: str = "", password: str = "", page: int = 1000, within: float = 5.0) -> Registries:
    """What asks this registry, with this login."""
    login = RegistryLogin.model_validate(
        {"host": address, "plain": True, **({"user": user, "password": {"env": "PASSWORD"}} if user else {})}
    )
    if login.password:
        login.password.fill(password)
    return Registries([("house", login)], FakeClock(), page=page, ask_within=within)
