"""Keys for clients of the gateway. They are made here, and shown once; the resolver knows only their hashes."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys

PREFIX = "fb-"
"""Lets people, and scanners for leaked secrets, recognise a key."""
KEY_BYTES = 32
"""256 bits: nobody guesses one, so that a plain hash of it is enough, and quick."""
LONGEST = 8192
"""Bytes of a key that is to be hashed: headers are not longer."""


def sha256(key: bytes) -> bytes:
    """As the edge hashes what it is shown; empty for no key."""
    key = key.strip()
    return hashlib.sha256(key).digest() if key else b""


def new(client_id: str | None) -> int:
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    digest = sha256(key.encode()).hex()
    print(f"{key}\n")
    print("# The key is not shown again. In the configuration, below `clients:`, stands what follows.")
    print(f"  - id: {json.dumps(client_id or f'client-{digest[:8]}')}")  # JSON's strings are YAML's.
    print(f'    key-sha256: "{digest}"')  # It might be all digits.
    return 0


def tell_hash(written: bytes) -> int:
    key = written.strip()
    if not key or len(key) > LONGEST or not all(0x21 <= byte <= 0x7E for byte in key):
        print("forebay: no key on standard input: one line of printable ASCII, without blanks", file=sys.stderr)
        return 1
    print(sha256(key).hex())
    return 0
