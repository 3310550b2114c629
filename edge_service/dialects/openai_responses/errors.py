"""Errors in the words of this dialect: as a body those of all of OpenAI's APIs, as an event of a stream its own.

Source: https://platform.openai.com/docs/api-reference/responses-streaming/error
"""

from __future__ import annotations

from edge_service.dialects.openai_chat.errors import error_body, is_error_body
from edge_service.dialects.openai_responses import wire
from edge_service.domain.errors import ApiError

__all__ = ["error_body", "error_event", "is_error_body"]


def error_event(error: ApiError, sequence_number: int = 0) -> bytes:
    """The last event of a stream that broke off. No `response.completed` follows: the answer is not complete."""
    told = {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "sequence_number": sequence_number,
    }
    return wire.event("error", wire.encode(told))
