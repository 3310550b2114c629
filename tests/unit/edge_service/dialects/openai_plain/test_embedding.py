from __future__ import annotations

import base64
import json
import struct
from typing import Any

import msgspec
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.embedding_create_params import EmbeddingCreateParams
from pydantic import TypeAdapter

from edge_service.dialects.embedding import Embedding, Vectors
from edge_service.dialects.exchange import EmptyAnswerError, InexpressibleError, MalformedAnswerError, ReportedError
from edge_service.dialects.openai_plain import embedding
from edge_service.domain.errors import InvalidRequestError


def read(**fields: Any) -> Embedding:
    return embedding.read_request(json.dumps({"model": "e", **fields}).encode(), "e")


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"input": "a"}, Embedding("e", ("a",))),
        ({"input": ["a", "b"], "dimensions": None, "x": None}, Embedding("e", ("a", "b"))),
        (
            {"input": "a", "dimensions": 64, "encoding_format": "base64", "user": "me"},
            Embedding("e", ("a",), 64, packed=True, unsaid=("user",)),
        ),
        ({"input": "a", "encoding_format": "float"}, Embedding("e", ("a",))),
        ({"input": [1, 2]}, Embedding("e", (), bound=("input",))),
        ({"input": [[1], [2]]}, Embedding("e", (), bound=("input",))),
        ({"input": "a", "encoding_format": "int8"}, Embedding("e", ("a",), bound=("encoding_format",))),
        ({"input": "a", "input_type": "query", "ä\n": 1}, Embedding("e", ("a",), bound=("input_type", "?"))),
    ],
)
def test_requests(fields: dict[str, Any], asked: Embedding) -> None:
    assert read(**fields) == asked


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [[1], ["a"]]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": "a", "dimensions": "64"}, "dimensions"),
        ({"input": "a", "dimensions": 1.5}, "dimensions"),
        ({"input": "a", "encoding_format": 7}, "encoding_format"),
    ],
)
def test_requests_that_are_none(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read(**fields)
    assert raised.value.param == param


def test_a_request_for_a_provider() -> None:
    written = embedding.write_request(Embedding("e", ("a", "b"), 64, "RETRIEVAL_QUERY", "t", True, ("user",)), "up")
    assert (written.path, written.dropped) == ("/embeddings", ("user", "task_type", "title"))
    assert msgspec.json.decode(written.body) == {"model": "up", "input": ["a", "b"], "dimensions": 64}
    TypeAdapter(EmbeddingCreateParams).validate_json(written.body)
    one = embedding.write_request(Embedding("e", ("a",)), "up")
    assert one.body == b'{"model":"up","input":"a"}'
    with pytest.raises(InexpressibleError, match="content"):
        embedding.write_request(Embedding("e", ("",), bound=("content.parts[0].inlineData",)), "up")


def test_an_answer_for_a_client() -> None:
    answer = embedding.write_answer(Vectors([[0.5, 1], [2.0]], tokens=3), read(input=["a", "b"]))
    told = CreateEmbeddingResponse.model_validate_json(answer, strict=True)
    assert [(vector.index, vector.embedding) for vector in told.data] == [(0, [0.5, 1]), (1, [2.0])]
    assert (told.model, told.usage.prompt_tokens, told.usage.total_tokens) == ("e", 3, 3)
    unknown = embedding.write_answer(Vectors([[0.5]]), read(input="a"))
    assert CreateEmbeddingResponse.model_validate_json(unknown).usage.total_tokens == 0


def test_packed_numbers() -> None:
    vector = [0.1, -2.5, 0.0, 1e39]
    answer = embedding.write_answer(Vectors([vector]), read(input="a", encoding_format="base64"))
    packed = base64.b64decode(json.loads(answer)["data"][0]["embedding"])
    assert struct.unpack("<4f", packed) == (pytest.approx(0.1, rel=1e-6), -2.5, 0.0, float("inf"))


def test_an_answer_of_a_provider() -> None:
    body = (
        b'{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":5},"model":"up"}'
    )
    assert embedding.read_answer(body) == Vectors([[1.0], [2.0]], 5)
    assert embedding.read_answer(b'{"data":[{"embedding":[2]},{"embedding":[1]}]}') == Vectors([[2.0], [1.0]])
    for empty in (b"{}", b'{"data":[]}', b'{"data":null}'):
        with pytest.raises(EmptyAnswerError):
            embedding.read_answer(empty)
    for malformed in (b"", b"[]", b'{"data":[{}]}', b'{"data":[{"embedding":"AAAA"}]}'):
        with pytest.raises(MalformedAnswerError):
            embedding.read_answer(malformed)
    with pytest.raises(ReportedError):
        embedding.read_answer(b'{"error":{},"data":[]}')
