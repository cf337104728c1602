"""Block addresses that the bot must never call, such as link-local ones, where clouds serve secrets to their machines.

Names are checked twice: as text when bot.toml is read, and by their resolved addresses when the bot connects.
"""

from __future__ import annotations

import ipaddress

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

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


def embedded(address: IpAddress) -> IpAddress:
    """Return the IPv4 address inside a mapped, 6to4, NAT64 or translated one. Return any other unchanged."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address not in _OWN and any(address in network for network in _HOLDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_metadata(address: IpAddress) -> bool:
    """Return whether this may be a cloud's metadata service, whose data gives control of the machine."""
    real = embedded(address)
    return real.is_link_local or real in _METADATA


def is_metadata_name(host: str) -> bool:
    """Return whether a name is known to lead to a metadata service."""
    return host.lower().rstrip(".") in _METADATA_NAMES


def may_be_called(text: str) -> bool:
    """Return whether the bot may connect to a resolved address. Only link-local addresses have a zone (`%eth0`)."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return not (is_metadata(address) or embedded(address).is_multicast or embedded(address).is_unspecified)
