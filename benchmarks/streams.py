"""One stream as providers of each API send it: a text in 50 pieces, and the events that the API has around them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

PIECES = 50
APIS = ("chat", "responses", "anthropic", "gemini")
TEXTS = [f" word-{i:02}" for i in range(PIECES)]
_MODEL = "upstream-model"


def events(api: str) -> list[bytes]:
    """Those with a piece of the text all have one length, and the others a multiple of it, so that a server that writes
    by so many bytes writes event by event. JSON may have spaces behind it."""
    said = list(_EVENTS[api]())
    size = max(len(_written(event, named)) for event, named in said if _has_piece(event))
    return [_padded(_written(event, named), size) for event, named in said]


def text(api: str, stream: bytes) -> str:
    """What a client reads in a stream of this API."""
    lines = stream.replace(b"\r\n", b"\n").split(b"\n")
    data = [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
    return "".join(_TEXT[api](json.loads(each)) for each in data if each != b"[DONE]")


def request(api: str, model: str, prompt: str = "x" * 800, *, stream: bool = True) -> bytes:
    """What a client of this API asks. Gemini's has the model, and that it is to stream, in its path."""
    if api == "gemini":
        asked: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    else:
        said = {"role": "user", "content": prompt}
        asked = {"model": model, "stream": stream, "input" if api == "responses" else "messages": [said]}
    if api == "anthropic":
        asked["max_tokens"] = 512
    return json.dumps(asked).encode()


def path(api: str, model: str) -> str:
    return f"/v1beta/models/{model}:streamGenerateContent?alt=sse" if api == "gemini" else _PATHS[api]


_PATHS = MappingProxyType({"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages"})

_Event = tuple[Any, bool]
"""Its data, and whether the event has a name."""


def _has_piece(event: Any) -> bool:
    written = json.dumps(event)
    return sum(word in written for word in TEXTS) == 1


def _written(event: Any, named: bool) -> bytes:
    data = event if isinstance(event, str) else json.dumps(event)
    return (f"event: {event['type']}\n" if named else "").encode() + b"data: " + data.encode() + b"\n\n"


def _padded(event: bytes, size: int) -> bytes:
    return event[:-2] + b" " * (-len(event) % size) + event[-2:]


def _chat() -> Iterator[_Event]:
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": _MODEL}
    for word in TEXTS:
        yield {**head, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}, False
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, False
    yield "[DONE]", False


def _responses() -> Iterator[_Event]:
    head = {"id": "resp_bench", "object": "response", "created_at": 1, "model": _MODEL, "error": None}
    where = {"item_id": "msg_bench", "output_index": 0}
    content = {**where, "content_index": 0}
    message = {"id": "msg_bench", "type": "message", "role": "assistant"}
    whole = {"type": "output_text", "text": "".join(TEXTS), "annotations": []}
    done = {**message, "status": "completed", "content": [whole]}
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**head, "status": "in_progress", "output": []}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**message, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **content, "part": {**whole, "text": ""}},
        *({"type": "response.output_text.delta", **content, "delta": word, "logprobs": []} for word in TEXTS),
        {"type": "response.output_text.done", **content, "text": "".join(TEXTS), "logprobs": []},
        {"type": "response.content_part.done", **content, "part": whole},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": {**head, "status": "completed", "output": [done]}},
    ]
    for number, event in enumerate(said):
        yield {**event, "sequence_number": number}, True


def _anthropic() -> Iterator[_Event]:
    message = {"id": "msg_bench", "type": "message", "role": "assistant", "model": _MODEL, "content": []}
    start = {**message, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    yield {"type": "message_start", "message": start}, True
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, True
    for word in TEXTS:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}, True
    yield {"type": "content_block_stop", "index": 0}, True
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 50}}, True
    yield {"type": "message_stop"}, True


def _gemini() -> Iterator[_Event]:
    for word in TEXTS:
        last = {"finishReason": "STOP"} if word == TEXTS[-1] else {}
        candidate = {"content": {"role": "model", "parts": [{"text": word}]}, "index": 0, **last}
        yield {"candidates": [candidate], "modelVersion": _MODEL, "responseId": "bench"}, False


_EVENTS = MappingProxyType({"chat": _chat, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini})


def _chat_text(event: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def _responses_text(event: dict[str, Any]) -> str:
    return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""


def _anthropic_text(event: dict[str, Any]) -> str:
    return str(event["delta"]["text"]) if event["type"] == "content_block_delta" else ""


def _gemini_text(event: dict[str, Any]) -> str:
    parts = [part for candidate in event["candidates"] for part in candidate.get("content", {}).get("parts", ())]
    return "".join(part["text"] for part in parts)


_TEXT: Mapping[str, Any] = MappingProxyType(
    {"chat": _chat_text, "responses": _responses_text, "anthropic": _anthropic_text, "gemini": _gemini_text}
)
