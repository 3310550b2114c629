"""Requests to write and to read, of which each test says what matters to it."""

from __future__ import annotations

import json
from typing import Any

from edge_service.dialects import anthropic
from edge_service.dialects.canonical import Message, Part, Request, Role, Text
from tests.support import published_anthropic

HELLO = Message(Role.USER, (Text("Hello"),))


def read(**fields: Any) -> Request:
    return anthropic.CLIENT.read(
        json.dumps({"model": "m", "max_tokens": 100, "messages": [user("Hi")], **fields}).encode()
    )


def read_content(role: str, *blocks: Any) -> tuple[Part, ...]:
    return read(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def write(model: str = "claude-sonnet-4-5", **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body of a request for a provider, which has the published shape, and what was dropped."""
    written = anthropic.PROVIDER.write(
        Request(**{"model": "m", "stream": False, "messages": (HELLO,), **fields}), model
    )
    return published_anthropic.check_request(written.body), written.dropped


def write_messages(*messages: Message, **fields: Any) -> list[tuple[str, Any]]:
    body, _ = write(messages=messages, **fields)
    return [(message["role"], message["content"]) for message in body["messages"]]
