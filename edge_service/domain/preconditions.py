"""`ETag` and `If-Match` (RFC 9110, 8.8.3 and 13.1.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TAG = re.compile(r'[ \t]*(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,|\Z)')
_EMPTY = re.compile(r"[ \t]*,")


class PreconditionError(ValueError):
    """An `If-Match` that is none."""


def entity_tag(etag: str) -> bytes:
    """As a header has it."""
    return f'"{etag}"'.encode("latin-1", "replace")


def if_match(values: Sequence[bytes]) -> frozenset[str] | None:
    """The tags of which one must be the present one, from all headers of the name; None if any will do: there is no
    such header, or it is `*`.

    A weak tag never is: the comparison is the strong one. Raises `PreconditionError`.
    """
    if not values:
        return None
    listed = ",".join(value.decode("latin-1") for value in values).strip(" \t")
    if listed == "*":
        return None
    if not listed:
        raise PreconditionError  # Somebody had an etag in mind: not just any will do.
    tags: set[str] = set()
    at = 0
    while at < len(listed):
        if (empty := _EMPTY.match(listed, at)) is not None:  # RFC 9110, 5.6.1.2: they are to be passed over.
            at = empty.end()
            continue
        found = _TAG.match(listed, at)
        if found is None:
            raise PreconditionError
        if found["weak"] is None:
            tags.add(found["opaque"])
        at = found.end()
    return frozenset(tags)
