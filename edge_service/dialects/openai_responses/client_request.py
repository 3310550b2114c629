"""A client's request, read into the canonical model.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from edge_service.dialects import model_name
from edge_service.dialects.canonical import Message, Output, OutputKind, Reasoning, Request, Role, Text
from edge_service.dialects.openai_responses import client_input, client_tools, terms, wire
from edge_service.dialects.reading import Reading
from edge_service.domain.errors import InvalidRequestError

_Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class _Format(Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: Raw = wire.NULL
    strict: bool | None = None


class _Text(Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class _CacheOptions(Struct):
    prewarm: bool | None = None


class _StreamOptions(Struct):
    include_obfuscation: bool | None = None


class _Request(Struct):
    model: str
    stream: bool | None = None
    input: str | list[Raw] | None = None
    instructions: str | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = wire.NULL
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    max_output_tokens: _Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[str] | None = None
    metadata: Raw = wire.NULL
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    truncation: str | None = None
    stream_options: _StreamOptions | None = None
    background: bool | None = None
    prompt_cache_options: _CacheOptions | None = None


_request = msgspec.json.Decoder(_Request)
_fields = msgspec.json.Decoder(dict[str, Raw])


def read(body: bytes) -> Request:
    """Raises `InvalidRequestError`, which names the field."""
    wire.check_encoding(body)
    body = wire.translatable(body)
    said = wire.typed(_request, body)
    model_name.check(said.model)
    reading = Reading()
    for name, raw in wire.typed(_fields, body).items():
        if name not in _KNOWN and not wire.is_null(raw):
            (reading.bind if name in _BOUND else reading.leave)(name)
    _read_promises(said, reading)
    offered = client_tools.Offered(reading)
    offered.read(said.tools)
    messages = _read_messages(said, offered, reading)
    include = said.include or ()
    logprobs = terms.LOGPROBS in include
    reading.leave("include", any(word not in (terms.LOGPROBS, terms.ENCRYPTED) for word in include))
    reading.leave("top_logprobs", not logprobs and said.top_logprobs)
    return Request(
        model=said.model,
        stream=bool(said.stream),
        messages=messages,
        tools=offered.tools(),
        tool_choice=client_tools.read_choice(said.tool_choice, reading),
        parallel_tool_calls=said.parallel_tool_calls,
        output=_read_format(said.text, reading),
        reasoning=_read_reasoning(said.reasoning, reading),
        max_tokens=said.max_output_tokens,
        temperature=said.temperature,
        top_p=said.top_p,
        logprobs=True if logprobs else None,
        top_logprobs=said.top_logprobs if logprobs else None,
        verbosity=_read_verbosity(said.text, reading),
        service_tier=_read_tier(said.service_tier, reading),
        user=said.safety_identifier or said.user or "",
        metadata=MappingProxyType({} if wire.is_null(said.metadata) else wire.pairs(said.metadata, "metadata")),
        unsaid=reading.unsaid,
        bound=reading.bound,
    )


_KNOWN = frozenset(field.name for field in msgspec.structs.fields(_Request))

_BOUND = frozenset({"context_management", "conversation", "moderation", "previous_response_id", "prompt"})
"""Fields that name something which OpenAI keeps, or have it do something. What else is not known can be left out."""


def _read_promises(said: _Request, reading: Reading) -> None:
    """What a provider is to do beyond answering. That nothing is stored is so anyway; that something is by default
    binds nobody, unless the client says that it counts on it."""
    reading.bind("background", said.background)
    reading.leave("store", said.store)
    reading.leave("truncation", said.truncation not in (None, "disabled"))
    reading.leave("stream_options", said.stream_options is not None and said.stream_options.include_obfuscation)
    if said.prompt_cache_options is not None:
        reading.leave("prompt_cache_options")
        reading.bind("prompt_cache_options.prewarm", said.prompt_cache_options.prewarm)  # Generates nothing.


def _read_messages(said: _Request, offered: client_tools.Offered, reading: Reading) -> tuple[Message, ...]:
    instructions = (Message(Role.SYSTEM, (Text(said.instructions),)),) if said.instructions else ()
    messages = () if said.input is None else client_input.read(said.input, offered, reading)
    if not messages and not reading.bound:
        missing = "missing" if said.input is None else "empty"
        raise InvalidRequestError(f"'input' is {missing}: it holds the conversation", param="input")
    return (*instructions, *messages)


_KINDS: Mapping[str, OutputKind] = MappingProxyType(
    {"text": OutputKind.TEXT, "json_object": OutputKind.JSON, "json_schema": OutputKind.SCHEMA}
)


def _read_format(text: _Text | None, reading: Reading) -> Output | None:
    said = None if text is None else text.format
    if said is None:
        return None
    kind = _KINDS.get(said.type)
    if kind is None:
        reading.bind("text.format")
        return None
    if kind is not OutputKind.SCHEMA:
        return Output(kind)
    if wire.first_byte(said.schema) != b"{":
        raise InvalidRequestError("'text.format.schema' must be an object", param="text.format.schema")
    return Output(kind, said.schema, said.name or "", said.description or "", said.strict)


def _read_verbosity(text: _Text | None, reading: Reading) -> str:
    word = text.verbosity or "" if text is not None else ""
    reading.leave("text.verbosity", word and word not in terms.VERBOSITIES)
    return word if word in terms.VERBOSITIES else ""


def _read_reasoning(said: _Reasoning | None, reading: Reading) -> Reasoning | None:
    if said is None:
        return None
    effort = terms.EFFORTS.get(said.effort or "")
    reading.leave("reasoning.effort", said.effort and effort is None)
    reading.leave("reasoning.context", said.context)
    reading.leave("reasoning.mode", said.mode not in (None, "standard"))
    summary = said.summary or said.generate_summary or ""
    return Reasoning(effort, summary=summary) if effort is not None or summary else None


def _read_tier(said: str | None, reading: Reading) -> str:
    tier = terms.ASKED_TIERS.get(said or "", "")
    reading.leave("service_tier", said and not tier)
    return tier
