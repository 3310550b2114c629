"""The ids of calls, as a provider takes them: the same for a call and its result, in every request."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Raw

from edge_service.dialects.openai_chat import wire

_MAX_CHARS = 40
"""OpenAI refuses longer ones."""

_HINT = b'"tool_call'

_list = msgspec.json.Decoder(list[Raw])
_object = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)


def fitting(call_id: str, chars: int) -> str:
    """`chars` is how many letters and digits it must have; 0 if any id will do that OpenAI takes."""
    if chars:
        fits = len(call_id) == chars and call_id.isascii() and call_id.isalnum()
        return call_id if fits else _digest(call_id)[:chars]
    return call_id if 0 < len(call_id) <= _MAX_CHARS else f"call_{_digest(call_id)[:24]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def taken(messages: Raw, chars: int) -> Raw:
    """The messages of a conversation that passes through, which may have been begun elsewhere. What has another form
    than is known here stays as it is: the provider will say what is wrong with it."""
    if _HINT not in bytes(messages):
        return messages
    try:
        said = _list.decode(messages)
        written = [_message(each, chars) if _HINT in bytes(each) else each for each in said]
    except (ValueError, RecursionError):
        return messages
    if all(new is old for new, old in zip(written, said, strict=True)):
        return messages
    return Raw(wire.encode(written))


def _message(raw: Raw, chars: int) -> Raw:
    fields = _object.decode(raw)
    new: dict[str, Raw] = {}
    if "tool_call_id" in fields:
        new["tool_call_id"] = _id(fields["tool_call_id"], chars)
    if "tool_calls" in fields and not wire.is_null(fields["tool_calls"]):
        new["tool_calls"] = _calls(fields["tool_calls"], chars)
    if all(value is fields[name] for name, value in new.items()):
        return raw
    return Raw(wire.encode(fields | new))


def _calls(raw: Raw, chars: int) -> Raw:
    calls = [_object.decode(each) for each in _list.decode(raw)]
    ids = [_id(call["id"], chars) if "id" in call else None for call in calls]
    if all(call.get("id") is id_ for call, id_ in zip(calls, ids, strict=True)):
        return raw
    return Raw(wire.encode([call if id_ is None else call | {"id": id_} for call, id_ in zip(calls, ids, strict=True)]))


def _id(raw: Raw, chars: int) -> Raw:
    said = _string.decode(raw)
    fits = fitting(said, chars)
    return raw if fits == said else Raw(wire.encode(fits))
