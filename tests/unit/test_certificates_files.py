"""Certificates as files, in both services: what is used, what is refused and why, and how a renewal is taken in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from edge_service.adapters import certificates_files as edge
from edge_service.domain import validity
from resolver_service.adapters import certificates_files as resolver
from tests.support.certified import HOSTS, Pair, authority, pair, readable_by_all

KEY_BEGINS = b"PRIVATE KEY"


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def shown(tmp_path: Path, ca: trustme.CA) -> Pair:
    return pair(tmp_path, "shown", ca.issue_cert(*HOSTS))


@pytest.fixture
def authorities(tmp_path: Path, ca: trustme.CA) -> Path:
    return authority(tmp_path, "ca", ca)


@pytest.fixture(params=["edge", "resolver"])
def service(request: pytest.FixtureRequest) -> Any:
    return {"edge": edge, "resolver": resolver}[request.param]


@pytest.fixture
def files(service: Any, shown: Pair, authorities: Path) -> Any:
    if service is edge:
        return edge.Files((shown.certificate, shown.key), authorities)
    return resolver.Files(shown.certificate, shown.key, authorities)


def test_what_goes_together_is_used(service: Any, files: Any, shown: Pair, authorities: Path) -> None:
    found = service.load(files)
    assert (found.chain, found.key) == (shown.certificate.read_bytes(), shown.key.read_bytes())
    assert found.authorities == authorities.read_bytes()
    assert KEY_BEGINS not in repr(found).encode()


def test_an_edge_needs_no_certificate_of_its_own(authorities: Path) -> None:
    found = edge.load(edge.Files(authorities=authorities))
    assert (found.chain, found.key, found.authorities) == (b"", b"", authorities.read_bytes())


def another_key(shown: Pair, _: Path) -> None:
    key = shown.key.read_bytes()
    shown.write(trustme.CA().issue_cert(*HOSTS))
    shown.key.write_bytes(key)


def locked_key(shown: Pair, _: Path) -> None:
    key = load_pem_private_key(shown.key.read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    shown.key.write_bytes(locked)


BROKEN: dict[str, tuple[Callable[[Pair, Path], object], str]] = {
    "no certificate": (lambda shown, _: shown.certificate.unlink(), "shown.pem cannot be read (No such file"),
    "a directory": (lambda _, ca: (ca.unlink(), ca.mkdir()), "ca.pem cannot be read (Is a directory)"),
    "an empty certificate": (lambda shown, _: shown.certificate.write_bytes(b""), "shown.pem is no file of cert"),
    "half a certificate": (
        lambda shown, _: shown.certificate.write_bytes(shown.certificate.read_bytes()[:500]),
        "shown.pem is no file of certificates in PEM",
    ),
    "no PEM": (lambda _, ca: ca.write_bytes(bytes(range(256))), "ca.pem is no file of certificates in PEM"),
    "an empty key": (lambda shown, _: shown.key.write_bytes(b""), "shown-key.pem is no private key in PEM"),
    "half a key": (
        lambda shown, _: shown.key.write_bytes(shown.key.read_bytes()[:100]),
        "shown-key.pem is no private key in PEM",
    ),
    "the certificate for a key": (
        lambda shown, _: shown.key.write_bytes(shown.certificate.read_bytes()),
        "shown-key.pem is no private key in PEM",
    ),
    "another key": (another_key, "shown-key.pem is not the one of the certificate in"),
    "a locked key": (locked_key, "shown-key.pem is locked by a passphrase"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_used_is_told_by_its_file(
    service: Any, files: Any, shown: Pair, authorities: Path, kind: str
) -> None:
    break_, words = BROKEN[kind]
    break_(shown, authorities)
    with pytest.raises(service.CertificateError) as caught:
        service.load(files)
    assert words in str(caught.value)
    assert "BEGIN" not in str(caught.value)


def test_a_key_that_everyone_may_read_is_warned_of(service: Any, files: Any, shown: Pair) -> None:
    with structlog.testing.capture_logs() as lines:
        service.load(files)
        assert lines == []
        readable_by_all(shown.key)
        service.load(files)
    assert [(line["event"], line["path"]) for line in lines] == [("key_readable_by_all", str(shown.key))]


DAY_S = 86_400.0


def lasting(ca: trustme.CA, begins_at: float, ends_at: float) -> trustme.LeafCert:
    begins, ends = (datetime.fromtimestamp(at, UTC) for at in (begins_at, ends_at))
    return ca.issue_cert(*HOSTS, not_before=begins, not_after=ends)


@pytest.mark.parametrize(
    ("begins_s", "ends_s", "told"),
    [
        (-10 * DAY_S, 80 * DAY_S, []),
        (-82 * DAY_S, 8 * DAY_S, ["certificate_expires_soon"]),
        (-900 * DAY_S, 15 * DAY_S, []),
        (-900 * DAY_S, 13 * DAY_S, ["certificate_expires_soon"]),
        (-20 * DAY_S, -DAY_S, ["certificate_expired"]),
        (DAY_S, 20 * DAY_S, ["certificate_not_yet_valid"]),
    ],
)
def test_a_certificate_that_is_of_no_use_or_soon_will_be_is_warned_of(
    service: Any, files: Any, shown: Pair, ca: trustme.CA, begins_s: float, ends_s: float, told: list[str]
) -> None:
    now = time.time()
    shown.write(lasting(ca, now + begins_s, now + ends_s))
    with structlog.testing.capture_logs() as lines:
        service.Followed(files)
    assert [line["event"] for line in lines] == told
    for line in lines:
        ends = datetime.fromisoformat(line["valid_until"]).timestamp()
        assert abs(ends - now - ends_s) <= 1


class Following:
    """What follows the files, and what it has handed over."""

    def __init__(self, it: Any) -> None:
        self.it = it
        self.renewed: asyncio.Queue[Any] = asyncio.Queue()
        self.lines: list[Any] = []
        self.task = asyncio.create_task(it.follow(self.renewed.put_nowait))

    async def event(self, name: str, count: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(line["event"] == name for line in self.lines) < count:
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def following(service: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Following]:
    monkeypatch.setattr(service, "LOOK_S", 0.02)
    with structlog.testing.capture_logs() as lines:
        it = Following(service.Followed(files))
        it.lines = lines
        yield it
        it.task.cancel()
        await asyncio.gather(it.task, return_exceptions=True)
        assert it.task.cancelled()


async def test_a_renewal_is_handed_over(following: Following, shown: Pair, ca: trustme.CA) -> None:
    for count in (1, 2):
        shown.write(ca.issue_cert(*HOSTS))
        async with asyncio.timeout(20):
            renewed = await following.renewed.get()
        assert (renewed.chain, renewed.key) == (shown.certificate.read_bytes(), shown.key.read_bytes())
        await following.event("certificate_renewed", count)


async def test_a_broken_renewal_is_told_once_and_the_next_one_is_taken(
    following: Following, shown: Pair, ca: trustme.CA
) -> None:
    another_key(shown, shown.key)
    await following.event("certificate_rejected")
    await asyncio.sleep(0.2)
    assert following.renewed.empty()
    shown.key.unlink()
    await following.event("certificate_rejected", 2)
    shown.write(ca.issue_cert(*HOSTS))
    async with asyncio.timeout(20):
        assert (await following.renewed.get()).key == shown.key.read_bytes()
    events = [line["event"] for line in following.lines]
    assert events == ["certificate_rejected", "certificate_rejected", "certificate_renewed"]
    assert "BEGIN" not in str(following.lines)


async def test_files_that_are_replaced_by_a_link_are_noticed(
    following: Following, shown: Pair, authorities: Path, tmp_path: Path
) -> None:
    """As Kubernetes mounts secrets."""
    other = authority(tmp_path, "other", trustme.CA())
    authorities.unlink()
    authorities.symlink_to(other)
    async with asyncio.timeout(20):
        assert (await following.renewed.get()).authorities == other.read_bytes()


async def test_a_renewal_that_has_expired_is_taken_with_a_warning(
    following: Following, shown: Pair, ca: trustme.CA
) -> None:
    now = time.time()
    shown.write(lasting(ca, now - 20 * DAY_S, now - DAY_S))
    async with asyncio.timeout(20):
        assert (await following.renewed.get()).chain == shown.certificate.read_bytes()
    await following.event("certificate_expired")
    shown.write(ca.issue_cert(*HOSTS))
    await following.event("certificate_renewed", 2)
    assert [line["event"] for line in following.lines] == [
        "certificate_renewed",
        "certificate_expired",
        "certificate_renewed",
    ]


async def test_the_age_of_a_certificate_in_use_is_told_of_once(
    following: Following, service: Any, shown: Pair, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [validity.of(following.it.current.chain).ends_at - DAY_S]  # type: ignore[union-attr]
    monkeypatch.setattr(service.time, "time", lambda: now[0])
    await following.event("certificate_expires_soon")
    now[0] += 2 * DAY_S
    await following.event("certificate_expired")
    shown.write(ca.issue_cert(*HOSTS))
    await following.event("certificate_expired", 2)
    assert [line["event"] for line in following.lines] == [
        "certificate_expires_soon",
        "certificate_expired",
        "certificate_renewed",
        "certificate_expired",
    ]
