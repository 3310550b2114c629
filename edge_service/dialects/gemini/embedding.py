"""Vectors for text: `embedContent` and `batchEmbedContents`, as clients ask for them and as providers answer.

Source: https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from edge_service.dialects.exchange import EmptyAnswerError, InexpressibleError, MalformedAnswerError, Written
from edge_service.dialects.gemini import fields
from edge_service.dialects.gemini.fields import Fields
from edge_service.dialects.gemini.paths import Method
from edge_service.dialects.gemini.provider_request import path
from edge_service.domain.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Embedding:
    """What is asked for."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    task_type: str = ""
    """What the vectors are for, such as RETRIEVAL_DOCUMENT; nobody but Google asks."""
    title: str = ""
    """Of the document."""
    bound: tuple[str, ...] = ()
    """Fields that nobody but Google understands, and that change the vectors."""


def read_request(body: bytes, model: str, *, many: bool) -> Embedding:
    """Raises `InvalidRequestError`."""
    try:
        request = fields.whole(body)
        asked = request.objects("requests") if many else [request]
        if not asked:
            raise InvalidRequestError("'requests' is missing: it holds what to embed", param="requests")
        read = [_read(one, model) for one in asked]
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error
    first = read[0]
    for one, place in zip(read, asked, strict=True):
        if (one.dimensions, one.task_type, one.title) != (first.dimensions, first.task_type, first.title):
            # One request elsewhere is for vectors of one kind.
            return _all(read, (*(b for r in read for b in r.bound), place.path))
    return _all(read, tuple(b for r in read for b in r.bound))


def _all(read: Sequence[Embedding], bound: tuple[str, ...]) -> Embedding:
    first = read[0]
    inputs = tuple(text for one in read for text in one.inputs)
    return Embedding(first.model, inputs, first.dimensions, first.task_type, first.title, bound)


def _read(request: Fields, model: str) -> Embedding:
    request.raw("model")  # As the path has it.
    bound: list[str] = []
    content = request.object("content")
    if content is None:
        raise InvalidRequestError(f"'{request.at('content')}' is missing", param=request.at("content"))
    content.text("role")
    texts: list[str] = []
    for part in content.objects("parts"):
        if part.has("text"):
            texts.append(part.text("text"))
        bound += part.left()
    config = request.object("embedContentConfig") or Fields({}, request.at("embedContentConfig"))
    dimensions = request.integer("outputDimensionality")
    dimensions = config.integer("outputDimensionality") if dimensions is None else dimensions
    task_type = request.word("taskType") or config.word("taskType")
    title = request.text("title") or config.text("title")
    bound += [*request.left(), *config.left(), *content.left()]
    return Embedding(model, ("\n".join(texts),), dimensions, task_type, title, tuple(bound))


def write_request(embedding: Embedding, model: str) -> Written:
    """For a provider: always the method that takes many. Raises `InexpressibleError`."""
    if embedding.bound:
        raise InexpressibleError(embedding.bound)
    name = model if "/" in model else f"models/{model}"
    same: dict[str, Any] = {"model": name}
    if embedding.dimensions is not None:
        same["outputDimensionality"] = embedding.dimensions
    if embedding.task_type:
        same["taskType"] = embedding.task_type
    if embedding.title:
        same["title"] = embedding.title
    requests = [same | {"content": {"parts": [{"text": text}]}} for text in embedding.inputs]
    return Written(path(model, Method.EMBED_MANY), msgspec.json.encode({"requests": requests}))


class _Vector(Struct):
    values: list[float] = []


class _Vectors(Struct):
    embeddings: list[_Vector] | None = None
    embedding: _Vector | None = None


_decoder = msgspec.json.Decoder(_Vectors)


def read_answer(body: bytes) -> list[list[float]]:
    """Of either method. Raises `MalformedAnswerError` or `EmptyAnswerError`."""
    try:
        answer = _decoder.decode(body)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not vectors") from None
    vectors = answer.embeddings or ([answer.embedding] if answer.embedding is not None else [])
    if not vectors:
        raise EmptyAnswerError("no vectors")
    return [vector.values for vector in vectors]


def write_answer(vectors: Sequence[Sequence[float]], *, many: bool) -> bytes:
    if many:
        return msgspec.json.encode({"embeddings": [{"values": vector} for vector in vectors]})
    return msgspec.json.encode({"embedding": {"values": vectors[0]}})
