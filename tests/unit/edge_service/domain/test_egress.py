from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.domain import egress
from edge_service.domain.egress import Address, Kind

KINDS = {
    Kind.FORBIDDEN: [
        "169.254.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.255.255",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fe80::1",
        "febf::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "fd00:a9fe:a9fe::254",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::6464:64c8",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:6464:64:c800::",  # behind 48 bits: RFC 6052, 2.2
        "64:ff9b:1:64:64:64c8::",  # behind 56
        "64:ff9b:1:0:64:6464:c800:0",  # behind 64
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",  # a Teredo server
        "2001:0:102:304:0:0:5601:5601",  # a Teredo client
        "2606:4700::5efe:a9fe:a9fe",
        "2606:4700::200:5efe:a9fe:a9fe",
    ],
    Kind.PRIVATE: [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2606:4700::5efe:10.0.0.1",
        "3fff::1",
        "4000::1",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
    ],
    Kind.PUBLIC: [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::6810:1",
        "2a00:1450:4001::200e",
        "2002:808:808::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
}


@pytest.mark.parametrize(("address", "kind"), [(a, kind) for kind, addresses in KINDS.items() for a in addresses])
def test_an_address_is_of_its_kind(address: str, kind: Kind) -> None:
    assert egress.kind(ip_address(address)) is kind


@pytest.mark.parametrize(
    ("kind", "refused", "refused_though_private"),
    [
        (Kind.PUBLIC, None, None),
        (Kind.PRIVATE, Kind.PRIVATE, None),
        (Kind.FORBIDDEN, Kind.FORBIDDEN, Kind.FORBIDDEN),
    ],
)
def test_consent_opens_private_addresses_and_no_others(
    kind: Kind, refused: Kind | None, refused_though_private: Kind | None
) -> None:
    for address in map(ip_address, KINDS[kind]):
        assert egress.refusal(address, allow_private=False) is refused
        assert egress.refusal(address, allow_private=True) is refused_though_private


SPELLINGS = {
    "127.0.0.1": [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "017700000001",
        "0177.0.0.01",
        "0x7f.0.0x0.1",
        "127.0.0.000001",
    ],
    "169.254.169.254": [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.0xfea9fe",
    ],
    "0.0.0.0": ["0", "0x0", "00", "0.0"],
    "255.255.255.255": ["4294967295", "0xffffffff", "255.255.255.255", "255.255.65535"],
    "::1": ["::1", "[::1]", "0:0:0:0:0:0:0:1"],
    "fe80::1": ["fe80::1%eth0", "[fe80::1%25eth0]", "FE80:0::1"],
    "::ffff:169.254.169.254": ["::ffff:169.254.169.254", "[::ffff:a9fe:a9fe]", "0:0:0:0:0:FFFF:A9FE:A9FE"],
}


@pytest.mark.parametrize(
    ("address", "spelled"), [(a, each) for a, spellings in SPELLINGS.items() for each in spellings]
)
def test_an_address_is_recognised_in_every_spelling(address: str, spelled: str) -> None:
    assert egress.literal(spelled) == ip_address(address)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "api.openai.com",
        "localhost",
        "08",
        "1.2.3.4.5",
        "1.2.3.4.0",
        "256.0.0.1",
        "1.2.3.256",
        "4294967296",
        "1.16777216",
        "-1",
        "0x",
        "0xg",
        "1e3",
        "1..2",
        "\uff11\uff12\uff17.1",
        ":::",
        "::1::",
        "face",
        "9" * 5000,
    ],
)
def test_what_is_no_address_is_a_name(name: str) -> None:
    assert egress.literal(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "metadata.google.internal",
        "METADATA.google.internal.",
        "metadata.goog",
        "metadata",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.azure.internal",
        "metadata.oraclecloud.com",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
    ],
)
def test_metadata_services_are_known_by_name(name: str) -> None:
    assert egress.is_metadata_name(name)


@pytest.mark.parametrize("name", ["metadata.example", "api.openai.com", "", "google.internal"])
def test_other_names_are_not(name: str) -> None:
    assert not egress.is_metadata_name(name)


v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
forbidden_v4 = st.one_of(
    st.integers(0, 2**16 - 1).map(lambda low: IPv4Address(0xA9FE0000 | low)),
    st.sampled_from([IPv4Address("100.100.100.200"), IPv4Address("192.0.0.192"), IPv4Address("168.63.129.16")]),
)
number = st.sampled_from(["{}", "0x{:x}", "0X{:X}", "0{:o}", "000{:o}", "0x00{:x}"])


@st.composite
def spelled(draw: st.DrawFn, addresses: st.SearchStrategy[IPv4Address]) -> str:
    """An IPv4 address as C's inet_aton reads it: one to four numbers, each in base 8, 10 or 16."""
    value = int(draw(addresses))
    parts = draw(st.integers(1, 4))
    numbers = [(value >> (24 - 8 * i)) & 255 for i in range(parts - 1)]
    numbers.append(value & (2 ** (8 * (5 - parts)) - 1))
    written = [draw(number).format(each) if each else "0" for each in numbers]
    return ".".join(written) + draw(st.sampled_from(["", "."]))


@st.composite
def wrapped(draw: st.DrawFn, addresses: st.SearchStrategy[IPv4Address]) -> IPv6Address:
    """An IPv6 address that stands for an IPv4 one."""
    value, prefix = int(draw(addresses)), draw(st.integers(0, 2**29 - 1))
    return IPv6Address(
        draw(
            st.sampled_from(
                [
                    0xFFFF << 32 | value,
                    value,
                    0xFFFF << 48 | value,
                    0x64FF9B << 96 | value,
                    0x2002 << 112 | value << 80 | prefix,
                    0x20010000 << 96 | value << 64 | prefix,
                    0x20010000 << 96 | (value ^ 0xFFFFFFFF),
                    1 << 125 | prefix << 64 | 0x5EFE << 32 | value,
                ]
            )
        )
    )


@given(spelled(v4))
def test_any_spelling_leads_to_the_address_that_the_c_library_reads(host: str) -> None:
    assert egress.literal(host) == IPv4Address(socket.inet_aton(host.rstrip(".")))


@given(st.one_of(spelled(forbidden_v4).map(egress.literal), wrapped(forbidden_v4)), st.booleans())
def test_no_spelling_of_a_forbidden_address_gets_through(address: Address | None, allow_private: bool) -> None:
    assert address is not None
    assert egress.refusal(address, allow_private=allow_private) is Kind.FORBIDDEN


@given(v4.flatmap(lambda address: st.tuples(st.just(address), wrapped(st.just(address)))))
def test_a_wrapped_address_is_never_of_a_milder_kind(addresses: tuple[IPv4Address, IPv6Address]) -> None:
    plain, within = addresses
    assert egress.kind(within) >= egress.kind(plain)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_what_python_calls_global_is_all_that_is_public(address: IPv6Address) -> None:
    if egress.kind(address) is Kind.PUBLIC and address not in egress._NAT64 and address.ipv4_mapped is None:
        assert address.is_global
