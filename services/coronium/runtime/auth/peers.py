"""Whose address a call comes from."""

import ipaddress
from urllib.parse import unquote

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_SITE = 64
"""Leading bits that one caller has to itself; the rest it may choose anew for every call."""


def networks(text: str) -> Networks:
    """Read addresses and networks, separated by commas. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def caller_address(peer: str, forwarded: str, trusted: Networks) -> str:
    """Return what faults of a caller are counted under.

    Parameters
    ----------
    peer : str
        As gRPC names it: ``ipv4:127.0.0.1:50000``, ``ipv6:%5B::1%5D:50000``, ``unix:...``.
    forwarded : str
        The address that the peer says it calls for; empty: for itself.
    trusted : networks
        Peers that are believed.
    """
    address = _peer_ip(peer)
    if address is None:
        return peer
    if forwarded and any(address in network for network in trusted):
        address = _ip(forwarded) or address
    if address.version == 6:
        return str(ipaddress.ip_network((address, _IPV6_SITE), strict=False))
    return str(address)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _peer_ip(peer: str) -> _Address | None:
    kind, _, rest = unquote(peer).partition(":")
    return _ip(rest.rpartition(":")[0].strip("[]")) if kind in ("ipv4", "ipv6") else None


def _ip(text: str) -> _Address | None:
    """Read an address; one of IPv4 that is written as one of IPv6 is one of IPv4."""
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
