from __future__ import annotations

import pytest

from edge_service.app.byte_relay import ByteRelay
from edge_service.app.relay import StreamFailedError
from edge_service.domain.outcome import Disposition


def test_every_byte_is_content_and_goes_on_as_it_comes() -> None:
    it = ByteRelay()
    assert (it.feed(b""), it.has_content, it.is_new_content) == (b"", False, False)
    assert (it.feed(b"\x00\r\n"), it.has_content, it.is_new_content) == (b"\x00\r\n", True, True)
    assert (it.feed(b""), it.has_content, it.is_new_content, it.rest()) == (b"", True, False, b"")
    assert not it.complete
    assert (it.ended(), it.complete) == (b"", True)


def test_nothing_is_no_stream() -> None:
    it = ByteRelay()
    it.feed(b"")
    with pytest.raises(StreamFailedError) as raised:
        it.ended()
    assert raised.value.outcome.disposition is Disposition.EMPTY
    assert not it.complete
