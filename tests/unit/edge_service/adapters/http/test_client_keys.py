from __future__ import annotations

import hashlib

import pytest

from edge_service.adapters.http.client_keys import client_key, without_key

KEY = b"the key"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer the key")], b""),
        ([(b"authorization", b"bearer  the key ")], b""),
        ([(b"x-api-key", b"the key")], b""),
        ([(b"authorization", b"Basic abc"), (b"x-goog-api-key", b"the key")], b""),
        ([], b"alt=sse&key=the%20key"),
        ([(b"authorization", b"Bearer the key"), (b"authorization", b"Bearer another")], b""),
        ([(b"x-api-key", b"the key"), (b"x-api-key", b"another")], b"key=a%20third"),
        ([], b"key=the%20key&key=another"),
        ([(b"x-api-key", b"the key ")], b""),
        ([(b"x-goog-api-key", b"the key\t")], b""),
        ([], b"key=%20the%20key%0A"),
    ],
)
def test_a_key_is_the_same_wherever_it_is_shown(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    assert client_key({"headers": headers, "query_string": query}) == hashlib.sha256(KEY).digest()


def test_who_shows_none_has_none() -> None:
    assert client_key({"headers": [(b"authorization", b"Bearer ")], "query_string": b"key="}) == b""


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"", ""),
        (b"key=secret", ""),
        (b"a=1&key=secret&b=&a=2", "a=1&b=&a=2"),
        (b"k%65y=secret&keys=1", "keys=1"),
        (b"include[]=x&q=a%20b+c", "include%5B%5D=x&q=a+b+c"),
        (b"x=%0d%0a&y=\xff&z=%C3%A9", "x=%0D%0A&y=%FF&z=%C3%A9"),
    ],
)
def test_a_providers_query_has_all_but_the_key_in_it(query: bytes, left: str) -> None:
    assert without_key(query) == left
