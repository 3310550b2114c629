"""A whole answer for a client.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_service.dialects import native_tools
from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Family,
    Media,
    MediaKind,
    Native,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
)
from edge_service.dialects.openai_chat import details, terms, wire

NO_ID = "chatcmpl-0"
"""For an answer whose provider gives none: the SDKs want one."""


def write(answer: Answer, model: str, tools: Sequence[Tool] = ()) -> bytes:
    """`tools` are those that the client has offered."""
    natives = native_tools.natives(tools)
    return wire.encode(
        {
            "id": answer.id or NO_ID,
            "object": "chat.completion",
            "created": answer.created_at,
            "model": model,
            "choices": [_choice(choice, i, natives) for i, choice in enumerate(answer.choices)],
            "usage": terms.wire_usage(answer.usage),
        }
        | terms.shown_tier(answer.service_tier)
    )


def _choice(choice: Choice, index: int, natives: Mapping[str, Native]) -> dict[str, Any]:
    return {
        "index": index,
        "message": _message(choice, natives),
        "logprobs": choice.logprobs,
        "finish_reason": terms.REASONS[choice.finish],
    }


def _message(choice: Choice, natives: Mapping[str, Native]) -> dict[str, Any]:
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    written_thoughts: list[details.Written] = []
    calls: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for part in choice.parts:
        match part:
            case Text(text):
                texts.append(text)
            case Refusal(text):
                refusals.append(text)
            case Thinking():
                thoughts.append(part.text)
                written_thoughts += details.write(part, len(written_thoughts))
            case ToolCall():
                call = _call(part, len(calls), natives)
                calls.append(call)
                if part.signature:
                    written_thoughts.append(call_signature(call["id"], part.signature, len(written_thoughts)))
            case Media(kind=MediaKind.IMAGE):
                images.append(image(part))
            case Media():
                texts.append(link(part))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts or not (calls or refusals) else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    lists = {details.FIELD: written_thoughts, "tool_calls": calls, "images": images}
    return message | {name: written for name, written in lists.items() if written}


def _call(part: ToolCall, index: int, natives: Mapping[str, Native]) -> dict[str, Any]:
    call_id = part.id or f"call_{index}"
    if part.name in natives:
        custom = {"name": part.name, "input": native_tools.text(part.arguments)}
        return {"id": call_id, "type": "custom", "custom": custom}
    function = {"name": part.name, "arguments": part.arguments if part.arguments.strip() else "{}"}
    return {"id": call_id, "type": "function", "function": function}


def call_signature(call_id: str, signature: str, index: int) -> details.Written:
    """No family signs calls but Gemini's."""
    return details.encrypted(signature, Family.GEMINI, index, details.MARK + call_id)


def image(media: Media) -> dict[str, Any]:
    """As OpenRouter shows those that a model has made."""
    return {"type": "image_url", "image_url": {"url": _located(media)}}


def link(media: Media) -> str:
    """Other media, in Markdown: the dialect has no place for them."""
    return f"![{media.name or media.kind.value}]({_located(media)})"


def _located(media: Media) -> str:
    where = media.url or media.file_id
    return where or f"data:{media.media_type or 'application/octet-stream'};base64,{media.data}"
