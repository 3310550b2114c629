from __future__ import annotations

import pytest

from edge_service.dialects.canonical import Choice, Family, Finish, Media, MediaKind, Text, Thinking, ToolCall, Usage
from edge_service.dialects.exchange import EmptyAnswerError, MalformedAnswerError, ReportedError
from edge_service.dialects.gemini import PROVIDER, usage, wire, words

CALL = b'{"functionCall":{"name":"f","args":{"a":1}}}'


def answer(parts: bytes, rest: bytes = b"") -> bytes:
    return b'{"candidates":[{"content":{"parts":[%s]}%s}]}' % (parts, rest)


@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b'{"candidates":null}', b'{"promptFeedback":{}}'])
def test_an_answer_with_nothing_in_it(body: bytes) -> None:
    with pytest.raises(EmptyAnswerError):
        PROVIDER.read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"[]",
        b'"candidates"',
        b'{"candidates":{}}',
        b'{"candidates":[7]}',
        b'{"a":' * 100_000,
        b'{"a":"\xff"}',
        answer(b'{"text":7}'),
        answer(b'{"functionCall":{}}'),
        answer(b'{"functionCall":{"name":"f","args":[]}}'),
        answer(b'{"functionCall":{"name":"f","args":{"a":"\xff"}}}'),
        answer(b"", b',"finishReason":7'),
    ],
    ids=lambda value: repr(value[:60]),
)
def test_an_answer_of_another_kind(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        PROVIDER.read(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"code":503}}',
        b'[{"error":{"code":503}}]',
        b'{"error":"no"}',
        answer(b"", b',"finishReason":"MALFORMED_FUNCTION_CALL"'),
    ],
)
def test_a_failure_that_is_reported(body: bytes) -> None:
    with pytest.raises(ReportedError):
        PROVIDER.read(body)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.FILTERED),
        ("OTHER", Finish.FILTERED),
        ("MALFORMED_FUNCTION_CALL", Finish.FILTERED),
        ("SOMETHING_NEW", Finish.FILTERED),
        ("FINISH_REASON_UNSPECIFIED", Finish.STOP),
    ],
)
def test_why_it_ends(reason: str, finish: Finish) -> None:
    rest = b',"finishReason":"%s"' % reason.encode()
    assert PROVIDER.read(answer(b'{"text":"a"}', rest)).choices == (Choice((Text("a"),), finish),)
    with_call = Finish.TOOL_CALLS if finish is Finish.STOP else finish
    assert PROVIDER.read(answer(CALL, rest)).choices[0].finish is with_call


def test_every_reason_that_google_publishes_is_known() -> None:
    from google.genai import types

    assert {reason.value for reason in types.FinishReason} - {"FINISH_REASON_UNSPECIFIED"} == (
        words.FINISHES.keys() | words.FAILURES
    )


@pytest.mark.parametrize(
    ("response_id", "ids"),
    [
        (b'"mAitaLmkHPPlz7IPvtfUqQ4"', ["call_mAitaLmkHPPlz7IPvtfUqQ4_0", "x", "call_mAitaLmkHPPlz7IPvtfUqQ4_1"]),
        (b'"with blanks"', ["call_0", "x", "call_1"]),
        (b'"%s"' % (b"a" * 100), ["call_0", "x", "call_1"]),
        (b"null", ["call_0", "x", "call_1"]),
    ],
)
def test_calls_without_an_id_get_one_that_no_other_answer_has(response_id: bytes, ids: list[str]) -> None:
    own = b'{"functionCall":{"id":"x","name":"g"}}'
    body = answer(b",".join([CALL, own, CALL]))[:-1] + b',"responseId":%s}' % response_id
    assert [part.id for part in PROVIDER.read(body).choices[0].parts if isinstance(part, ToolCall)] == ids


def test_usage_there_and_back() -> None:
    counted = wire.Usage(
        prompt_token_count=100,
        cached_content_token_count=40,
        candidates_token_count=20,
        thoughts_token_count=30,
        tool_use_prompt_token_count=5,
    )
    canonical = Usage(105, 50, 40, 0, 30)
    assert usage.read(counted) == canonical
    assert usage.write(canonical) == {
        "promptTokenCount": 105,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 155,
    }
    assert usage.read(wire.Usage()) == Usage()


def test_answers_stand_in_their_order() -> None:
    body = b'{"candidates":[%s,%s,{"index":0,"content":{"parts":[{"text":"0"}]}}]}'
    one, two = (b'{"index":%d,"content":{"parts":[{"text":"%d"}]}}' % (i, i) for i in (1, 2))
    assert [choice.parts for choice in PROVIDER.read(body % (two, one)).choices] == [
        (Text("0"),),
        (Text("1"),),
        (Text("2"),),
    ]
    unnumbered = body % (two, b'{"content":{"parts":[{"text":"-"}]}}')
    assert [choice.parts for choice in PROVIDER.read(unnumbered).choices] == [
        (Text("2"),),
        (Text("-"),),
        (Text("0"),),
    ]


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (b'{"inlineData":{"data":"QQ=="}}', Media(MediaKind.FILE, data="QQ==")),
        (b'{"inlineData":{"mimeType":"image/png","data":""}}', None),
        (
            b'{"fileData":{"mimeType":"video/mp4","fileUri":"files/x"}}',
            Media(MediaKind.VIDEO, "video/mp4", file_id="files/x", family=Family.GEMINI),
        ),
        (b'{"fileData":{"fileUri":"files/x"}}', Media(MediaKind.FILE, file_id="files/x", family=Family.GEMINI)),
        (b'{"fileData":{"fileUri":""}}', None),
    ],
)
def test_media(part: bytes, media: Media | None) -> None:
    assert PROVIDER.read(answer(part)).choices[0].parts == (() if media is None else (media,))


def test_text_and_a_signature_in_one_part() -> None:
    parts = PROVIDER.read(
        answer(b'{"text":"a","thoughtSignature":"QQ=="},{"text":"","thoughtSignature":null}')
    ).choices[0]
    assert parts.parts == (Text("a"), Thinking(signature="QQ==", family=Family.GEMINI))


def test_an_array_without_an_error_is_no_report() -> None:
    for body in (b' [{"error":{"code":429}}]', b'[{},{"error":{"code":429}}]'):
        with pytest.raises(ReportedError):
            PROVIDER.read(body)
    for body in (b'[{"error":null}]', b"[{}", b'"[{}]"'):
        with pytest.raises(MalformedAnswerError):
            PROVIDER.read(body)
