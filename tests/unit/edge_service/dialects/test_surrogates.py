from __future__ import annotations

import json

import msgspec
import pytest

from edge_service.dialects.surrogates import MAX_BYTES, hide

HIGH, LOW = rb"\ud83d", rb"\ude00"


@pytest.mark.parametrize(
    "text",
    [
        HIGH,
        LOW,
        LOW + HIGH,
        HIGH + HIGH + LOW,
        b"a" + HIGH + b"b" + LOW + "ü\N{GRINNING FACE}".encode(),
        rb"\\" + HIGH,
        rb"\uD83D \uDE00",
    ],
)
def test_halves_are_hidden_from_the_parser_and_shown_again(text: bytes) -> None:
    data = b'{"a":"%b"}' % text
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(data)
    hidden = hide(data)
    assert hidden is not None
    shown = hidden.shown(msgspec.json.encode(msgspec.json.decode(hidden.data)))
    assert json.loads(shown) == json.loads(data)


def test_what_is_left_as_it_was_is_shown_as_it_was() -> None:
    data = b'{"a": "%b", "b": "%b"}' % (HIGH, HIGH + LOW)
    hidden = hide(data)
    assert hidden is not None
    assert hidden.shown(hidden.data) == data


@pytest.mark.parametrize(
    "text", [b"", b"plain", HIGH + LOW, rb"\\ud83d", rb"\u00e9", "\N{GRINNING FACE}".encode(), rb"\\\\ude00"]
)
def test_where_there_are_no_halves_nothing_is_hidden(text: bytes) -> None:
    assert hide(b'{"a":"%b"}' % text) is None


def test_a_mark_is_one_that_the_text_does_not_have() -> None:
    hidden = hide('{"a":"\ufdd0","b":"\\uFDD1","c":"'.encode() + HIGH + b'"}')
    assert hidden is not None
    assert hidden.mark == "\ufdd2"


def test_a_text_with_every_mark_in_it_is_left_to_be_refused() -> None:
    every = "".join(map(chr, range(0xFDD0, 0xFDF0))).encode()
    assert hide(b'{"a":"%b"}' % (every + HIGH)) is None


def test_very_large_texts_are_left_to_be_refused() -> None:
    large = b'{"a":"%b%b"}' % (HIGH, b"x" * MAX_BYTES)
    assert hide(large) is None
