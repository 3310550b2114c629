"""Which network addresses a provider may have.

Whoever edits the configuration chooses where the edge connects to, and could have it ask the machine's own services, or
the cloud's metadata service, which hands out credentials to whoever reaches it. So every address has a kind, whatever
way it is spelled, and an IPv6 address that stands for an IPv4 one is of the stricter kind of the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address


class Kind(IntEnum):
    """The greater, the stricter."""

    PUBLIC = 0
    PRIVATE = 1
    """On this machine, in a private network, or in no network at all: for providers with `allow-private`."""
    FORBIDDEN = 2
    """Metadata services and link-local addresses: never called."""


def kind(address: Address) -> Kind:
    """What may be said of an address to connect to."""
    found = _own_kind(address)
    if isinstance(address, IPv6Address):
        for within in _stands_for(address):
            found = max(found, _own_kind(within))
    return found


def refusal(address: Address, *, allow_private: bool) -> Kind | None:
    """The kind that rules this address out; None if it may be connected to."""
    found = kind(address)
    return found if found > (Kind.PRIVATE if allow_private else Kind.PUBLIC) else None


def is_metadata_name(host: str) -> bool:
    """Whether it is the name of a cloud's metadata service, which needs no address to be recognised by."""
    return host.rstrip(".").lower() in _METADATA_NAMES


def literal(host: str) -> Address | None:
    """The address that a URL's host is, in any spelling that the C library takes for one; None for a name.

    Resolvers accept `0x7f.1`, `017700000001` and `2130706433` for 127.0.0.1, and so does this: what is an address here
    is never asked of a name server.
    """
    host = host.removeprefix("[").removesuffix("]").rstrip(".")
    if ":" in host:
        try:
            return IPv6Address(host.partition("%")[0])  # A zone says through which interface, and nothing about where.
        except ValueError:
            return None
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.match(part) for part in parts):
        return None
    *bytes_, rest = (int(part, _base(part)) for part in parts)
    if any(byte > 255 for byte in bytes_) or rest >= 256 ** (4 - len(bytes_)):
        return None
    value = rest
    for position, byte in enumerate(bytes_):
        value |= byte << (24 - 8 * position)
    return IPv4Address(value)


_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]{1,32}|0[0-7]{0,32}|[1-9][0-9]{0,32})\Z")


def _base(number: str) -> int:
    if number[:2] in ("0x", "0X"):
        return 16
    return 8 if number.startswith("0") else 10


_METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.oraclecloud.com",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
    }
)

_FORBIDDEN_4 = tuple(
    map(
        IPv4Network,
        (
            "169.254.0.0/16",  # link-local, with the metadata of AWS, Google, Azure, and nearly everyone else
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle
            "168.63.129.16/32",  # Azure's host, from within a virtual machine: a public address in name only
        ),
    )
)
_FORBIDDEN_6 = tuple(
    map(
        IPv6Network,
        (
            "fe80::/10",  # link-local
            "fd00:ec2::/32",  # AWS: the metadata at ::254, the credentials of pods at ::23
            "fd20:ce::254/128",  # Google
            "fd00:42::42/128",  # Scaleway
            "fd00:a9fe:a9fe::/64",  # others that spell 169.254.169.254 into a private prefix
        ),
    )
)

# https://www.iana.org/assignments/iana-ipv4-special-registry
_PRIVATE_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network"; Linux takes 0.0.0.0 for this machine
            "10.0.0.0/8",
            "100.64.0.0/10",  # behind a carrier's translator
            "127.0.0.0/8",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",  # documentation, as are the two other /24 below
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_UNICAST_6 = IPv6Network("2000::/3")
"""What has been given out to be routed. Everything else is private: loopback, unique local, multicast, and whatever the
rest will become."""
# https://www.iana.org/assignments/iana-ipv6-special-registry
_PRIVATE_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols' own, Teredo among them
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_TRANSPARENT_6 = (_MAPPED, _NAT64)
"""Nothing but another spelling of an IPv4 address: how an IPv6-only network with NAT64 sees public ones."""


def _own_kind(address: Address) -> Kind:
    if isinstance(address, IPv4Address):
        if any(address in network for network in _FORBIDDEN_4):
            return Kind.FORBIDDEN
        return Kind.PRIVATE if any(address in network for network in _PRIVATE_4) else Kind.PUBLIC
    if any(address in network for network in _FORBIDDEN_6):
        return Kind.FORBIDDEN
    if any(address in network for network in _TRANSPARENT_6):
        return Kind.PUBLIC  # What they stand for decides.
    if address not in _UNICAST_6 or any(address in network for network in _PRIVATE_6):
        return Kind.PRIVATE
    return Kind.PUBLIC


def _low(address: int) -> int:
    return address


def _behind_6to4(address: int) -> int:
    return address >> 80


def _behind_teredo(address: int) -> int:
    return ~address  # RFC 4380, 4: the client's address is inverted, to hide it from translators on its way.


def _teredo_server(address: int) -> int:
    return address >> 64


def _around_the_u_octet(prefix_bits: int) -> Callable[[int], int]:
    """How RFC 6052, 2.2 puts an IPv4 address behind a prefix of this length: bits 64 to 71 are left out."""
    before = 64 - prefix_bits

    def read(address: int) -> int:
        behind = (address >> (24 + before)) & ((1 << (32 - before)) - 1)
        return address >> 64 << (32 - before) | behind

    return read


_EMBEDDED: tuple[tuple[IPv6Network, tuple[Callable[[int], int], ...]], ...] = (
    (_MAPPED, (_low,)),
    (IPv6Network("::/96"), (_low,)),  # IPv4-compatible, RFC 4291
    (IPv6Network("::ffff:0:0:0/96"), (_low,)),  # IPv4-translated, RFC 2765
    (_NAT64, (_low,)),
    (IPv6Network("64:ff9b:1::/48"), (_low, _around_the_u_octet(48), _around_the_u_octet(56), _around_the_u_octet(64))),
    (IPv6Network("2002::/16"), (_behind_6to4,)),
    (IPv6Network("2001::/32"), (_behind_teredo, _teredo_server)),
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""What stands before the IPv4 address in the lower half, under any prefix: RFC 5214, 6.1."""


def _stands_for(address: IPv6Address) -> Iterator[IPv4Address]:
    value = int(address)
    for network, readers in _EMBEDDED:
        if address in network:
            for read in readers:
                yield IPv4Address(read(value) & 0xFFFFFFFF)
    if (value >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(value & 0xFFFFFFFF)
