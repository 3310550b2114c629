from __future__ import annotations

import msgspec
import pytest

from edge_service.dialects.values import decode_object, encode_around


@pytest.mark.parametrize("name", ["messages", "mess\0ages", "é"])
@pytest.mark.parametrize("size", [0, 65_534, 65_535, 200_000])
def test_what_is_written_around_a_large_field_is_what_the_encoder_writes(name: str, size: int) -> None:
    large = msgspec.Raw(b'"%b"' % (size * b"x"))
    before, behind = {"model": "a\0b"}, {"other": large, "more": msgspec.Raw(b"1")}
    for fields in ({name: large}, before | {name: large}, {name: large} | behind, before | {name: large} | behind):
        assert encode_around(name, fields) == msgspec.json.encode(fields)
    assert encode_around(name, before | behind) == msgspec.json.encode(before | behind)


@pytest.mark.parametrize("body", [b'{"a":"\0"}', b'{"a\0":1}', b'{"a":\0}', b'{"a":1\0}', b'{"a":[\0"x"]}'])
def test_what_marks_the_place_of_a_large_field_stands_in_no_request(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_object(body)
