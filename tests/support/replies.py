"""One answer as providers of each dialect give it, whole or as a stream, for a test to say what a model said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tests.support.faulty_upstream import DONE, Connection, Script

SIGNATURE = "c2lnbmVk"
"""Base64, as Gemini's must be."""


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True)
class Usage:
    """Each total with its parts in it."""

    input: int = 20
    cached: int = 5
    output: int = 12
    reasoning: int = 4


@dataclass(frozen=True)
class Reply:
    text: str = ""
    thought: str = ""
    """Signed, where the dialect signs."""
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    """stop, calls, length or refused; a refusal's text is why."""
    usage: Usage = Usage()


WIRES = ("chat", "responses", "anthropic", "gemini")
"""The APIs that are spoken to providers."""


def wire(path: str) -> str:
    """Which of them a request came by."""
    return next(name for end, name in _PATHS.items() if end in path)


_PATHS = {"/chat/completions": "chat", "/responses": "responses", "/messages": "anthropic", "enerateContent": "gemini"}


def replies(reply: Reply) -> Script:
    """A provider of whatever dialect it is asked in."""

    async def script(connection: Connection) -> None:
        api = wire(connection.call.path)
        if not (connection.call.json.get("stream") or ":streamGenerateContent" in connection.call.path):
            await connection.answer(200, whole(api, reply))
            return
        await connection.head(200, "text/event-stream", transfer_encoding="chunked")
        await connection.chunk(*streamed(api, reply), b"")

    return script


def whole(api: str, reply: Reply) -> bytes:
    return json.dumps(_WHOLE[api](reply)).encode()


def streamed(api: str, reply: Reply) -> Iterator[bytes]:
    """Event by event, each text and each call's arguments in two pieces."""
    return _STREAMS[api](reply)


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _data(content: object, named: bool = False) -> bytes:
    name = f"event: {content['type']}\n" if named and isinstance(content, dict) else ""
    return f"{name}data: {json.dumps(content)}\n\n".encode()


# --- Chat completions


_CHAT_FINISHES = {"stop": "stop", "calls": "tool_calls", "length": "length", "refused": "stop"}
_CHAT_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "upstream-model"}


def _chat_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _chat(reply: Reply) -> dict[str, Any]:
    refused = reply.finish == "refused"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused or not reply.text else reply.text,
        "refusal": reply.text if refused else None,
    }
    if reply.thought:
        message["reasoning_content"] = reply.thought
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in reply.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": _CHAT_FINISHES[reply.finish], "logprobs": None}
    return {**_CHAT_HEAD, "object": "chat.completion", "choices": [choice], "usage": _chat_usage(reply.usage)}


def _chat_events(reply: Reply) -> Iterator[bytes]:
    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _data({**_CHAT_HEAD, "object": "chat.completion.chunk", "choices": [choice]})

    yield event({"role": "assistant", "content": ""})
    for field, text in (
        ("reasoning_content", reply.thought),
        ("refusal" if reply.finish == "refused" else "content", reply.text),
    ):
        for half in _halves(text) if text else ():
            yield event({field: half})
    for index, call in enumerate(reply.calls):
        head = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield event({"tool_calls": [head]})
        for half in _halves(json.dumps(call.arguments)):
            yield event({"tool_calls": [{"index": index, "function": {"arguments": half}}]})
    yield event({}, _CHAT_FINISHES[reply.finish])
    usage = {"object": "chat.completion.chunk", "choices": [], "usage": _chat_usage(reply.usage)}
    yield _data({**_CHAT_HEAD, **usage})
    yield DONE


# --- Responses


def _response(reply: Reply, output: list[dict[str, Any]], status: str, usage: object) -> dict[str, Any]:
    cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "upstream-model",
        "output": output,
        "usage": usage,
        "incomplete_details": cut,
        "error": None,
        "instructions": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "metadata": {},
        "previous_response_id": None,
    }


def _responses_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def _items(reply: Reply) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if reply.thought:
        summary = [{"type": "summary_text", "text": reply.thought}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": SIGNATURE})
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if reply.finish == "refused":
            part = {"type": "refusal", "refusal": reply.text}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        items.append(message)
    items += [
        {
            "id": f"fc_{call.id}",
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": json.dumps(call.arguments),
            "status": "completed",
        }
        for call in reply.calls
    ]
    return items


def _status(reply: Reply) -> str:
    return "incomplete" if reply.finish == "length" else "completed"


def _responses(reply: Reply) -> dict[str, Any]:
    return _response(reply, _items(reply), _status(reply), _responses_usage(reply.usage))


def _responses_events(reply: Reply) -> Iterator[bytes]:
    bare = _response(reply, [], "in_progress", None)
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": bare},
        {"type": "response.in_progress", "response": bare},
    ]
    for index, item in enumerate(_items(reply)):
        said += _item_events(item, index)
    status = _status(reply)
    said.append({"type": f"response.{status}", "response": _responses(reply)})
    for number, event in enumerate(said):
        yield _data({**event, "sequence_number": number}, named=True)


def _item_events(item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    where = {"item_id": item["id"], "output_index": index}
    empty = {"reasoning": {"summary": []}, "message": {"content": []}, "function_call": {"arguments": ""}}
    begun = {**item, **empty[item["type"]]}
    if "status" in begun:
        begun["status"] = "in_progress"
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    if item["type"] == "function_call":
        for half in _halves(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **where, "delta": half}
        done = {"arguments": item["arguments"], "name": item["name"]}
        yield {"type": "response.function_call_arguments.done", **where, **done}
    else:
        part = (item.get("content") or item.get("summary"))[0]
        field = "refusal" if part["type"] == "refusal" else "text"
        kinds = {
            "summary_text": ("reasoning_summary_part", "reasoning_summary_text", {"summary_index": 0}, {}),
            "output_text": ("content_part", "output_text", {"content_index": 0}, {"logprobs": []}),
            "refusal": ("content_part", "refusal", {"content_index": 0}, {}),
        }
        of_part, of_text, place, more = kinds[part["type"]]
        yield {"type": f"response.{of_part}.added", **where, **place, "part": {**part, field: ""}}
        for half in _halves(part[field]):
            yield {"type": f"response.{of_text}.delta", **where, **place, "delta": half, **more}
        yield {"type": f"response.{of_text}.done", **where, **place, field: part[field], **more}
        yield {"type": f"response.{of_part}.done", **where, **place, "part": part}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


# --- Anthropic


_STOP_REASONS = {"stop": "end_turn", "calls": "tool_use", "length": "max_tokens", "refused": "refusal"}


def _message(content: list[dict[str, Any]], reply: Reply, stop_reason: str | None) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "upstream-model",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": _anthropic_usage(reply.usage),
    }


def _anthropic_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input - usage.cached,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.thought:
        blocks.append({"type": "thinking", "thinking": reply.thought, "signature": SIGNATURE})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    blocks += [{"type": "tool_use", "id": it.id, "name": it.name, "input": dict(it.arguments)} for it in reply.calls]
    return blocks


def _anthropic(reply: Reply) -> dict[str, Any]:
    return _message(_blocks(reply), reply, _STOP_REASONS[reply.finish])


def _anthropic_events(reply: Reply) -> Iterator[bytes]:
    def event(kind: str, **fields: object) -> bytes:
        return _data({"type": kind, **fields}, named=True)

    yield event("message_start", message=_message([], reply, None))
    yield event("ping")
    empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
    for index, block in enumerate(_blocks(reply)):
        yield event("content_block_start", index=index, content_block={**block, **empty[block["type"]]})
        deltas: list[dict[str, Any]]
        if block["type"] == "tool_use":
            halves = _halves(json.dumps(block["input"]))
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", *halves)]
        elif block["type"] == "text":
            deltas = [{"type": "text_delta", "text": half} for half in _halves(block["text"])]
        else:
            deltas = [{"type": "thinking_delta", "thinking": half} for half in _halves(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    stop = {"stop_reason": _STOP_REASONS[reply.finish], "stop_sequence": None}
    yield event("message_delta", delta=stop, usage=_anthropic_usage(reply.usage))
    yield event("message_stop")


# --- Gemini


_FINISH_REASONS = {"stop": "STOP", "calls": "STOP", "length": "MAX_TOKENS", "refused": "SAFETY"}


def _chunk(parts: list[dict[str, Any]], reply: Reply, finish: str | None) -> dict[str, Any]:
    usage = reply.usage
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    counts = {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    }
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "upstream-model", "responseId": "r1"}


def _parts(reply: Reply) -> list[dict[str, Any]]:
    """What follows a thought is signed, and never the thought: https://ai.google.dev/gemini-api/docs/thought-signatures"""
    said: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    said += [{"functionCall": {"id": it.id, "name": it.name, "args": dict(it.arguments)}} for it in reply.calls]
    if reply.thought:
        said[0]["thoughtSignature"] = SIGNATURE
        said.insert(0, {"text": reply.thought, "thought": True})
    return said


def _gemini(reply: Reply) -> dict[str, Any]:
    return _chunk(_parts(reply), reply, _FINISH_REASONS[reply.finish])


def _gemini_events(reply: Reply) -> Iterator[bytes]:
    for part in _parts(reply):
        if "text" in part:
            first, last = _halves(part["text"])
            yield _data(
                _chunk([{**{k: v for k, v in part.items() if k != "thoughtSignature"}, "text": first}], reply, None)
            )
            yield _data(_chunk([{**part, "text": last}], reply, None))
        else:
            yield _data(_chunk([part], reply, None))
    yield _data(_chunk([{"text": ""}], reply, _FINISH_REASONS[reply.finish]))


_WHOLE = MappingProxyType({"chat": _chat, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini})
_STREAMS = MappingProxyType(
    {
        "chat": _chat_events,
        "responses": _responses_events,
        "anthropic": _anthropic_events,
        "gemini": _gemini_events,
    }
)
