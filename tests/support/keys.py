"""Clients of a configuration, by their keys, which are canaries."""

from __future__ import annotations

import hashlib
import json

from tests.support.canaries import CLIENT_KEY, OTHER_CLIENT_KEY

MINE, OTHERS = CLIENT_KEY.value, OTHER_CLIENT_KEY.value


def client(key: str, name: str = "", **fields: object) -> dict[str, object]:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"id": name or f"client-{digest[:8]}", "key-sha256": digest, **fields}


def clients(*entries: dict[str, object]) -> str:
    """The section of the configuration."""
    return f"clients: {json.dumps(entries)}\n"


def bearer(key: str) -> dict[str, str]:
    """Without a key, what is none, instead of one that the client shows always."""
    return {"authorization": f"Bearer {key}" if key else "none"}
