"""Vectors for text: `embedContent` and `batchEmbedContents`, as clients ask for them and as providers answer.

Source: https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from edge_service.dialects import needing
from edge_service.dialects.embedding import Embedding, Vectors
from edge_service.dialects.exchange import (
    EmptyAnswerError,
    InexpressibleError,
    MalformedAnswerError,
    ReportedError,
    Whole,
    Written,
)
from edge_service.dialects.gemini import fields
from edge_service.dialects.gemini.fields import Fields
from edge_service.dialects.gemini.paths import Method
from edge_service.dialects.gemini.provider_request import path
from edge_service.dialects.values import NULL, first_byte, is_null
from edge_service.domain.errors import InvalidRequestError
from edge_service.domain.needs import Capability, Needs


def check(body: bytes, *, many: bool) -> Needs:
    """Whether there is anything to embed, and what that needs. Raises `InvalidRequestError`."""
    name = "requests" if many else "content"
    try:
        raw = fields.whole(body).raw(name)
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error
    if raw is None:
        raise InvalidRequestError(f"'{name}' is missing: it holds what to embed", param=name)
    # Each has the model's context to itself.
    each = (needing.decoded(_list, raw) if many else None) or (raw,)
    return Needs((Capability.EMBEDDINGS,), max(needing.tokens(bytes(one)) for one in each))


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
    return Embedding(first.model, inputs, first.dimensions, first.task_type, first.title, bound=bound)


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
    return Embedding(model, ("\n".join(texts),), dimensions, task_type, title, bound=tuple(bound))


def write_request(embedding: Embedding, model: str) -> Written:
    """A provider's request, always by the method that takes many. Raises `InexpressibleError`."""
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
    body = msgspec.json.encode({"requests": requests})
    return Written(path(model, Method.EMBED_MANY), body, dropped=embedding.unsaid)


class _Vector(Struct):
    values: list[float] = []


class _Usage(Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Vectors(Struct, rename="camel"):
    embeddings: list[_Vector] | None = None
    embedding: _Vector | None = None
    usage_metadata: _Usage | None = None
    error: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(_Vectors)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])


def read_answer(body: bytes) -> Vectors:
    """Reads the answer of either method. Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""
    try:
        answer = _decoder.decode(body)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not vectors") from None
    if not is_null(answer.error):
        raise ReportedError("the provider reported an error")
    vectors = answer.embeddings or ([answer.embedding] if answer.embedding is not None else [])
    if not vectors:
        raise EmptyAnswerError("no vectors")
    usage = answer.usage_metadata
    return Vectors([vector.values for vector in vectors], usage.prompt_token_count if usage is not None else None)


def write_answer(vectors: Vectors, *, many: bool) -> bytes:
    values = [{"values": vector} for vector in vectors.values]
    answer: dict[str, Any] = {"embeddings": values} if many else {"embedding": values[0]}
    if vectors.tokens is not None:
        answer["usageMetadata"] = {"promptTokenCount": vectors.tokens, "totalTokenCount": vectors.tokens}
    return msgspec.json.encode(answer)


def pass_on(body: bytes, model: str, *, many: bool) -> Written:
    """A client's request for a provider that calls the model by this name, which stands in the body again."""
    name = msgspec.Raw(msgspec.json.encode(model if "/" in model else f"models/{model}"))
    try:
        request = _object.decode(body)
        if not many:
            body = msgspec.json.encode({**request, "model": name})
        elif first_byte(request.get("requests", NULL)) == b"[":
            each = [{**_object.decode(one), "model": name} for one in _list.decode(request["requests"])]
            body = msgspec.json.encode({**request, "requests": each})
    except (ValueError, RecursionError):
        raise InvalidRequestError("'requests' must be an array of objects", param="requests") from None
    return Written(path(model, Method.EMBED_MANY if many else Method.EMBED), body)


def whole(body: bytes) -> Whole:
    """A provider's whole answer as it came: no name of a model stands in it. Raises as `read_answer` does."""
    return Whole(body, read_answer(body).usage)
