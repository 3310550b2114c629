"""OpenAI's chat completions, as clients and as providers speak them.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from edge_service.dialects.openai_chat.errors import error_body, error_event, is_error_body
from edge_service.dialects.openai_chat.passthrough import PATH, ChatRequest, EventReader, complete, read_request

__all__ = [
    "PATH",
    "ChatRequest",
    "EventReader",
    "complete",
    "error_body",
    "error_event",
    "is_error_body",
    "read_request",
]
