from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.domain.decoding import STEP_BYTES, Decoder, DecodingError


def two_members(content: bytes) -> bytes:
    middle = len(content) // 2
    return gzip.compress(content[:middle]) + gzip.compress(content[middle:])


ENCODINGS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"gzip", gzip.compress),
    (b"x-gzip", gzip.compress),
    (b" GZip", gzip.compress),
    (b"gzip", two_members),
    (b"deflate", zlib.compress),
]


def unpacked(encoding: bytes, *parts: bytes) -> bytes:
    decoder = Decoder(encoding)
    content = b"".join(piece for part in parts for piece in decoder.feed(part))
    decoder.end()
    return content


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS)
@given(content=st.binary(max_size=2000) | st.integers(0, 300_000).map(bytes), cut=st.integers(1, 64))
def test_whatever_the_pieces_the_content_is_the_same(
    encoding: bytes, pack: Callable[[bytes], bytes], content: bytes, cut: int
) -> None:
    packed = pack(content)
    size = max(cut, len(packed) // 50)
    parts = [packed[i : i + size] for i in range(0, len(packed), size)]
    assert unpacked(encoding, *parts) == content


@pytest.mark.parametrize(("encoding", "window"), [(b"gzip", 16 + zlib.MAX_WBITS), (b"deflate", zlib.MAX_WBITS)])
def test_what_has_arrived_is_unpacked_at_once(encoding: bytes, window: int) -> None:
    packer = zlib.compressobj(wbits=window)
    decoder = Decoder(encoding)
    for event in (b"data: one\n\n", b"data: two\n\n"):
        packed = packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(decoder.feed(packed)) == event


@pytest.mark.parametrize(("encoding", "pack"), ENCODINGS)
def test_no_step_is_larger_than_can_be_taken(encoding: bytes, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(50_000_000))
    assert len(bomb) < 200_000
    steps = Decoder(encoding).feed(bomb)
    assert all(len(next(steps)) <= STEP_BYTES for _ in range(100))


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"compress", b"", b"gzip, gzip", b"identity, gzip", b"x"])
def test_another_encoding_is_refused(encoding: bytes) -> None:
    with pytest.raises(DecodingError, match="not asked for"):
        Decoder(encoding)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        (b"gzip", b"{}"),
        (b"gzip", gzip.compress(b"x" * 100, mtime=0)[:-9]),
        (b"gzip", gzip.compress(b"x" * 100, mtime=0)[:-1]),
        (b"gzip", gzip.compress(b"x" * 100, mtime=0)[:-8] + b"\0" * 8),
        (b"gzip", gzip.compress(b"x", mtime=0) + b"trailing garbage"),
        (b"deflate", b"\xff\xff\xff"),
        (b"deflate", zlib.compress(b"x" * 100)[:-1]),
        (b"deflate", zlib.compress(b"x" * 100)[:-4] + b"\0" * 4),
    ],
)
def test_content_that_is_cut_or_malformed_is_refused(encoding: bytes, content: bytes) -> None:
    with pytest.raises(DecodingError):
        unpacked(encoding, content)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_nothing_at_all_unpacks_to_nothing(encoding: bytes) -> None:
    assert unpacked(encoding) == b""
