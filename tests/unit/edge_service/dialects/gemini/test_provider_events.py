from __future__ import annotations

import pytest

from edge_service.dialects.canonical import (
    Ended,
    Event,
    Family,
    Finish,
    Finished,
    Media,
    MediaDelta,
    MediaKind,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageSeen,
)
from edge_service.dialects.exchange import MalformedAnswerError, ReportedError
from edge_service.dialects.gemini import PROVIDER


def chunk(text: str, index: int | None = 0, reason: str = "") -> bytes:
    rest = (f',"index":{index}' if index is not None else "") + (f',"finishReason":"{reason}"' if reason else "")
    return f'data: {{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}{rest}}}]}}\n\n'.encode()


def read(*events: bytes, candidates: int = 1) -> list[Event]:
    reader = PROVIDER.events(candidates)
    return [event for sent in events for event in reader.read(sent)]


def test_an_answer_without_a_reason_to_end_is_not_complete() -> None:
    assert read(chunk("a"), chunk("b", reason="FINISH_REASON_UNSPECIFIED")) == [
        Started(""),
        TextDelta("a"),
        TextDelta("b"),
    ]


def test_everything_in_one_chunk() -> None:
    event = chunk("a", None, "STOP").removesuffix(b"}\n\n") + b',"usageMetadata":{"promptTokenCount":1}}\n\n'
    assert read(event) == [
        Started("", usage=Usage(1)),
        TextDelta("a"),
        Finished(Finish.STOP),
        UsageSeen(Usage(1)),
        Ended(),
    ]


def test_the_answer_ends_when_every_candidate_has() -> None:
    first, second = chunk("a", 0, "STOP"), chunk("b", 1, "MAX_TOKENS")
    assert read(first, candidates=2)[-1] == Finished(Finish.STOP)
    assert read(first, second, candidates=2)[-2:] == [Finished(Finish.LENGTH, choice=1), Ended()]
    # Nobody has said that there would be two, but the other one has begun.
    assert read(chunk("x", 1), first)[-1] == Finished(Finish.STOP)


def test_calls_are_numbered_by_candidate() -> None:
    call = b'{"functionCall":{"name":"f"}}'
    event = b'data: {"candidates":[{"content":{"parts":[%s,%s]}},{"content":{"parts":[%s]},"index":1}]}\n\n'
    started = [event for event in read(event % (call, call, call)) if isinstance(event, ToolCallStarted)]
    assert [(call.choice, call.index, call.id) for call in started] == [
        (0, 0, "call_0"),
        (0, 1, "call_1"),
        (1, 0, "call_2"),
    ]


@pytest.mark.parametrize("event", [b": ping\n\n", b"event: x\n\n"])
def test_what_has_no_data_says_nothing(event: bytes) -> None:
    assert read(event) == []


@pytest.mark.parametrize("data", [b"", b"[DONE]", b"[]", b"{", b'{"candidates":[{"content":7}]}', b'{"a":"\xff"}'])
def test_what_is_no_chunk(data: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read(b"data: " + data + b"\n\n")


def test_a_failure_that_is_reported() -> None:
    with pytest.raises(ReportedError):
        read(chunk("a"), b'data: {"error":{"code":500}}\n\n')


def test_a_call_that_the_model_got_wrong() -> None:
    failed = b'data: {"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}\n\n'
    with pytest.raises(ReportedError):
        read(failed)
    # What has been said cannot be taken back.
    assert read(chunk("a"), failed)[-2:] == [Finished(Finish.FILTERED), Ended()]


def test_parts_of_other_kinds() -> None:
    parts = (
        b'{"text":"a","thoughtSignature":"QQ=="}',
        b'{"text":"b","thought":true,"thoughtSignature":"Qg=="}',
        b'{"inlineData":{"mimeType":"image/png","data":"QUJD"}}',
        b'{"functionCall":{"name":"f"},"thoughtSignature":"Qw=="}',
        b'{"text":""}',
    )
    assert read(b'data: {"candidates":[{"content":{"parts":[%s]}}]}\n\n' % b",".join(parts)) == [
        Started(""),
        TextDelta("a"),
        ThinkingDelta(signature="QQ==", family=Family.GEMINI),
        ThinkingDelta("b", "Qg==", family=Family.GEMINI),
        MediaDelta(Media(MediaKind.IMAGE, "image/png", data="QUJD")),
        ToolCallStarted(0, "call_0", "f", "Qw=="),
        ToolCallDelta(0, "{}"),
    ]


def test_a_prompt_that_is_refused_ends_the_answer_if_there_is_none() -> None:
    blocked = b'"promptFeedback":{"blockReason":"SAFETY"}'
    assert read(b"data: {%s}\n\n" % blocked) == [Started(""), Finished(Finish.FILTERED), Ended()]
    assert read(b'data: {%s,"candidates":[{"content":{}}]}\n\n' % blocked) == [Started("")]
    assert read(b'data: {"promptFeedback":{}}\n\n') == [Started("")]
