"""A whole answer for a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Family,
    Media,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from edge_service.dialects.gemini import logprobs, usage, words
from edge_service.dialects.gemini.signatures import STAND_IN

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

UNTYPED = "application/octet-stream"
"""For media without a known type."""


def write(answer: Answer, model: str) -> bytes:
    """Under the name that the client asked for."""
    written: dict[str, Any] = {
        "candidates": [_candidate(choice, index) for index, choice in enumerate(answer.choices)],
        "usageMetadata": usage.write(answer.usage),
        "modelVersion": model,
    }
    if answer.id:
        written["responseId"] = answer.id
    return msgspec.json.encode(written)


def _candidate(choice: Choice, index: int) -> dict[str, Any]:
    parts, is_whole = _parts(choice.parts)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    candidate: dict[str, Any] = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": words.reason(choice.finish, refused=refused) if is_whole else words.MALFORMED_CALL,
        "index": index,
    }
    if choice.logprobs is not None and (result := logprobs.write(choice.logprobs)) is not None:
        candidate["logprobsResult"] = result
    return candidate


def _parts(parts: Sequence[Text | Refusal | Media | Thinking | ToolCall]) -> tuple[list[dict[str, Any]], bool]:
    """The parts, and whether all calls are among them."""
    written: list[dict[str, Any]] = []
    is_whole, has_calls = True, False
    for part in parts:
        match part:
            case Text(text) | Refusal(text):
                if text:
                    written.append({"text": text})
            case Media():
                if (one := media(part)) is not None:
                    written.append(one)
            case Thinking():
                if (one := thinking(part.text, part.signature, part.family)) is not None:
                    written.append(one)
            case ToolCall():
                signature = part.signature or ("" if has_calls else STAND_IN)
                if (one := call(part.id, part.name, part.arguments, signature)) is not None:
                    written.append(one)
                    has_calls = True
                else:
                    is_whole = False
    return written, is_whole


def thinking(text: str, signature: str, family: Family | None) -> dict[str, Any] | None:
    """The signature of another family would come back and be refused, and is left out."""
    own = signature if family is Family.GEMINI else ""
    if not text:
        return {"text": "", "thoughtSignature": own} if own else None
    return {"text": text, "thought": True} | ({"thoughtSignature": own} if own else {})


def media(part: Media) -> dict[str, Any] | None:
    """None for a file that only another family has."""
    if part.data:
        return {"inlineData": {"mimeType": part.media_type or UNTYPED, "data": part.data}}
    uri = part.url or (part.file_id if part.family is Family.GEMINI else "")
    if not uri:
        return None
    return {"fileData": {"fileUri": uri} | ({"mimeType": part.media_type} if part.media_type else {})}


def call(id_: str, name: str, arguments: str, signature: str) -> dict[str, Any] | None:
    """None if the model has not written an object."""
    arguments = arguments.strip() or "{}"
    try:
        _object.decode(arguments)
    except (ValueError, RecursionError):
        return None
    written: dict[str, Any] = {"name": name, "args": msgspec.Raw(arguments.encode())}
    if id_:
        written["id"] = id_
    return {"functionCall": written} | ({"thoughtSignature": signature} if signature else {})
