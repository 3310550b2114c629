"""The headers and the path that the gateway gives to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import quote

from edge_service.app.ports import CredentialError
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt

OWN: Headers = [(b"accept-encoding", b"identity"), (b"user-agent", b"forebay")]

_BEARER = (b"authorization", b"Bearer ")
_SHOWN: Mapping[str, tuple[bytes, bytes]] = MappingProxyType(
    {
        "openai": _BEARER,
        "anthropic": (b"x-api-key", b""),
        "gemini": (b"x-goog-api-key", b""),
        "bearer": _BEARER,
        "x-api-key": (b"x-api-key", b""),
        "x-goog-api-key": (b"x-goog-api-key", b""),
        "api-key": (b"api-key", b""),
    }
)
"""The header that a credential is shown in, and what stands before it: as the dialect has it, or the provider."""


def headers_for(dialect: str, auth_header: str, secret: bytes, always: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The gateway's own headers: its name, the credential if there is one, and the provider's fixed headers. Raises
    `CredentialError` if the credential is to be shown in a way that only newer edges know."""
    if not secret:
        return [*OWN, *always]
    way = auth_header or dialect
    if way not in _SHOWN:
        raise CredentialError(f"this edge cannot show a credential as '{way}': it is older than the resolver")
    name, before = _SHOWN[way]
    return [*OWN, (name, before + secret), *always]


def path_for(attempt: Attempt, path: str) -> str:
    """The path behind the base URL."""
    quirks = attempt.quirks
    if quirks.deployment_paths:
        # https://learn.microsoft.com/azure/ai-foundry/openai/reference; of responses the body alone says the model.
        deployment = "" if path.startswith("/responses") else f"/deployments/{quote(attempt.upstream_model, safe='')}"
        path = f"/openai{deployment}{path}"
    if quirks.api_version:
        path += ("&" if "?" in path else "?") + "api-version=" + quote(quirks.api_version, safe="")
    return path
