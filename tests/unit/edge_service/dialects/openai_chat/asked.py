"""Requests to write and to read, of which each test says what matters to it."""

from __future__ import annotations

import json
from typing import Any

from edge_service.dialects import openai_chat
from edge_service.dialects.canonical import Effort, Message, Part, Request, Role, Text
from edge_service.dialects.openai_chat import DEFAULT, Quirks
from tests.support import published_openai_chat

HELLO = Message(Role.USER, (Text("Hello"),))

FULL = Quirks(
    max_tokens="max_completion_tokens",
    unknown=frozenset(),
    efforts=tuple(Effort),
    system="developer",
    thoughts=("reasoning_content", "reasoning_details"),
)
"""Of a provider that knows everything."""


def read(**fields: Any) -> Request:
    return openai_chat.CLIENT.read(json.dumps({"model": "m", "messages": [user("Hi")], **fields}).encode())


def read_message(**fields: Any) -> tuple[Part, ...]:
    """The parts of the last message of a conversation."""
    return read(messages=[user("Hi"), fields]).messages[-1].parts


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def write(model: str = "some-model", quirks: Quirks = DEFAULT, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body of a request for a provider, which has the published shape, and what was dropped."""
    written = openai_chat.PROVIDER.write(
        Request(**{"model": "m", "stream": False, "messages": (HELLO,), **fields}), model, quirks
    )
    return published_openai_chat.check_request(written.body), written.dropped


def write_messages(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    body, _ = write(messages=messages, **fields)
    written: list[dict[str, Any]] = body["messages"]
    return written
