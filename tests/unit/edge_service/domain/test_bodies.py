from __future__ import annotations

from edge_service.domain.bodies import Pieces


def test_pieces_are_what_they_are_together() -> None:
    body = Pieces(b"ab", memoryview(b"xcdex")[1:4], b"")
    assert (len(body), bytes(body)) == (5, b"abcde")


def test_a_body_of_nothing_is_none() -> None:
    assert not Pieces(b"", b"")
