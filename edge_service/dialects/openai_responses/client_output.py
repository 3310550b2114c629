"""What an answer for a client is made of: an object about the answer, and a list of items.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from edge_service.dialects import native_tools, sealing
from edge_service.dialects.canonical import Family, Media, MediaKind, Native, Thinking, ToolKind, Usage
from edge_service.dialects.openai_responses import terms, wire
from edge_service.dialects.openai_responses.logprobs import Token

Item: TypeAlias = dict[str, Any]

_fields = msgspec.json.Decoder(dict[str, Raw])

_ODD = re.compile(r"[^A-Za-z0-9_-]")
_MAX_STEM_CHARS = 48


class Names:
    """The ids of an answer and of its items. A client may hand items on to OpenAI, who refuses ids without the
    beginning of their kind, ids that are long, and those that come twice in a conversation."""

    __slots__ = ("_stem", "response")

    def __init__(self, answer_id: str) -> None:
        stem = _ODD.sub("_", answer_id.removeprefix("resp_")) or "0"
        if len(stem) > _MAX_STEM_CHARS:
            stem = hashlib.sha256(stem.encode()).hexdigest()[:_MAX_STEM_CHARS]
        self._stem = stem
        self.response = f"resp_{stem}"

    def item(self, kind: str, index: int) -> str:
        return f"{kind}_{self._stem}_{index}"

    def thought(self, thought: Thinking, index: int) -> str:
        """OpenAI's own keep theirs."""
        own = thought.id.startswith("rs_") and len(thought.id) <= wire.MAX_ID_CHARS and not _ODD.search(thought.id)
        return thought.id if own else self.item("rs", index)


def text(said: str, tokens: Sequence[Token] = ()) -> Item:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": tokens}


def refusal(said: str) -> Item:
    return {"type": "refusal", "refusal": said}


def message(name: str, content: Sequence[Item], status: str = terms.COMPLETED) -> Item:
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": content}


def reasoning(name: str, said: str, sealed: str | None) -> Item:
    summary = [{"type": "summary_text", "text": said}] if said else []
    return {"id": name, "type": "reasoning", "summary": summary, "encrypted_content": sealed}


def seal(thought: Thinking) -> str:
    return sealing.seal(thought, Family.OPENAI)


def call_kind(native: Native | None) -> str:
    """What the id of a call's item begins with."""
    return "fc" if native is None else _CALL_KINDS[native.kind]


_CALL_KINDS: Mapping[ToolKind, str] = MappingProxyType(
    {ToolKind.FUNCTION: "fc", ToolKind.CUSTOM: "ctc", ToolKind.SEARCH: "tsc"}
)


def call(
    name: str,
    call_id: str,
    function: str,
    arguments: str,
    status: str = terms.COMPLETED,
    native: Native | None = None,
) -> Item:
    """`native` is what the client has offered, if that was no function of this name."""
    item: Item = {"id": name, "type": "function_call", "status": status, "call_id": call_id}
    if native is None:
        return {**item, "name": function, "arguments": arguments}
    if native.kind is ToolKind.SEARCH:
        return {**item, "type": "tool_search_call", "execution": "client", "arguments": _object(arguments)}
    group = {"namespace": native.namespace} if native.namespace else {}
    if native.kind is ToolKind.FUNCTION:
        return {**item, "name": native.name, "arguments": arguments, **group}
    said = native_tools.text(arguments)
    return {"id": name, "type": "custom_tool_call", "call_id": call_id, "name": native.name, "input": said, **group}


def _object(arguments: str) -> dict[str, Raw]:
    try:
        return _fields.decode(arguments)
    except (ValueError, RecursionError):
        return {}


def image(name: str, media: Media) -> Item | None:
    """As if OpenAI's own tool had made it; None for what no tool makes."""
    if media.kind is not MediaKind.IMAGE or not media.data:
        return None
    item = {"id": name, "type": "image_generation_call", "status": "completed", "result": media.data}
    kind = media.media_type.removeprefix("image/")
    return {**item, "output_format": kind} if kind in ("png", "webp", "jpeg", "gif") else item


def shown(media: Media) -> str:
    """Other media in Markdown."""
    where = media.url or media.file_id or f"data:{media.media_type or 'application/octet-stream'};base64,{media.data}"
    return f"![{media.name or media.kind.value}]({where})"


def response(
    names: Names,
    model: str,
    created_at: int,
    status: str,
    output: Sequence[Item] = (),
    *,
    reason: str | None = None,
    usage: Usage | None = None,
    service_tier: str = "",
) -> dict[str, Any]:
    """`reason` is why the answer is incomplete. What the request has said is not repeated: the answer may come from
    somebody who could not be told all of it."""
    return {
        "id": names.response,
        "object": "response",
        "created_at": created_at,
        "status": status,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": service_tier if service_tier in terms.TIERS else None,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None if usage is None else terms.wire_usage(usage),
    }
