"""What only the target that made it knows, such as a stored response, and the key by which it is found again.

The resolver keeps who made what, and learns neither ids nor whose they are: all that it is told is an HMAC. Every edge
makes the same one, from the token that the services share; and nobody finds by an id what was made for another key.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

_PURPOSE = b"forebay affinity keys, version 1"


@dataclass(frozen=True, slots=True)
class Made:
    id: str
    """As its maker calls it."""
    client_key_sha256: bytes
    """Of the key that its client has shown; empty for none."""


class AffinityKeys:
    """Makes the keys."""

    __slots__ = ("_secret",)

    def __init__(self, token: str) -> None:
        """Without a token the keys are merely unreadable: whoever guesses an id can make the same one."""
        self._secret = hmac.digest(token.encode(), _PURPOSE, "sha256")

    def of(self, made: Made) -> bytes:
        """32 bytes."""
        owner = made.client_key_sha256
        return hmac.digest(self._secret, bytes([len(owner)]) + owner + made.id.encode(), "sha256")
