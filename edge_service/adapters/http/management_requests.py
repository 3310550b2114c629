"""Reads and checks requests to the management API, as far as that is possible without the configuration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.types import Receive, Scope

from edge_service.adapters.http.asgi import read_body
from edge_service.app.ports import Management
from edge_service.domain import headers
from edge_service.domain.headers import Headers
from edge_service.domain.management import (
    MAX_PAGE_SIZE,
    MAX_REVISION,
    BadQuestionError,
    Caller,
    Change,
    OutdatedError,
    Section,
)
from edge_service.domain.preconditions import PreconditionError, if_match

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 50
"""Levels of nesting in JSON. A configuration has about ten, and `params` may add some."""

KEY = b"x-management-key"
AUTHOR = b"x-forebay-author"
DEFAULT_AUTHOR = "management-api"
MAX_AUTHOR = 64
"""Characters."""

_MAX_KEY_BYTES = 4096
"""The key goes on as gRPC metadata, which has 8 KiB in all."""


def caller(scope: Scope) -> Caller:
    """Who calls: the key and the address. A value that cannot be a key counts as none."""
    return Caller(_shown_key(scope["headers"]), scope["client"][0] if scope["client"] else "")


def _shown_key(head: Headers) -> str:
    key = headers.first(head, KEY)
    if key is None:
        scheme, _, token = (headers.first(head, b"authorization") or b"").partition(b" ")
        key = token if scheme.lower() == b"bearer" else b""
    key = key.strip()
    is_one = len(key) <= _MAX_KEY_BYTES and key.isascii() and key.decode().isprintable()
    return key.decode() if is_one else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. Its key has been verified, or will be by the resolver as part of the call."""

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, object]
    """The parameters that were given, as values: see `QUERY`."""
    change: Change
    """Without its etag, which `starting_from` adds."""
    tags: frozenset[str] | None
    """The entity tags of `If-Match`; None if the change may start from any configuration."""
    body: bytes = b""
    said: object = None
    """The decoded body."""

    async def starting_from(self, management: Management) -> Change:
        """The change, with the etag of the configuration that it starts from. Raises `OutdatedError`."""
        if self.tags is None:
            return self.change
        tags = self.tags - {""}  # No configuration has it, and to the resolver it would mean any.
        etag = next(iter(tags), "")
        if len(tags) > 1:
            etag = (await management.read(self.caller, Section.MODEL_POOLS)).etag
        if etag not in tags:
            raise OutdatedError
        return Change(etag, self.change.validate_only, self.change.author)


def read(
    scope: Scope, caller: Caller, parameters: frozenset[str], *, is_change: bool, body: bytes = b"", said: object = None
) -> Asked:
    """`body` and `said` are the body and what it decodes to. Raises `BadQuestionError`."""
    query = _query(scope["query_string"], parameters)
    change, tags = Change(), None
    if is_change:
        head = scope["headers"]
        change = Change(validate_only=query.get("validate-only") is True, author=_author(headers.first(head, AUTHOR)))
        try:
            tags = if_match([value for name, value in head if name == b"if-match"])
        except PreconditionError:
            raise BadQuestionError('If-Match is neither * nor a list of entity tags such as "abc"') from None
    return Asked(caller, scope["path_params"], query, change, tags, body, said)


async def read_json(scope: Scope, receive: Receive) -> tuple[bytes, object]:
    """The body, and what it decodes to. Raises `BadQuestionError`, `PayloadTooLargeError` or `ClientGoneError`."""
    kind = headers.first(scope["headers"], b"content-type")
    if kind is not None and kind.partition(b";")[0].strip().lower() != b"application/json":
        raise BadQuestionError("the body has to be JSON: send it with 'content-type: application/json'")
    body = await read_body(receive, MAX_BODY_BYTES)
    # In a thread, since megabytes take a while, and streams must not wait that long.
    return body, await asyncio.to_thread(decoded, body)


def decoded(body: bytes) -> object:
    """Decodes JSON, and refuses what different parsers would read differently. Raises `BadQuestionError`."""
    try:
        msgspec.json.decode(body)  # Stricter than `json` about numbers, the encoding and halves of surrogate pairs.
        said: object = json.loads(body, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise BadQuestionError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadQuestionError(f"the body is not valid JSON: {error}") from None
    if _is_deep(said):
        raise BadQuestionError("the JSON is nested too deeply")
    return said


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BadQuestionError(f"the JSON has the key '{repeated[:200]}' twice in one object")
    return fields


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return any(isinstance(value, (dict, list)) for value in level)


def _query(query: bytes, parameters: frozenset[str]) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for part in filter(None, query.split(b"&")):
        name, _, value = (_unquoted(half) for half in part.partition(b"="))
        # Refused rather than ignored: whoever misspells `validate-only` must not change anything.
        if name not in parameters:
            raise BadQuestionError(f"there is no query parameter '{name[:200]}' here")
        if name in found:
            raise BadQuestionError(f"the query parameter '{name}' is given twice")
        found[name] = QUERY[name](value)
    return found


def _unquoted(part: bytes) -> str:
    try:
        return unquote_to_bytes(part.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise BadQuestionError("the query is not UTF-8") from None


def number(text: str, name: str, least: int, most: int) -> int:
    """Reads a number from `least` to `most`; `name` is for the error. Raises `BadQuestionError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise BadQuestionError(f"{name} '{text[:200]}' is not a whole number from {least} to {most}")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise BadQuestionError(f"validate-only '{text[:200]}' is neither true nor false")
    return text == "true"


QUERY: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "id": str,
        "validate-only": _switch,
        "page-size": lambda text: number(text, "page-size", 1, MAX_PAGE_SIZE),
        "before": lambda text: number(text, "before", 1, MAX_REVISION),
    }
)
"""Reads the value of each query parameter, which means the same in every operation that has it."""


def _author(shown: bytes | None) -> str:
    try:
        author = (shown or b"").decode().strip()
    except UnicodeDecodeError:
        author = "\0"
    if not author.isprintable() or len(author) > MAX_AUTHOR:
        raise BadQuestionError(f"X-Forebay-Author is not a name of at most {MAX_AUTHOR} printable characters")
    return author or DEFAULT_AUTHOR
