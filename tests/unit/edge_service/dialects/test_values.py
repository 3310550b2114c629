from __future__ import annotations

import msgspec
import pytest

from edge_service.dialects.values import decode_object, encode_around, request_fields
from edge_service.domain.errors import InvalidRequestError


@pytest.mark.parametrize("name", ["messages", "mess\0ages", "é"])
@pytest.mark.parametrize("size", [0, 65_534, 65_535, 200_000])
def test_what_is_written_around_a_large_field_is_what_the_encoder_writes(name: str, size: int) -> None:
    large = msgspec.Raw(b'"%b"' % (size * b"x"))
    before, behind = {"model": "a\0b"}, {"other": large, "more": msgspec.Raw(b"1")}
    for fields in ({name: large}, before | {name: large}, {name: large} | behind, before | {name: large} | behind):
        assert bytes(encode_around(name, fields)) == msgspec.json.encode(fields)
    assert encode_around(name, before | behind) == msgspec.json.encode(before | behind)


@pytest.mark.parametrize("body", [b'{"a":"\0"}', b'{"a\0":1}', b'{"a":\0}', b'{"a":1\0}', b'{"a":[\0"x"]}'])
def test_what_marks_the_place_of_a_large_field_stands_in_no_request(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_object(body)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"", "the body is not valid JSON"),
        (b"[]", "the body must be a JSON object"),
        (b'{"a": }', "the body is not valid JSON"),
        (b'{"a": "\xff"}', r"the body is not valid UTF-8 \(byte 7\)"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "the body is nested too deeply"),
    ],
)
def test_a_request_that_is_no_object_is_a_mistake_of_the_client(body: bytes, wrong: str) -> None:
    with pytest.raises(InvalidRequestError, match=wrong):
        request_fields(body)


def test_the_values_of_a_request_stay_as_they_came() -> None:
    assert {name: bytes(raw) for name, raw in request_fields(b'{"a": 1.50, "b": null}').items()} == {
        "a": b"1.50",
        "b": b"null",
    }
