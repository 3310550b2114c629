"""The time that a client allows for its request: the header `x-forebay-timeout-s`."""

from __future__ import annotations

import re

from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.headers import TIMEOUT, Headers

LEAST_S, MOST_S = 0.001, 86400.0

_DECIMAL = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,9})?\Z")


def allowed_s(headers: Headers) -> float | None:
    """None if the client does not say. Raises `InvalidRequestError`."""
    if TIMEOUT not in dict(headers):
        return None
    said = [value for name, value in headers if name == TIMEOUT]
    value = said[0].strip(b" \t")
    seconds = float(value) if len(said) == 1 and _DECIMAL.match(value) else 0.0
    if not LEAST_S <= seconds <= MOST_S:
        name = TIMEOUT.decode()
        raise InvalidRequestError(
            f"the header '{name}' must be one number of seconds from {LEAST_S} to {MOST_S:.0f}, such as 2.5", param=name
        )
    return seconds
