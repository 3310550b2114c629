"""The gRPC server: Forebay's services, standard health and reflection, and the bounds around them."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from dataclasses import dataclass, field

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from forebay.resolver.v1 import (
    pool_admin_service_pb2,
    pool_admin_service_pb2_grpc,
    resolver_service_pb2,
    resolver_service_pb2_grpc,
)
from resolver_service.adapters.grpc_api.interceptors import (
    DeadlineInterceptor,
    ManagementKeyInterceptor,
    TokenInterceptor,
)
from resolver_service.adapters.grpc_api.pool_admin import PoolAdminServicer
from resolver_service.adapters.grpc_api.resolver import ResolverServicer
from resolver_service.app.ports import Certificates

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_CONCURRENT_CALLS = 1000
KEEPALIVE_S = 30.0
"""How often a caller that says nothing is checked to be there. One whose machine or network is gone closes nothing: its
stream would stay open for hours, and what it had under way would count for as long."""
KEEPALIVE_TIMEOUT_S = 10.0
"""How long it is waited for."""

LIVENESS = "liveness"
"""The health service's name for "the process works"; the empty name and `READINESS` mean "it can serve"."""
READINESS = "readiness"

_SERVICE = resolver_service_pb2.DESCRIPTOR.services_by_name["ResolverService"].full_name

_ADMIN_SERVICE = pool_admin_service_pb2.DESCRIPTOR.services_by_name["PoolAdminService"].full_name

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Edges ping idle streams every 30 s; without this the server calls that abuse after the second ping.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Two resolvers must not share a port by accident.
    ("grpc.so_reuseport", 0),
)


class AddressInUseError(Exception):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A bound server and its health service."""

    server: grpc.aio.Server
    health: health.aio.HealthServicer
    address: str

    async def serving(self) -> None:
        await self.server.start()
        for name in ("", LIVENESS, READINESS, _SERVICE):
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def drain(self, grace_s: float) -> None:
        """Stops being ready, then stops: calls under way get `grace_s` seconds, streams are ended after it."""
        for name in ("", READINESS, _SERVICE):
            await self.health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self.server.stop(grace_s)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What callers must show. Empty: there is no token, and nobody may change anything."""

    token: str = field(default="", repr=False)
    management_key: str = field(default="", repr=False)


class Tls:
    """The server's certificate, and the authorities of its callers' certificates. Renewed ones hold for new
    connections."""

    def __init__(self, certificates: Certificates) -> None:
        self._renewed: deque[grpc.ServerCertificateConfiguration] = deque(maxlen=1)
        self.credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(certificates),
            self._fetch,  # type: ignore[arg-type]  # whose None means "no change", as its documentation says
            require_client_authentication=bool(certificates.authorities),
        )

    def renew(self, certificates: Certificates) -> None:
        """`certificates` must have authorities if those before had them."""
        self._renewed.append(_configuration(certificates))

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The renewed configuration, once; else None. gRPC asks before each handshake, on threads of its own."""
        with contextlib.suppress(IndexError):
            return self._renewed.pop()
        return None


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.chain)], certificates.authorities or None
    )


def build(
    listen: str,
    servicer: ResolverServicer,
    admin: PoolAdminServicer,
    secrets: Secrets,
    *,
    reflect: bool,
    tls: Tls | None = None,
) -> GrpcServer:
    """A server bound to `listen` (`HOST:PORT`, port 0 for any free one, or `unix:PATH`). Raises `AddressInUseError`."""
    interceptors: list[grpc.aio.ServerInterceptor] = [TokenInterceptor(secrets.token)] if secrets.token else []
    interceptors += [ManagementKeyInterceptor(secrets.management_key), DeadlineInterceptor()]
    options = (
        *_OPTIONS,
        ("grpc.keepalive_time_ms", int(KEEPALIVE_S * 1000)),
        ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_S * 1000)),  # For what was sent to be acknowledged.
        ("grpc.http2.ping_timeout_ms", int(KEEPALIVE_TIMEOUT_S * 1000)),  # For an answer; the other is not for that.
    )
    server = grpc.aio.server(interceptors=interceptors, options=options, maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS)
    resolver_service_pb2_grpc.add_ResolverServiceServicer_to_server(servicer, server)
    server.add_registered_method_handlers(_SERVICE, {"ResolveStream": servicer.stream_handler})
    pool_admin_service_pb2_grpc.add_PoolAdminServiceServicer_to_server(admin, server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if reflect:
        admin_service = (_ADMIN_SERVICE,) if secrets.management_key else ()
        services = (_SERVICE, *admin_service, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(services, server)
    if listen.startswith("unix:") and _is_served(listen.removeprefix("unix:")):
        raise AddressInUseError(f"--listen: cannot listen on {listen}: another process does")
    try:
        port = server.add_secure_port(listen, tls.credentials) if tls else server.add_insecure_port(listen)
    except RuntimeError as error:
        raise AddressInUseError(f"--listen: cannot listen on {listen}: {_refusal(listen) or error}") from error
    address = listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
    return GrpcServer(server, health_servicer, address)


def _refusal(listen: str) -> str:
    """Why the kernel refuses the address, which gRPC does not tell; empty if it does not refuse it any more."""
    host, _, port = listen.rpartition(":")
    address: str | tuple[str, int]
    if listen.startswith("unix:"):
        family, address = socket.AF_UNIX, listen.removeprefix("unix:")
    else:
        family, address = socket.AF_INET6 if host.startswith("[") else socket.AF_INET, (host.strip("[]"), int(port))
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(address)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _is_served(path: str) -> bool:
    """Whether someone accepts connections there. gRPC would take the path away from it, since what a crash leaves
    behind looks the same."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(1.0)
        try:
            caller.connect(path)
        except OSError:
            return False
        return True
