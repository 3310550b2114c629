from __future__ import annotations

import pytest
from starlette.types import Scope

from edge_service.adapters.http.asgi import MAX_BODY_BYTES, headers_by_name
from edge_service.adapters.http.client_keys import client_key
from edge_service.adapters.http.known_heads import MOST_BYTES, KnownHead, known_head

FIRST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Api-Key: the key\r\n"


def said(length: bytes, behind: bytes = b"") -> bytes:
    return FIRST + b"Content-Length: " + length + b"\r\nAccept: */*\r\n" + behind + b"\r\n"


def scope(*headers: tuple[bytes, bytes], length: bytes = b"3") -> Scope:
    own = [(b"host", b"a"), (b"x-api-key", b"the key"), (b"content-length", length), (b"accept", b"*/*")]
    return {"path": "/v1/chat/completions", "query_string": b"", "headers": [*own, *headers]}


@pytest.fixture
def known() -> KnownHead:
    head = known_head(said(b"3") + b"abc", scope())
    assert head is not None
    return head


@pytest.mark.parametrize(("length", "body"), [(b"3", b"xyz"), (b"12", b"twelve bytes"), (b"7", b"part"), (b"7", b"")])
def test_a_head_that_comes_again_means_the_same_but_for_its_length(
    known: KnownHead, length: bytes, body: bytes
) -> None:
    read = known.read(said(length) + body)
    assert read is not None
    again, length_bytes, there = read
    assert (length_bytes, there) == (int(length), body)
    assert again["headers"] == scope(length=length)["headers"]
    assert again["path"] == "/v1/chat/completions"
    assert headers_by_name(again) == dict(scope(length=length)["headers"])
    assert client_key(again) == client_key(scope())


def test_what_one_request_means_is_not_what_another_one_does(known: KnownHead) -> None:
    first, second = known.read(said(b"4")), known.read(said(b"5"))
    assert first is not None
    assert second is not None
    first[0]["headers"].append((b"x", b"y"))
    first[0]["path"] = "/"
    assert second[0]["headers"] == scope(length=b"5")["headers"]
    third = known.read(said(b"3"))
    assert third is not None
    assert third[0]["headers"] == scope()["headers"]


@pytest.mark.parametrize(
    "data",
    [
        said(b"3") + b"abcd",
        said(b"3").replace(b"the key", b"the kez") + b"abc",
        said(b"3").replace(b"Accept", b"accept") + b"abc",
        said(b"3", b"X: y\r\n") + b"abc",
        said(b"3")[:-1],
        said(b"3")[2:],
        b"\r\n" + said(b"3") + b"abc",
        said(b"0"),
        said(b"") + b"abc",
        said(b"+3") + b"abc",
        said(b"-3") + b"abc",
        said(b" 3") + b"abc",
        said(b"3 ") + b"abc",
        said(b"0x3") + b"abc",
        said(b"1_0") + b"abc",
        said("٣".encode()) + b"abc",
        said(b"3\r\nContent-Length: 3") + b"abc",
        said(b"%d" % (MAX_BODY_BYTES + 1)),
        said(b"0000000003") + b"abc",
        said(b"9" * 5_000),
        FIRST + b"Content-Length: " + b"9" * 5_000,
        b"",
    ],
)
def test_what_differs_by_more_is_left_to_a_parser(known: KnownHead, data: bytes) -> None:
    assert known.read(data) is None


@pytest.mark.parametrize(
    ("data", "of"),
    [
        (said(b"3").replace(b"POST", b"PUT"), scope()),
        (b"\r\n" + said(b"3"), scope()),
        (said(b"3")[:-2], scope()),
        (said(b"3", b"x: " + b"y" * MOST_BYTES + b"\r\n"), scope((b"x", b"y" * MOST_BYTES))),
        (said(b"3 "), scope(length=b"3 ")),
        (said(b"3", b"expect: 100-continue\r\n"), scope((b"expect", b"100-continue"))),
        (said(b"3", b"upgrade: h2c\r\n"), scope((b"upgrade", b"h2c"))),
        (said(b"3", b"transfer-encoding: chunked\r\n"), scope((b"transfer-encoding", b"chunked"))),
        (said(b"3", b"connection: x\r\n"), scope((b"connection", b"x"))),
    ],
)
def test_a_head_that_says_more_than_a_length_is_not_kept(data: bytes, of: Scope) -> None:
    assert known_head(data, of) is None


def test_one_without_a_length_is_not_either() -> None:
    bare = {**scope(), "headers": [(b"host", b"a")]}
    assert known_head(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n", bare) is None
