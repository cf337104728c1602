"""Block addresses that the bot must never call, such as link-local ones, where clouds serve secrets to their machines.

Names are checked twice: as text when bot.toml is read, and by their resolved addresses when the bot connects. Nothing
else in deploybot decides this.
"""

from __future__ import annotations

import ipaddress

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

UNSPECIFIED = "an unspecified address"
_LOCAL = "a link-local or metadata address"
_METADATA = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Metadata services of Alibaba, Azure, Oracle, AWS and Google that are not link-local, from their documentation."""
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "metadata.azure.internal"})
_HOLDING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))
"""Networks whose addresses end in an IPv4 address.

They are NAT64 (RFC 6052, RFC 8215), translated (RFC 2765) and IPv4-compatible (RFC 4291).
"""
_OWN = frozenset(map(ipaddress.IPv6Address, ("::", "::1")))


class ForbiddenAddress(OSError):
    """A host leads to an address that the bot never calls. The text says which, and why."""


def address_of(host: str) -> IpAddress | None:
    """Return the IP address that a host is; None for a name. Link-local addresses may have a zone (`fe80::1%eth0`)."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def refusal(host: str) -> str:
    """Return why the bot never calls a name or an address, such as `a multicast address`; empty if it may.

    A name that may be called can still lead to an address that may not.
    """
    if host.lower().rstrip(".") in _METADATA_NAMES:
        return _LOCAL
    if (address := address_of(host)) is None:
        return ""
    real = embedded(address)
    if real.is_link_local or real in _METADATA:
        return _LOCAL
    if real.is_multicast:
        return "a multicast address"
    return UNSPECIFIED if real.is_unspecified else ""


def check_resolved(host: str) -> None:
    """Raise ForbiddenAddress if the bot must not connect to the address that a name resolved to."""
    if why := refusal(host):
        raise ForbiddenAddress(f"it resolves to {host}, {why}, which the bot never calls")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: `localhost`, or a loopback address."""
    address = address_of(host)
    return embedded(address).is_loopback if address else host == "localhost"


def embedded(address: IpAddress) -> IpAddress:
    """Return the IPv4 address inside a mapped, 6to4, NAT64 or translated one. Return any other unchanged."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address not in _OWN and any(address in network for network in _HOLDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
