"""Channels to resolvers: plaintext, or TLS by certificates that may be renewed."""

from __future__ import annotations

import grpc
import grpc.aio

from edge_service.app.ports import Certificates

_OPTIONS = (
    # The default waits for seconds before it notices that a resolver is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long a connection may take to be made, despite its name: a busy machine needs more than the back-off.
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A resolver in a new container has a new address; the default looks the name up again after 30 s at the earliest.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Nor does a proxy that the environment names for other things stand in between.
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)


class Channels:
    """Makes gRPC channels. `version` goes up when the certificates are renewed."""

    def __init__(self, certificates: Certificates | None = None, name: str = "") -> None:
        """Without certificates they are plaintext. `name` is what the resolvers' certificates are for, if it is not the
        host of their address."""
        self._certificates = certificates
        self._options = (*_OPTIONS, ("grpc.ssl_target_name_override", name)) if name else _OPTIONS
        self.version = 0

    def renew(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self.version += 1

    def open(self, address: str) -> grpc.aio.Channel:
        if self._certificates is None:
            return grpc.aio.insecure_channel(address, options=self._options)
        it = self._certificates
        credentials = grpc.ssl_channel_credentials(it.authorities, it.key or None, it.chain or None)
        return grpc.aio.secure_channel(address, credentials, options=self._options)
