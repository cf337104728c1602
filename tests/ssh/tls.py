"""Certificates, and a TLS server that lets only their holders through to a Unix socket."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploybot.settings import DockerTls

_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
_DAY = dt.timedelta(days=1)


def make_tls(folder: Path, *, identified: bool = False) -> DockerTls:
    """A certificate authority, and one key that it signed, for the server 127.0.0.1 and for clients.

    They are as Docker's documentation makes them. With key identifiers, Python 3.13 accepts them by default, too.
    """
    folder.mkdir()
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    tls = DockerTls(ca=folder / "ca.pem", cert=folder / "cert.pem", key=folder / "key.pem")
    _write(tls.ca, _certificate("authority", authority, "authority", authority, identified=identified))
    _write(tls.cert, _certificate("docker", own, "authority", authority, identified=identified))
    tls.key.touch(mode=0o600)
    tls.key.write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tls


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, identified: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        key.public_key(),
        x509.random_serial_number(),
        now - _DAY,
        now + _DAY,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
    if identified:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(authority, critical=False)
    if identified and name == issuer:
        signs = {"key_cert_sign": True, "crl_sign": True}
        builder = builder.add_extension(x509.KeyUsage(**dict.fromkeys(_USES, False) | signs), critical=True)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return builder.add_extension(x509.SubjectAlternativeName([address]), critical=False).sign(signer, hashes.SHA256())


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@asynccontextmanager
async def door(tls: DockerTls, to: Path) -> AsyncIterator[int]:
    """Listen with TLS, let in who has a certificate of the authority, and pass all on to a socket; the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tls.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # dockerd does not ask for key identifiers
    context.load_cert_chain(str(tls.cert), str(tls.key))
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(to)
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(_copy(source, sink))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        return
    finally:
        sink.transport.abort()
