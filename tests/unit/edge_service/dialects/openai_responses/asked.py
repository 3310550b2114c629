"""Requests to write and to read, of which each test says what matters to it."""

from __future__ import annotations

import json
from typing import Any

from edge_service.dialects import openai_responses
from edge_service.dialects.canonical import Message, Part, Request, Role, Text
from tests.support import published_responses

HELLO = Message(Role.USER, (Text("Hello"),))


def read(**fields: Any) -> Request:
    return openai_responses.CLIENT.read(json.dumps({"model": "m", "input": "Hi", **fields}).encode())


def read_items(*items: Any) -> tuple[Message, ...]:
    return read(input=list(items)).messages


def read_parts(*content: Any, role: str = "user") -> tuple[Part, ...]:
    return read_items({"role": role, "content": list(content)})[0].parts


def write(model: str = "gpt-5.2", **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body of a request for a provider, which has the published shape, and what was dropped."""
    written = openai_responses.PROVIDER.write(
        Request(**{"model": "m", "stream": False, "messages": (HELLO,), **fields}), model
    )
    assert (written.path, written.headers) == ("/responses", [])
    return published_responses.check_request(written.body), written.dropped


def write_items(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    body, _ = write(messages=messages, **fields)
    items: list[dict[str, Any]] = body["input"]
    return items
