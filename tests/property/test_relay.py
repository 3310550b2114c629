"""However a provider's stream is cut on its way, the client gets the same; and never a part that could not be moved."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.app.relay import Relay, StreamFailedError
from edge_service.dialects.exchange import EventKind
from edge_service.dialects.openai_chat.passthrough import EventReader
from edge_service.dialects.stencil import StencilReader
from edge_service.domain.outcome import Disposition
from edge_service.domain.sse import EventSplitter
from tests.support.faulty_upstream import DONE, delta

CORPUS = Path(__file__).parent.parent / "golden" / "sse"

harmless = st.sampled_from(
    [
        b": ping\n\n",
        b"\n",
        b"\r\n",
        b"event: ping\r\n\r\n",
        delta(role="assistant", content=""),
        delta(finish_reason="stop"),
        b'data: {"choices":[],"usage":{"total_tokens":3}}\r\n\r\n',
        b"id: 1\r\r",
    ]
)
content = st.sampled_from(
    [
        delta(content="a"),
        delta(content="é\U0001f600").replace(b"\n", b"\r\n"),
        ('data: {"model":"x","choices":[{"delta":{"content":"' + "日本\U0001f600" + '"}}]}\n\n').encode(),
        delta(reasoning_content="hm"),
        b'data:{"choices":[\rdata:{"delta":{"content":"x"}}]}\r\r',
    ]
)
fatal = st.sampled_from([b'data: {"error":{"message":"no"}}\n\n', b"data: {\n\n", b'data: {"id":"\xff"}\n\n'])
parts = st.lists(harmless | content, max_size=8).map(b"".join)
sound = st.builds(
    lambda before, after: before + DONE + after, parts, st.sampled_from([b"", b"", b": bye\n\n", b"data"])
)
unsound = (
    parts | st.builds(lambda before, what, after: before + what + after, parts, fatal, sound) | st.binary(max_size=40)
)
cuts = st.lists(st.integers(0, 2000), max_size=10)


def pieces(stream: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(stream)) for place in at), len(stream)]
    return [stream[a:b] for a, b in pairwise(places)]


class Walked:
    """A stream that has gone through a relay, until it was complete or failed, as the gateway drives it."""

    def __init__(self, stream: list[bytes]) -> None:
        self.sent: list[bytes] = []
        self.failure: Disposition | None = None
        relay = Relay(StencilReader(EventReader("chat")))
        try:
            for piece in stream:
                ready = relay.feed(piece)
                assert not ready or relay.has_content or relay.complete, "nothing is sent before content"
                assert relay.is_new_content <= relay.has_content
                self.sent.append(ready)
                if relay.complete:
                    break
            self.sent.append(relay.ended())
        except StreamFailedError as error:
            self.failure = error.outcome.disposition
        self.complete = relay.complete
        self.content_events = relay.content_events

    @property
    def bytes(self) -> bytes:
        return b"".join(self.sent)


def byte_by_byte(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def rewritten(stream: bytes) -> list[tuple[EventKind, bytes]]:
    """The events of a sound stream up to its terminal marker, as the client is to get them."""
    read = []
    for event in EventSplitter().feed(stream):
        read.append(EventReader("chat").read(event))
        if read[-1][0] is EventKind.TERMINAL:
            break
    return read


@given(sound, cuts)
@settings(max_examples=200)
def test_a_complete_stream_is_sent_alike_however_it_is_cut(stream: bytes, at: list[int]) -> None:
    read = rewritten(stream)
    expected = b"".join(event for _, event in read)
    for cut in ([stream], pieces(stream, at), byte_by_byte(stream)):
        walked = Walked(cut)
        assert walked.bytes == expected
        assert (walked.failure, walked.complete) == (None, True)
        assert walked.content_events == sum(kind is EventKind.CONTENT for kind, _ in read)


@given(sound)
@settings(max_examples=100)
def test_each_event_is_sent_with_its_last_byte_once_there_is_content(stream: bytes) -> None:
    sent = [piece for piece in Walked(byte_by_byte(stream)).sent if piece]
    read = rewritten(stream)
    first = next((i for i, (kind, _) in enumerate(read) if kind is EventKind.CONTENT), len(read) - 1)
    events = [event for _, event in read]
    assert sent == [b"".join(events[: first + 1]), *events[first + 1 :]]


@given(unsound, cuts)
@settings(max_examples=300)
def test_a_stream_that_fails_does_so_alike_and_is_sent_no_further_than_it_came(stream: bytes, at: list[int]) -> None:
    finest = Walked(byte_by_byte(stream))
    assert finest.failure is not None or finest.complete
    for cut in ([stream], pieces(stream, at)):
        walked = Walked(cut)
        assert walked.failure == finest.failure
        assert finest.bytes.startswith(walked.bytes), "what came in one piece with the failure may be missing"
    if finest.failure is not None:
        assert DONE not in finest.bytes


@given(parts)
@settings(max_examples=100)
def test_without_the_terminal_marker_no_stream_is_complete(stream: bytes) -> None:
    walked = Walked([stream])
    assert walked.failure in (Disposition.EMPTY, Disposition.BROKEN)
    assert not walked.complete


# How each stream of the corpus ends. What is sent of it, with its events arriving one by one, stands beside it.
NASTY: dict[str, Disposition | None] = {
    "split_utf8": None,
    "crlf": None,
    "cr": None,
    "mixed_line_ends": None,
    "comments": None,
    "bom": None,
    "multi_line_data": None,
    "no_space_after_colon": None,
    "two_spaces_after_colon": Disposition.BROKEN,
    "huge_event": None,
    "nul_in_json": Disposition.BROKEN,
    "nul_escaped": None,
    "truncated_json": Disposition.BROKEN,
    "truncated_before_content": Disposition.BROKEN,
    "truncated_after_content": Disposition.BROKEN,
    "truncated_in_the_marker": Disposition.BROKEN,
    "marker_without_blank_line": None,
    "marker_without_line_end": None,
    "marker_with_spaces": None,
    "empty_data": None,
    "surrogate_pair_split": None,
    "marker_within_content": Disposition.BROKEN,
    "marker_twice_and_more": None,
    "invalid_utf8": Disposition.BROKEN,
    "utf8_broken_off_by_the_event": Disposition.BROKEN,
    "surrogate_pair_escaped": None,
    "error_before_content": Disposition.OVERLOADED,
    "error_after_content": Disposition.SERVER_ERROR,
    "no_text_at_all": None,
    "pings_only": Disposition.EMPTY,
    "blank_lines_only": Disposition.EMPTY,
    "empty": Disposition.EMPTY,
    "other_fields": None,
    "blank_lines_everywhere": None,
    "model_everywhere": None,
    "numbers_and_order": None,
    "html_page": Disposition.BROKEN,
    "html_page_with_a_blank_line": Disposition.BROKEN,
    "whole_answer_instead_of_a_stream": Disposition.BROKEN,
    "lf_cr": None,
    "cr_and_crlf_in_one_blank_line": None,
    "bom_before_a_later_event": None,
    "bom_in_the_data": Disposition.BROKEN,
    "half_a_bom": Disposition.BROKEN,
    "utf16": Disposition.BROKEN,
    "huge_comment": None,
    "huge_field_name": None,
    "huge_id": None,
    "data_over_lines": None,
    "nul_in_a_comment": None,
    "nul_in_a_field_name": None,
    "nul_as_a_line": None,
    "nul_in_the_event_name": None,
    "nul_behind_the_data": Disposition.BROKEN,
    "invalid_utf8_in_a_comment": Disposition.BROKEN,
    "invalid_utf8_in_a_field_name": Disposition.BROKEN,
    "overlong_utf8": Disposition.BROKEN,
    "surrogate_as_bytes": Disposition.BROKEN,
    "utf8_beyond_unicode": Disposition.BROKEN,
    "latin1": Disposition.BROKEN,
    "other_line_separators_are_none": None,
    "form_feeds_are_no_line_ends": None,
    "nearly_data": None,
    "tab_after_colon": None,
    "comments_within_an_event": None,
    "colons_only": None,
    "fields_without_colon": None,
    "event_name_error_alone": None,
    "array_as_data": Disposition.BROKEN,
    "string_as_data": Disposition.BROKEN,
    "number_as_data": Disposition.BROKEN,
    "null_as_data": Disposition.BROKEN,
    "two_objects_as_data": Disposition.BROKEN,
    "choices_of_other_kinds": None,
    "nested_deeply": Disposition.BROKEN,
    "nested_deeply_unclosed": Disposition.BROKEN,
    "keys_twice": None,
    "numbers_too_large": None,
    "marker_and_more_in_its_line": None,
    "marker_in_small_letters": Disposition.BROKEN,
    "marker_in_two_lines": None,
    "marker_named_otherwise": None,
    "marker_as_json": Disposition.BROKEN,
    "tool_call_then_cut": Disposition.BROKEN,
    "refusal": None,
    "http_answer_within": None,
    "chunk_sizes_within": None,
    "base64": Disposition.BROKEN,
    "gzip_magic": Disposition.BROKEN,
}


def test_the_corpus_is_complete() -> None:
    assert {path.stem for path in CORPUS.glob("*.txt")} == NASTY.keys()
    assert {path.stem for path in CORPUS.glob("*.sent")} <= NASTY.keys()


@pytest.mark.parametrize(("name", "failure"), NASTY.items(), ids=NASTY)
def test_a_nasty_stream_comes_to_the_same_wherever_it_is_cut(name: str, failure: Disposition | None) -> None:
    stream = (CORPUS / f"{name}.txt").read_bytes()
    kept = CORPUS / f"{name}.sent"
    expected = kept.read_bytes() if kept.exists() else b""
    finest = Walked(byte_by_byte(stream))
    assert (finest.bytes, finest.failure) == (expected, failure)
    step = 1 if len(stream) < 2048 else 997
    for at in range(0, len(stream), step):
        walked = Walked([stream[:at], stream[at:]])
        assert walked.failure == failure
        assert expected.startswith(walked.bytes) if failure else walked.bytes == expected
