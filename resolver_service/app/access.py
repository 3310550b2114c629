"""Finds the client by the hash of the key that it showed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from resolver_service.app.refusals import ResolveError
from resolver_service.domain.catalog import Catalog
from resolver_service.domain.clients import Client

KeyCode: TypeAlias = Literal["client_key_missing", "client_key_unknown", "client_key_expired"]

_WORDS: Mapping[KeyCode, str] = MappingProxyType(
    {
        "client_key_missing": "an API key is required",
        "client_key_unknown": "the API key is not known",
        "client_key_expired": "the API key has expired",
    }
)


class ClientKeyError(ResolveError):
    """Nobody is served by this key."""

    def __init__(self, code: KeyCode) -> None:
        self.code = code
        super().__init__(_WORDS[code])


class Access:
    """Knows clients by their keys."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock

    def client(self, catalog: Catalog, key_sha256: bytes, *, required: bool) -> Client | None:
        """The client with this key; None if the configuration has no clients, so that everything is allowed. Raises
        `ClientKeyError`, also without clients if a known key is `required`.

        The look-up's time may depend on the hash that is asked for. That tells nothing: whoever could make a hash that
        begins as a known one does, without knowing that key, could as well guess the key, which has 256 bits.
        """
        clients = catalog.clients
        if clients is None and not required:
            return None
        client = clients.get(key_sha256) if clients else None
        if client is None:
            raise ClientKeyError("client_key_unknown" if key_sha256 else "client_key_missing")
        if client.expires_at <= self._wall_clock():
            raise ClientKeyError("client_key_expired")
        return client
