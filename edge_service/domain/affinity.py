"""Stored responses, and the keys by which the resolver finds the target that made one.

The resolver learns neither the ids nor whose they are: a key is an HMAC. Every edge makes the same one, from the token
that the services share, and a response is not found by any other client's key.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

_PURPOSE = b"forebay affinity keys, version 1"


@dataclass(frozen=True, slots=True)
class Made:
    id: str
    """As the provider calls it."""
    client_key_sha256: bytes
    """Of the key that its client has shown; empty for none."""


class AffinityKeys:
    """Makes the keys."""

    __slots__ = ("_secret",)

    def __init__(self, token: str) -> None:
        """Without a token the keys are only obscured: whoever guesses an id can make the same key."""
        self._secret = hmac.digest(token.encode(), _PURPOSE, "sha256")

    def of(self, made: Made) -> bytes:
        """32 bytes."""
        owner = made.client_key_sha256
        return hmac.digest(self._secret, bytes([len(owner)]) + owner + made.id.encode(), "sha256")
