"""Which headers cross the gateway, and in which form. Names are lower-case bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from typing import TypeAlias

Headers = list[tuple[bytes, bytes]]

_NAME, _VALUE = itemgetter(0), itemgetter(1)

REQUEST_ID = b"x-forebay-request-id"
"""Joins the log lines of edge and resolver with the client's own; taken from the request if it is a valid one."""

TIMEOUT = b"x-forebay-timeout-s"
"""The time that the client allows for its request."""

PROVIDER_REQUEST_ID = b"x-request-id"
"""Shows the request's id to providers. Most answer with an id of their own, under this name or Anthropic's."""

_PROVIDER_REQUEST_IDS = (PROVIDER_REQUEST_ID, b"request-id")

_TO_UPSTREAM_PREFIXES = (b"openai-", b"anthropic-", b"x-stainless-")
_TO_CLIENT_PREFIXES = (b"openai-", b"anthropic-", b"x-ratelimit-")
_LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-")
_TO_CLIENT = frozenset({b"content-type"})
_USUAL_OPTIONS = frozenset({b"keep-alive", b"close"})
"""Of a connection, which name no header that would pass."""

# Whose account it is: the client's own would not fit the gateway's credential, and the gateway's is not the client's
# business.
_ACCOUNT = frozenset({b"openai-organization", b"openai-project", b"anthropic-organization-id"})

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}\Z")


def to_upstream(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The client's headers that a provider of the same dialect may see."""
    passing, options_at = _passing_upstream(tuple(map(_NAME, headers)))
    # A server may leave the white space behind a value in its place (RFC 9112, 5.1); no client library sends it on.
    seen = [(name, value.strip(b" \t")) for name, value in compress(headers, passing)]
    return _without_named(seen, headers, options_at) if options_at else seen


def to_client(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The provider's headers that the client may see. Retry-After is not among them: it is read and written anew."""
    passing, options_at = _passing_to_client(tuple(map(_NAME, headers)))
    seen = list(compress(headers, passing))
    if options_at:
        seen = _without_named(seen, headers, options_at)
    if not _CONTROL.search(b"\t".join(map(_VALUE, seen))):
        return seen
    # A server refuses to send these, and with them the whole answer.
    return [(name, value) for name, value in seen if not _CONTROL.search(value)]


def _without_named(seen: Headers, headers: Sequence[tuple[bytes, bytes]], options_at: tuple[int, ...]) -> Headers:
    """Without the headers that a `connection` header names, which are for one connection (RFC 9110, 7.6.1)."""
    options = b",".join([headers[at][1] for at in options_at]).lower()
    if options in _USUAL_OPTIONS:
        return seen
    named = {option.strip(b" \t") for option in options.split(b",")}
    return [(name, value) for name, value in seen if name not in named]


# A client, and a provider, sends headers of the same names over and over. Which of them pass, and where a `connection`
# header stands:

_Passing: TypeAlias = tuple[tuple[bool, ...], tuple[int, ...]]


@lru_cache(maxsize=256)
def _passing_upstream(names: tuple[bytes, ...]) -> _Passing:
    passing = tuple(name.startswith(_TO_UPSTREAM_PREFIXES) and name not in _ACCOUNT for name in names)
    return passing, _options_at(names)


@lru_cache(maxsize=256)
def _passing_to_client(names: tuple[bytes, ...]) -> _Passing:
    passing = tuple(
        (name in _TO_CLIENT or name.startswith(_TO_CLIENT_PREFIXES)) and name not in _ACCOUNT for name in names
    )
    return passing, _options_at(names)


def _options_at(names: tuple[bytes, ...]) -> tuple[int, ...]:
    return tuple(at for at, name in enumerate(names) if name == b"connection")


def without_limits(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Without the provider's rate limits, which are the gateway's and not the client's."""
    return [(name, value) for name, value in headers if not name.startswith(_LIMITS)]


def first(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return dict(reversed(headers)).get(name)


def request_id(shown: bytes | None) -> str:
    """The client's own request id if it is a valid one, else a new one."""
    if shown is not None and _REQUEST_ID.match(shown):
        return shown.decode("ascii")
    return os.urandom(16).hex()


def provider_request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """What a provider calls the request, for a ticket there; empty if it does not say, or says it in no fit way."""
    said = dict(headers)
    for name in _PROVIDER_REQUEST_IDS:
        if name in said and _REQUEST_ID.match(said[name]):
            return said[name].decode("ascii")
    return ""
