"""The other methods: counting and vectors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from google.genai import types

from edge_service.dialects.canonical import Role
from edge_service.dialects.embedding import Embedding, Vectors
from edge_service.dialects.exchange import EmptyAnswerError, InexpressibleError, MalformedAnswerError, ReportedError
from edge_service.dialects.gemini import counting, embedding, paths
from edge_service.dialects.gemini.paths import Called, Method
from edge_service.domain.errors import InvalidRequestError
from tests.support import gemini_types


@pytest.mark.parametrize(
    ("behind", "called"),
    [
        ("chat:generateContent", Called("chat", Method.GENERATE)),
        ("qwen2:7b(high):streamGenerateContent", Called("qwen2:7b(high)", Method.STREAM)),
        ("chat:countTokens", Called("chat", Method.COUNT)),
        (":embedContent", Called("", Method.EMBED)),
        ("chat:predict", None),
        ("chat", None),
        ("generateContent", None),
        ("", None),
    ],
)
def test_paths(behind: str, called: Called | None) -> None:
    assert paths.read(behind) == called


def test_a_count_of_contents_and_of_a_whole_request() -> None:
    contents = counting.read_request(b'{"contents":[{"parts":[{"text":"a"}]}]}', "chat")
    assert (contents.model, contents.stream, len(contents.messages)) == ("chat", False, 1)
    whole = counting.read_request(
        b'{"generateContentRequest":{"model":"models/x","contents":{"parts":{"text":"a"}},'
        b'"systemInstruction":{"parts":{"text":"b"}}}}',
        "chat",
    )
    assert [message.role for message in whole.messages] == [Role.SYSTEM, Role.USER]
    written = counting.write_request(whole, "gemini-2.5-pro")
    assert written.path == "/v1beta/models/gemini-2.5-pro:countTokens"
    sent = msgspec.json.decode(written.body)["generateContentRequest"]
    assert sent["model"] == "models/gemini-2.5-pro"
    gemini_types.request(msgspec.json.encode(sent))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "contents"),
        (b'{"generateContentRequest":{}}', "generateContentRequest.contents"),
        (b'{"generateContentRequest":7}', "generateContentRequest"),
        (b'{"generateContentRequest":{},"contents":[]}', "generateContentRequest"),
        (b'{"generateContentRequest":{"contents":{"role":"x"}}}', "generateContentRequest.contents.role"),
    ],
)
def test_what_cannot_be_counted(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        counting.read_request(body, "chat")
    assert raised.value.param == param


def test_the_answer_to_a_count() -> None:
    assert types.CountTokensResponse.model_validate_json(counting.write_answer(7)).total_tokens == 7
    assert counting.read_answer(b'{"totalTokens":7,"promptTokensDetails":[]}') == 7
    assert counting.read_answer(b"{}") == 0
    for body in (b"", b"[]", b'{"totalTokens":-1}', b'{"totalTokens":"7"}', b'{"error":{"code":500}}'):
        with pytest.raises(MalformedAnswerError):
            counting.read_answer(body)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{ "contents":[] }', b'{ "contents":[] }'),
        (
            b'{"generateContentRequest":{"model":"models/chat","contents":[ 1.00 ]}}',
            b'{"generateContentRequest":{"model":"models/up","contents":[ 1.00 ]}}',
        ),
        (
            b'{"generate_content_request":{"contents":[]}}',
            b'{"generate_content_request":{"contents":[],"model":"models/up"}}',
        ),
    ],
)
def test_a_count_that_is_passed_on(body: bytes, sent: bytes) -> None:
    assert counting.pass_on(body, "up").body == sent
    with pytest.raises(InvalidRequestError):
        counting.pass_on(b"[]", "up")


def test_vectors_for_one_and_for_many() -> None:
    one = embedding.read_request(
        b'{"model":"models/x","content":{"parts":[{"text":"a"},{"text":"b"}]}}', "e", many=False
    )
    assert one == Embedding("e", ("a\nb",))
    many = embedding.read_request(
        b'{"requests":[{"model":"models/x","content":{"parts":{"text":"a"}},"outputDimensionality":64,"task_type":"retrieval_query"},'
        b'{"content":{"parts":{"text":"b"}},"output_dimensionality":64,"taskType":"RETRIEVAL_QUERY"}]}',
        "e",
        many=True,
    )
    assert many == Embedding("e", ("a", "b"), 64, "RETRIEVAL_QUERY")
    written = embedding.write_request(many, "gemini-embedding-001")
    assert written.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    first: Any = msgspec.json.decode(written.body)["requests"][0]
    assert first == {
        "model": "models/gemini-embedding-001",
        "outputDimensionality": 64,
        "taskType": "RETRIEVAL_QUERY",
        "content": {"parts": [{"text": "a"}]},
    }


@pytest.mark.parametrize(
    ("body", "many", "param"),
    [
        (b"{}", False, "content"),
        (b"{}", True, "requests"),
        (b'{"requests":[{}]}', True, "requests[0].content"),
        (b'{"content":{"parts":[{"text":7}]}}', False, "content.parts[0].text"),
    ],
)
def test_vectors_for_nothing(body: bytes, many: bool, param: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        embedding.read_request(body, "e", many=many)
    assert raised.value.param == param


def test_vectors_of_what_nobody_else_understands() -> None:
    image = embedding.read_request(b'{"content":{"parts":[{"inlineData":{}}]}}', "e", many=False)
    assert image.bound == ("content.parts[0].inlineData",)
    with pytest.raises(InexpressibleError):
        embedding.write_request(image, "e")
    mixed = b'{"requests":[{"content":{}},{"content":{},"outputDimensionality":1}]}'
    assert embedding.read_request(mixed, "e", many=True).bound == ("requests[1]",)


def test_the_answer_with_vectors() -> None:
    assert embedding.read_answer(b'{"embeddings":[{"values":[1,2.5]},{"values":[]}]}') == Vectors([[1.0, 2.5], []])
    assert embedding.read_answer(embedding.write_answer(Vectors([[0.5]]), many=False)) == Vectors([[0.5]])
    answer = embedding.write_answer(Vectors([[0.5], [1.5]], tokens=7), many=True)
    assert types.EmbedContentResponse.model_validate_json(answer).embeddings is not None
    assert embedding.read_answer(answer).tokens == 7
    assert embedding.whole(answer + b"  ").body == answer + b"  "
    for body in (b"{}", b'{"embeddings":[]}', b'{"embeddings":null}'):
        with pytest.raises(EmptyAnswerError):
            embedding.read_answer(body)
    for body in (b"", b"[]", b'{"embeddings":7}', b'{"embeddings":[{"values":["x"]}]}'):
        with pytest.raises(MalformedAnswerError):
            embedding.whole(body)
    with pytest.raises(ReportedError):
        embedding.whole(b'{"error":{"code":500}}')


def test_vectors_that_are_asked_for_again() -> None:
    one = embedding.pass_on(b'{"model":"models/e","x":[ 1.00 ]}', "up", many=False)
    assert (one.path, one.body) == ("/v1beta/models/up:embedContent", b'{"model":"models/up","x":[ 1.00 ]}')
    many = embedding.pass_on(
        b'{"x":null,"requests":[{"content":{ }},{"model":"models/e"}]}', "tunedModels/up", many=True
    )
    assert many.path == "/v1beta/tunedModels/up:batchEmbedContents"
    assert many.body == (b'{"x":null,"requests":[{"content":{ },"model":"tunedModels/up"},{"model":"tunedModels/up"}]}')
    with pytest.raises(InvalidRequestError):
        embedding.pass_on(b'{"requests":[7]}', "up", many=True)


@pytest.mark.parametrize(
    ("body", "many", "param"),
    [
        (b"{}", True, "requests"),
        (b'{"requests":null}', True, "requests"),
        (b"{}", False, "content"),
        (b"[]", False, None),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", False, None),
    ],
)
def test_nothing_to_embed(body: bytes, many: bool, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        embedding.check(body, many=many)
    assert raised.value.param == param


def test_what_a_vector_is_for_may_stand_in_a_config() -> None:
    config = b'"embedContentConfig":{"outputDimensionality":8,"taskType":"clustering","title":"t"}'
    body = b'{"content":{"role":"user","parts":[{"text":"a"}]}'
    read = embedding.read_request(body + b"," + config + b"}", "e", many=False)
    assert read == Embedding("e", ("a",), 8, "CLUSTERING", "t")
    own = b',"outputDimensionality":9,"taskType":"SEMANTIC_SIMILARITY","title":"u"}'
    read = embedding.read_request(body + own, "e", many=False)
    assert read == Embedding("e", ("a",), 9, "SEMANTIC_SIMILARITY", "u")
    sent: Any = msgspec.json.decode(embedding.write_request(read, "tunedModels/x").body)["requests"][0]
    assert (sent["model"], sent["title"]) == ("tunedModels/x", "u")
    bare: Any = msgspec.json.decode(embedding.write_request(Embedding("e", ("a",)), "m").body)["requests"][0]
    assert bare == {"model": "models/m", "content": {"parts": [{"text": "a"}]}}


def test_what_else_a_vector_is_asked_for_with_binds() -> None:
    body = b'{"content":{"parts":[{"text":"a"}],"new":1},"embedContentConfig":{"new":1},"new":1}'
    read = embedding.read_request(body, "e", many=False)
    assert read.bound == ("new", "embedContentConfig.new", "content.new")


def test_usage_is_told_where_it_is_known() -> None:
    assert b"usageMetadata" not in embedding.write_answer(Vectors([[0.5]]), many=False)
    answer: Any = msgspec.json.decode(embedding.write_answer(Vectors([[0.5]], tokens=0), many=False))
    assert answer == {
        "embedding": {"values": [0.5]},
        "usageMetadata": {"promptTokenCount": 0, "totalTokenCount": 0},
    }
