"""Error bodies for requests that are refused before they are read, in the dialect of their path."""

from __future__ import annotations

import msgspec
from starlette.types import Scope

from edge_service.adapters.http.listings import voice_of
from edge_service.domain.errors import ApiError
from edge_service.domain.management import InvalidChangeError

MANAGEMENT = "/v0/management"
_BELOW = f"{MANAGEMENT}/"


def is_management(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.startswith(_BELOW)


def error_body(scope: Scope, error: ApiError) -> bytes:
    return management_body(error) if is_management(scope) else voice_of(scope).error_body(error)


def management_body(error: ApiError) -> bytes:
    """The error in the words of the management API."""
    body: dict[str, object] = {"error": error.message}
    if isinstance(error, InvalidChangeError):
        body["errors"] = [{"path": mistake.path, "message": mistake.message} for mistake in error.mistakes]
    return msgspec.json.encode(body)
