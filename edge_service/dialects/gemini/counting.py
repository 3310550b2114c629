"""Counting tokens: `countTokens`, on both sides and in between.

Source: https://ai.google.dev/api/tokens
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from edge_service.dialects.canonical import Request
from edge_service.dialects.exchange import MalformedAnswerError, Written
from edge_service.dialects.gemini import client_request, fields, provider_request
from edge_service.dialects.gemini.paths import Method
from edge_service.dialects.values import NULL, first_byte, is_null
from edge_service.domain.errors import InvalidRequestError


class _Counted(Struct, rename="camel"):
    total_tokens: int = 0
    """An answer without it has counted none."""
    error: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(_Counted)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_request(body: bytes, model: str) -> Request:
    """A client's request to count: of `contents` alone, or of a whole request. Raises `InvalidRequestError`."""
    try:
        request = fields.whole(body)
        whole = request.object("generateContentRequest")
        if whole is not None and request.has("contents"):
            raise InvalidRequestError(
                "'contents' and 'generateContentRequest' cannot stand together", param="generateContentRequest"
            )
        return client_request.of_fields(whole or request, model, stream=False)
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error


def write_answer(tokens: int) -> bytes:
    return msgspec.json.encode({"totalTokens": tokens})


def write_request(request: Request, model: str) -> Written:
    """For a provider. Raises `InexpressibleError`."""
    body, dropped = provider_request.fields(request, model)
    whole: dict[str, Any] = {"model": model if "/" in model else f"models/{model}", **body}
    return Written(
        provider_request.path(model, Method.COUNT),
        msgspec.json.encode({"generateContentRequest": whole}),
        dropped=dropped,
    )


def read_answer(body: bytes) -> int:
    """Raises `MalformedAnswerError`."""
    try:
        counted = _decoder.decode(body)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not a count") from None
    if not is_null(counted.error) or counted.total_tokens < 0:
        raise MalformedAnswerError("not a count")
    return counted.total_tokens


def pass_on(body: bytes, model: str) -> Written:
    """A client's request for a provider that calls the model by this name; it stands in the whole request again."""
    name = msgspec.Raw(msgspec.json.encode(model if "/" in model else f"models/{model}"))
    try:
        request = _object.decode(body)
        for field in ("generateContentRequest", "generate_content_request"):
            if field in request and first_byte(request[field]) == b"{":
                inner = _object.decode(request[field])
                request[field] = msgspec.Raw(msgspec.json.encode({**inner, "model": name}))
                body = msgspec.json.encode(request)
    except (ValueError, RecursionError):
        raise InvalidRequestError("the body must be a JSON object") from None
    return Written(provider_request.path(model, Method.COUNT), body)
