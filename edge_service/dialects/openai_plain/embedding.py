"""Vectors for text, as clients ask for them and as providers answer.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from edge_service.dialects.embedding import Embedding, Vectors
from edge_service.dialects.exchange import (
    EmptyAnswerError,
    InexpressibleError,
    MalformedAnswerError,
    ReportedError,
    Written,
)
from edge_service.dialects.openai_chat.wire import NULL, decode_object, encode
from edge_service.domain.errors import InvalidRequestError

PATH = "/embeddings"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
"""Names that may be told: what is left out stands in a header."""
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_FORMATS: Mapping[str | None, bool] = MappingProxyType({None: False, "float": False, "base64": True})
_FLOAT32 = "f"

_input = msgspec.json.Decoder(str | list[Any])
_integer = msgspec.json.Decoder(int | None)
_string = msgspec.json.Decoder(str | None)


def read_request(body: bytes, model: str) -> Embedding:
    """What a client asks for, of which the model has been read before. Raises `InvalidRequestError`."""
    try:
        fields = {name: raw for name, raw in decode_object(body).items() if bytes(raw) != b"null"}
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"the body is not valid UTF-8 (byte {error.start})") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not a JSON object: {error}") from None
    if "input" not in fields:
        raise InvalidRequestError("'input' is missing: it holds what to embed", param="input")
    inputs = _typed(_input, fields, "input", "a string or an array")
    if not inputs:
        raise InvalidRequestError("'input' is empty: it holds what to embed", param="input")
    bound = [name if _NAME.match(name) else "?" for name in fields if name not in _KNOWN]
    texts = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    if not all(isinstance(text, str) for text in texts):
        if any(isinstance(text, str) or not _is_tokens(text) for text in texts):
            raise InvalidRequestError("'input' must be a string or an array of strings, or of tokens", param="input")
        texts, bound = (), ["input", *bound]  # Only who made the tokens knows what they stand for.
    packing = _typed(_string, fields, "encoding_format", "a string")
    if packing not in _FORMATS:
        bound.append("encoding_format")
    return Embedding(
        model,
        texts,
        _typed(_integer, fields, "dimensions", "an integer"),
        packed=_FORMATS.get(packing, False),
        unsaid=("user",) if "user" in fields else (),
        bound=tuple(bound),
    )


def _is_tokens(value: object) -> bool:
    return type(value) is int or (isinstance(value, list) and all(type(token) is int for token in value))


def _typed(decoder: msgspec.json.Decoder[Any], fields: dict[str, msgspec.Raw], name: str, kind: str) -> Any:
    try:
        return decoder.decode(fields.get(name, NULL))
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequestError(f"'{name}' must be {kind}", param=name) from None


def write_answer(vectors: Vectors, embedding: Embedding) -> bytes:
    """For a client, under the name that it asked for."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if embedding.packed else vector}
        for index, vector in enumerate(vectors.values)
    ]
    tokens = vectors.tokens or 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode({"object": "list", "data": data, "model": embedding.model, "usage": usage})


def _packed(vector: Sequence[float]) -> str:
    """Base64 of 32-bit numbers, the lowest byte first: https://github.com/openai/openai-python reads them so."""
    numbers = array(_FLOAT32, vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def write_request(embedding: Embedding, model: str) -> Written:
    """For a provider. Raises `InexpressibleError`."""
    if embedding.bound:
        raise InexpressibleError(embedding.bound)
    inputs = embedding.inputs if len(embedding.inputs) > 1 else embedding.inputs[0]
    body: dict[str, Any] = {"model": model, "input": inputs}
    if embedding.dimensions is not None:
        body["dimensions"] = embedding.dimensions
    hints = {"task_type": embedding.task_type, "title": embedding.title}
    return Written(PATH, encode(body), dropped=(*embedding.unsaid, *(name for name in hints if hints[name])))


class _Vector(Struct):
    embedding: list[float]
    index: int = 0


class _Usage(Struct):
    prompt_tokens: int | None = None


class _Vectors(Struct):
    data: list[_Vector] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = NULL


_answer = msgspec.json.Decoder(_Vectors)


def read_answer(body: bytes) -> Vectors:
    """Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""
    try:
        answer = _answer.decode(body)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not vectors") from None
    if bytes(answer.error) != b"null":
        raise ReportedError("the provider reported an error")
    if not answer.data:
        raise EmptyAnswerError("no vectors")
    in_order = sorted(answer.data, key=lambda vector: vector.index)  # Stable: who gives no index gives them in order.
    return Vectors([vector.embedding for vector in in_order], answer.usage.prompt_tokens if answer.usage else None)
