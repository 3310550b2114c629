"""A client's request, read into the canonical model.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from edge_service.dialects.canonical import Effort, Output, OutputKind, Reasoning, Request
from edge_service.dialects.openai_chat import client_tools, passthrough, wire
from edge_service.dialects.openai_chat.client_messages import Conversation
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError

_T = TypeVar("_T")
_Tokens = Annotated[int, Meta(ge=0, le=1_000_000_000)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]


class _Head(Struct):
    type: str


class _Schema(Struct):
    name: str
    schema: Raw = wire.NULL
    description: str | None = None
    strict: bool | None = None


class _JsonSchema(Struct):
    json_schema: _Schema


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Reasoning(Struct):
    """OpenRouter's."""

    effort: str | None = None
    max_tokens: _Tokens | None = None
    exclude: bool | None = None
    enabled: bool | None = None


_raw = msgspec.json.Decoder(Raw)
_raws = msgspec.json.Decoder(list[Raw])
_string = msgspec.json.Decoder(str)
_flag = msgspec.json.Decoder(bool)
_integer = msgspec.json.Decoder(int)
_tokens = msgspec.json.Decoder(_Tokens)
_answers = msgspec.json.Decoder(Annotated[int, Meta(ge=1, le=128)])
_tops = msgspec.json.Decoder(Annotated[int, Meta(ge=0, le=20)])
_temperature = msgspec.json.Decoder(Annotated[float, Meta(ge=0, le=2)])
_share = msgspec.json.Decoder(Annotated[float, Meta(ge=0, le=1)])
_penalty = msgspec.json.Decoder(_Penalty)
_stop = msgspec.json.Decoder(str | tuple[str, ...])
_NO_PAIRS: Mapping[str, str] = MappingProxyType({})
_strings = msgspec.json.Decoder(list[str])
_format = msgspec.json.Decoder(_Head)
_json_schema = msgspec.json.Decoder(_JsonSchema)
_stream_options = msgspec.json.Decoder(_StreamOptions)
_reasoning = msgspec.json.Decoder(_Reasoning)


def read(body: bytes) -> Request:
    """Raises `InvalidRequestError`, which names the field."""
    said = passthrough.read_request(body)
    if said.hidden is not None:
        said = passthrough.read_request(wire.without_halves(body) or body)
    fields = {name: value for name, value in said.fields.items() if not wire.is_null(value)}
    reading = Reading()
    messages = Conversation(reading).read(fields["messages"])
    for name in fields:
        if name in _BOUND:
            reading.bind(name)
        elif name not in _KNOWN:
            reading.leave(name)
    if "audio" in (_take(fields, "modalities", _strings) or ()):
        reading.bind("modalities")
    options = _take(fields, "stream_options", _stream_options)
    stop = _take(fields, "stop", _stop) or ()
    limit = _take(fields, "max_tokens", _tokens)
    newer_limit = _take(fields, "max_completion_tokens", _tokens)
    return Request(
        model=said.model,
        stream=said.stream,
        messages=messages,
        tools=client_tools.read(_take(fields, "tools", _raws), reading),
        tool_choice=client_tools.read_choice(_take(fields, "tool_choice", _raw), reading),
        parallel_tool_calls=_take(fields, "parallel_tool_calls", _flag),
        output=_read_output(fields, reading),
        reasoning=_read_reasoning(fields, reading),
        max_tokens=limit if newer_limit is None else newer_limit,
        temperature=_take(fields, "temperature", _temperature),
        top_p=_take(fields, "top_p", _share),
        top_k=_take(fields, "top_k", _integer),
        seed=_take(fields, "seed", _integer),
        presence_penalty=_take(fields, "presence_penalty", _penalty),
        frequency_penalty=_take(fields, "frequency_penalty", _penalty),
        stop=(stop,) if isinstance(stop, str) else stop,
        n=_take(fields, "n", _answers),
        logprobs=_take(fields, "logprobs", _flag),
        top_logprobs=_take(fields, "top_logprobs", _tops),
        verbosity=_take(fields, "verbosity", _string) or "",
        service_tier=_take(fields, "service_tier", _string) or "",
        user=_take(fields, "safety_identifier", _string) or _take(fields, "user", _string) or "",
        metadata=wire.pairs(fields["metadata"], "metadata") if "metadata" in fields else _NO_PAIRS,
        wants_usage=options is not None and bool(options.include_usage),
        unsaid=reading.unsaid,
        bound=reading.bound,
    )


_KNOWN = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)

_BOUND = frozenset({"function_call", "functions", "moderation", "web_search_options"})
"""Fields that have the provider do something; and the older form of tools, whose answers have another form too. What
else is not known can be left out."""


def _take(fields: Mapping[str, Raw], name: str, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    return wire.typed(decoder, fields[name], name) if name in fields else None


def _read_output(fields: Mapping[str, Raw], reading: Reading) -> Output | None:
    path = "response_format"
    said = _take(fields, path, _format)
    if said is None:
        return None
    if said.type == "json_schema":
        schema = wire.typed(_json_schema, fields[path], path).json_schema
        if wire.first_byte(schema.schema) == b"n":
            return Output(OutputKind.JSON)
        if wire.first_byte(schema.schema) != b"{":
            path += ".json_schema.schema"
            raise InvalidRequestError(f"'{path}' must be an object", param=path)
        return Output(OutputKind.SCHEMA, schema.schema, schema.name, schema.description or "", schema.strict)
    kind = _OUTPUTS.get(said.type)
    if kind is None:
        reading.bind(path)
        return None
    return Output(kind)


_OUTPUTS = {"text": OutputKind.TEXT, "json_object": OutputKind.JSON}
_EFFORTS = {effort.value: effort for effort in Effort}


def _read_reasoning(fields: Mapping[str, Raw], reading: Reading) -> Reasoning | None:
    said = _take(fields, "reasoning", _reasoning) or _Reasoning()
    word = _take(fields, "reasoning_effort", _string) or said.effort
    effort = _EFFORTS.get(word or "")
    if word and effort is None:
        reading.leave("reasoning_effort")
    budget = said.max_tokens
    if effort is None and budget is None and said.enabled is not None:
        budget = -1 if said.enabled else 0
    shown = None if said.exclude is None else not said.exclude
    if effort is None and budget is None and shown is None:
        return None
    return Reasoning(effort, budget, shown)
