"""Whose address a call comes from."""

import ipaddress
from urllib.parse import unquote

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

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
    address = _ip(peer)
    if address is None:
        return peer
    if forwarded and any(address in network for network in trusted):
        try:
            address = ipaddress.ip_address(forwarded)
        except ValueError:
            return str(address)
    if address.version == 6:
        return str(ipaddress.ip_network((address, _IPV6_SITE), strict=False))
    return str(address)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ip(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    try:
        return ipaddress.ip_address(rest.rpartition(":")[0].strip("[]").split("%")[0])
    except ValueError:
        return None
