"""TLS between clients, edges and resolvers: who is believed, who is turned away, and certificates that are renewed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx2
import pytest
import trustme

from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay.resolver.v1 import resolver_service_pb2_grpc
from tests.support.certified import HOSTS, Pair, authority, expired, pair, readable_by_all, trusting
from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.faulty_upstream import provider, says
from tests.support.load import load
from tests.support.processes import PLAIN, Process, run, start_edge, start_resolver
from tests.support.setup import config_text, until

CONFIG = config_text("http://127.0.0.1:9/v1")


@dataclass
class Authorities:
    """Two authorities, and where their certificates are."""

    directory: Path
    one: trustme.CA = field(default_factory=trustme.CA)
    other: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.one_file = authority(self.directory, "one", self.one)
        self.other_file = authority(self.directory, "other", self.other)
        self.both_file = self.directory / "both.pem"
        self.both_file.write_bytes(self.one_file.read_bytes() + self.other_file.read_bytes())

    def issued(self, name: str, *hosts: str, other: bool = False, **options: Any) -> Pair:
        return pair(self.directory, name, (self.other if other else self.one).issue_cert(*(hosts or HOSTS), **options))


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    return Authorities(tmp_path)


@contextlib.asynccontextmanager
async def resolving(directory: Path, *flags: str, config: str = CONFIG) -> AsyncIterator[Process]:
    file = directory / "forebay.yaml"
    file.write_text(config)
    process = await start_resolver(file, "--drain", "0", *flags, errors=directory / "resolver.log")
    try:
        yield process
    finally:
        status = await process.stop()
    assert status == 0, process.errors.read_text()


@contextlib.asynccontextmanager
async def edging(directory: Path, resolver: str, *flags: str) -> AsyncIterator[Process]:
    process = await start_edge(resolver, errors=directory / "edge.log", arguments=flags)
    try:
        yield process
    finally:
        status = await process.stop()
    assert status == 0, process.errors.read_text()


async def command(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of `forebay`."""
    return await run("forebay_cli", *arguments)


def lines(process: Process, event: str) -> list[dict[str, Any]]:
    whole = process.errors.read_text().rpartition("\n")[0].splitlines()
    return [line for line in map(json.loads, whole) if line["event"] == event]


async def told(process: Process, event: str, count: int = 1) -> dict[str, Any]:
    """The log line, once it is there."""

    async def is_there() -> bool:
        return len(lines(process, event)) >= count

    await until(is_there)
    return lines(process, event)[-1]


# --- Who is believed -------------------------------------------------------------------------------------------------

Flags = Callable[[Authorities], tuple[str, ...]]


def trusts_one(it: Authorities, *more: str) -> tuple[str, ...]:
    return ("--resolver-ca", str(it.one_file), *more)


REFUSED: dict[str, tuple[Flags, Flags, str]] = {
    "of another authority": (
        lambda it: it.issued("resolver", other=True).flags("tls"),
        trusts_one,
        "its certificate is not believed (unable to get local issuer certificate): check --resolver-ca",
    ),
    "expired": (
        lambda it: it.issued("resolver", not_after=expired()).flags("tls"),
        trusts_one,
        "its certificate is not believed (certificate has expired): check --resolver-ca",
    ),
    "for another name": (
        lambda it: it.issued("resolver", "resolver.example").flags("tls"),
        trusts_one,
        "its certificate is for another name: say which with --resolver-name",
    ),
    "no TLS": (lambda it: (), trusts_one, "it does not speak TLS: leave out --resolver-ca"),
    "TLS": (
        lambda it: it.issued("resolver").flags("tls"),
        lambda it: (),
        "it has closed the connection: it may speak TLS, see --resolver-ca",
    ),
    "asks for a certificate, gets none": (
        lambda it: (*it.issued("resolver").flags("tls"), "--tls-client-ca", str(it.one_file)),
        trusts_one,
        "it has closed the connection: it may ask for a certificate, see --resolver-cert",
    ),
    "asks for a certificate, gets one of another authority": (
        lambda it: (*it.issued("resolver").flags("tls"), "--tls-client-ca", str(it.one_file)),
        lambda it: trusts_one(it, *it.issued("client", other=True).flags("resolver")),
        "it has closed the connection: it may ask for a certificate, see --resolver-cert",
    ),
    "asks for a certificate, gets one that has expired": (
        lambda it: (*it.issued("resolver").flags("tls"), "--tls-client-ca", str(it.one_file)),
        lambda it: trusts_one(it, *it.issued("client", not_after=expired()).flags("resolver")),
        "it has closed the connection: it may ask for a certificate, see --resolver-cert",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_who_is_not_believed_is_not_talked_to(tmp_path: Path, authorities: Authorities, kind: str) -> None:
    """Neither by the command, which says why, nor by an edge, whose log does."""
    shows, knows, words = REFUSED[kind]
    async with resolving(tmp_path, *shows(authorities)) as resolver:
        flags = knows(authorities)
        status, out, errors = await command("models", "--resolver", resolver.address, *flags)
        assert (status, out) == (1, "")
        assert words in errors
        async with (
            edging(tmp_path, resolver.address, *flags) as edge,
            httpx2.AsyncClient(base_url=edge.address, verify=PLAIN) as it,
        ):

            async def is_told() -> bool:
                return bool(lines(edge, "resolver_unreachable") or lines(edge, "resolver_lost"))

            await until(is_told)
            assert (await it.get("/readyz")).status_code == 503
            assert not lines(edge, "resolver_connected")


BELIEVED: dict[str, tuple[Flags, Flags]] = {
    "TLS": (lambda it: it.issued("resolver").flags("tls"), trusts_one),
    "mutual TLS": (
        lambda it: (*it.issued("resolver").flags("tls"), "--tls-client-ca", str(it.other_file)),
        lambda it: trusts_one(it, *it.issued("client", "an.edge.example", other=True).flags("resolver")),
    ),
    "by a name": (
        lambda it: it.issued("resolver", "resolver.example").flags("tls"),
        lambda it: trusts_one(it, "--resolver-name", "resolver.example"),
    ),
}


@pytest.mark.parametrize("kind", BELIEVED)
async def test_who_is_believed_is_talked_to(tmp_path: Path, authorities: Authorities, kind: str) -> None:
    """Also where plaintext would take consent: nobody gives it here."""
    shows, knows = BELIEVED[kind]
    flags = ("--listen", "0.0.0.0:0", *shows(authorities))
    async with provider(says("hello")) as it, resolving(tmp_path, *flags, config=config_text(it.url)) as resolver:
        address = f"127.0.0.1:{resolver.address.rpartition(':')[2]}"
        for asked in (("models",), ("health",)):
            status, out, errors = await command(*asked, "--resolver", address, *knows(authorities))
            assert (status, errors) == (0, "")
            assert out
        shown = authorities.issued("edge")
        async with (
            edging(tmp_path, address, *knows(authorities), *shown.flags("tls")) as edge,
            httpx2.AsyncClient(base_url=edge.address, verify=trusting(authorities.one)) as client,
        ):
            assert edge.address.startswith("https://")
            response = await client.post("/v1/chat/completions", json={"model": "chat", "messages": []})
            assert (response.status_code, response.headers["x-forebay-target"]) == (200, "p0/m#0")
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                async with httpx2.AsyncClient(base_url=edge.address, verify=trusting(authorities.other)) as stranger:
                    await stranger.get("/v1/models")


async def test_a_unix_socket_speaks_tls_too(tmp_path: Path, authorities: Authorities) -> None:
    shown = authorities.issued("resolver")
    async with resolving(tmp_path, *shown.flags("tls"), "--listen", f"unix:{tmp_path / 's'}") as resolver:
        flags = ("--resolver", resolver.address, "--resolver-ca", str(authorities.one_file))
        _, _, errors = await command("models", *flags)
        assert "say which with --resolver-name" in errors, "a path is no name"
        assert (await command("models", *flags, "--resolver-name", "localhost"))[0] == 0


# --- What is said of files that cannot be used -----------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["tls", "resolver"])
async def test_an_edge_does_not_start_without_what_it_is_to_show(
    tmp_path: Path, authorities: Authorities, flag: str
) -> None:
    shown = authorities.issued("edge")
    shown.key.write_text("-----BEGIN secret")
    flags = (*shown.flags(flag), "--resolver-ca", str(authorities.one_file))
    with pytest.raises(AssertionError, match=r"forebay-edge: \S+edge-key\.pem is no private key in PEM") as caught:
        await start_edge("127.0.0.1:9", errors=tmp_path / "log", arguments=flags)
    assert "secret" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


async def test_a_resolver_does_not_either(tmp_path: Path, authorities: Authorities) -> None:
    shown = authorities.issued("resolver")
    shown.certificate.unlink()
    with pytest.raises(AssertionError, match=r"forebay-resolver: \S+resolver\.pem cannot be read") as caught:
        async with resolving(tmp_path, *shown.flags("tls")):
            pass
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--resolver-ca", "nothing.pem"), "--resolver-ca: nothing.pem is no file of PEM certificates: No such file"),
        (("--resolver-ca", "one.pem", "--resolver-cert", "one.pem", "--resolver-key", "one.pem"), "--resolver-key: "),
    ],
)
async def test_the_command_says_which_file_it_cannot_use(
    tmp_path: Path, authorities: Authorities, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    status, out, errors = await command("models", *flags)
    assert (status, out) == (1, "")
    assert words in errors


async def test_a_key_that_everyone_may_read_is_warned_of_by_both(tmp_path: Path, authorities: Authorities) -> None:
    shown = authorities.issued("both")
    readable_by_all(shown.key)
    async with resolving(tmp_path, *shown.flags("tls")) as resolver:
        flags = (*shown.flags("tls"), "--resolver-ca", str(authorities.one_file))
        async with edging(tmp_path, resolver.address, *flags) as edge:
            for process in (resolver, edge):
                assert (await told(process, "key_readable_by_all"))["path"] == str(shown.key)


# --- Renewals --------------------------------------------------------------------------------------------------------


@dataclass
class Served:
    """A resolver, and an edge that reaches it through a proxy; all three show certificates of the first authority."""

    authorities: Authorities
    resolver: Process
    proxy: ChaosProxy
    edge: Process
    resolvers: Pair
    edges: Pair
    clients: Pair
    believed: Path
    """Whom the edge believes."""

    async def comes_anew(self) -> None:
        """The edge's connection to the resolver breaks, and it makes another."""
        before = len(lines(self.edge, "resolver_connected"))
        self.proxy.cut()
        await told(self.edge, "resolver_connected", before + 1)

    async def listing(self, ca: Path) -> int:
        """How many names there are, to somebody who comes anew and believes this authority alone. Raises
        `AioRpcError`."""
        credentials = grpc.ssl_channel_credentials(
            ca.read_bytes(), self.clients.key.read_bytes(), self.clients.certificate.read_bytes()
        )
        async with grpc.aio.secure_channel(self.resolver.address, credentials) as channel:
            stub: Any = resolver_service_pb2_grpc.ResolverServiceStub(channel)
            return len((await stub.ListModels(pb.ListModelsRequest(), timeout=20)).models)


@contextlib.asynccontextmanager
async def served(directory: Path, authorities: Authorities) -> AsyncIterator[Served]:
    resolvers, edges = authorities.issued("resolver"), authorities.issued("edge")
    clients = authorities.issued("client", "client.example")
    believed, asked = directory / "believed.pem", directory / "asked.pem"
    for each in (believed, asked):
        each.write_bytes(authorities.one_file.read_bytes())
    flags = (*resolvers.flags("tls"), "--tls-client-ca", str(asked))
    async with (
        provider(says("hello world")) as it,
        resolving(directory, *flags, config=config_text(it.url)) as resolver,
        chaos_proxy(resolver.address) as proxy,
        edging(
            directory,
            proxy.address,
            *(*edges.flags("tls"), *clients.flags("resolver"), "--resolver-ca", str(believed)),
        ) as edge,
    ):
        yield Served(authorities, resolver, proxy, edge, resolvers, edges, clients, believed)


async def renewed(process: Process, write: Callable[[], object], event: str = "certificate_renewed") -> None:
    """Waits until the process has taken in what is written, or refused it."""
    count = len(lines(process, event))
    write()
    await told(process, event, count + 1)


async def fails(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return str(caught.value.details())


@pytest.mark.timeout(120)
async def test_certificates_are_renewed_under_load_and_no_client_sees_an_error(
    tmp_path: Path, authorities: Authorities
) -> None:
    """Everybody changes to another authority: the resolver, its callers, the edge."""
    one, other = authorities.one, authorities.other
    everybody = trusting(one, other)
    async with (
        served(tmp_path, authorities) as it,
        load(it.edge.address, trust=everybody, clients=4) as staying,
        load(it.edge.address, trust=everybody, clients=4, keep=False) as coming,
    ):
        await staying.progress(20)
        asked = tmp_path / "asked.pem"
        for process, file in ((it.edge, it.believed), (it.resolver, asked)):
            both = authorities.both_file.read_bytes()
            await renewed(process, lambda file=file, both=both: file.write_bytes(both))  # type: ignore[misc]
        await renewed(it.resolver, lambda: it.resolvers.write(other.issue_cert(*HOSTS)))
        await renewed(it.edge, lambda: it.clients.write(other.issue_cert("client.example")))
        await renewed(it.edge, lambda: it.edges.write(other.issue_cert(*HOSTS)))
        await staying.progress(20)
        # On a busy machine a resolve may have missed its deadline, which ends a stream.
        ended = len(lines(it.edge, "resolver_stream_dropped"))
        assert len(lines(it.edge, "resolver_connected")) <= 1 + ended, "renewals end none"
        assert await it.listing(authorities.other_file) > 0
        assert "CERTIFICATE_VERIFY_FAILED" in await fails(it.listing(authorities.one_file))

        await it.comes_anew()
        # From here on nobody is believed who shows a certificate of the first authority.
        await renewed(it.resolver, lambda: asked.write_bytes(authorities.other_file.read_bytes()))
        await renewed(it.edge, lambda: it.believed.write_bytes(authorities.other_file.read_bytes()))
        await it.comes_anew()
        async with httpx2.AsyncClient(base_url=it.edge.address, verify=trusting(other)) as client:
            assert (await client.get("/v1/models")).status_code == 200
        for each in (staying, coming):
            await each.progress(20)
            assert each.errors == {}
    assert b"PRIVATE KEY" not in it.edge.errors.read_bytes() + it.resolver.errors.read_bytes()


@pytest.mark.timeout(120)
async def test_a_broken_renewal_changes_nothing(tmp_path: Path, authorities: Authorities) -> None:
    everybody = trusting(authorities.one)
    async with (
        served(tmp_path, authorities) as it,
        load(it.edge.address, trust=everybody, clients=4, keep=False) as asking,
    ):
        await asking.progress(10)
        for process, shown in ((it.resolver, it.resolvers), (it.edge, it.edges), (it.edge, it.clients)):
            leaf = authorities.one.issue_cert(*HOSTS)
            key, halfway = shown.key.read_bytes(), leaf.cert_chain_pems[0].bytes()
            certificate = shown.certificate.read_bytes()

            def write(shown: Pair = shown, halfway: bytes = halfway) -> None:
                shown.certificate.write_bytes(halfway)

            await renewed(process, write, "certificate_rejected")
            said = lines(process, "certificate_rejected")[-1]["error"]
            assert f"the key in {shown.key} is not the one" in said
            assert shown.key.read_bytes() == key
            await asking.progress(10)
            await it.comes_anew()  # By what it had.
            await asking.progress(10)
            await renewed(process, lambda shown=shown, was=certificate: shown.certificate.write_bytes(was))  # type: ignore[misc]
        assert await it.listing(authorities.one_file) > 0
        assert asking.errors == {}


async def test_an_edge_that_is_turned_away_comes_back_by_a_new_certificate(
    tmp_path: Path, authorities: Authorities
) -> None:
    resolvers = authorities.issued("resolver")
    clients = authorities.issued("client", not_after=expired())
    flags = (*resolvers.flags("tls"), "--tls-client-ca", str(authorities.one_file))
    async with resolving(tmp_path, *flags) as resolver:
        knows = (*clients.flags("resolver"), "--resolver-ca", str(authorities.one_file))
        async with edging(tmp_path, resolver.address, *knows) as edge:
            await told(edge, "resolver_unreachable")
            assert not lines(edge, "resolver_connected")
            clients.write(authorities.one.issue_cert(*HOSTS))
            await told(edge, "resolver_connected")
