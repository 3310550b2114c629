"""The name that a client's request gives: of a model, a pool or a cluster."""

from __future__ import annotations

from edge_service.domain.errors import InvalidRequestError

MAX_CHARS = 512
"""No name is as long; and what is sent to the resolver goes over a stream that all requests share."""


def check(name: str) -> None:
    """Raises `InvalidRequestError`."""
    if not name.strip():
        raise InvalidRequestError("'model' is empty: name the model, pool or cluster to ask", param="model")
    if len(name) > MAX_CHARS:
        raise InvalidRequestError(f"'model' is longer than {MAX_CHARS} characters", param="model")
