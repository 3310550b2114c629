"""Where the server keeps what."""

from __future__ import annotations

PREFIX = "forebay:"
SCHEMA = 1
"""Of what is kept there. A resolver works with its own alone."""

TURNS = PREFIX + "turns"
HEALTH = PREFIX + "health"
NUMBERS = PREFIX + "numbers"
DRAINS = PREFIX + "drains"
PROBE = PREFIX + "probe:"
BOUND = PREFIX + "bound:"
BINDINGS = PREFIX + "bindings"
LIMITS = PREFIX + "limits:"
CHANGES = PREFIX + "changes"
"""The channel."""
SCHEMA_KEY = PREFIX + "schema"
REVISIONS = PREFIX + "revisions"
TEXTS = PREFIX + "texts"
REPLICAS = PREFIX + "replicas"
