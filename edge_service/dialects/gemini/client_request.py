"""A client's request for an answer, as the canonical one. The model and whether to stream stand in the path.

Source: https://ai.google.dev/api/generate-content#method:-models.generatecontent
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from edge_service.dialects.canonical import Effort, Output, OutputKind, Reasoning, Request
from edge_service.dialects.gemini import client_tools, fields, words
from edge_service.dialects.gemini.client_contents import Contents
from edge_service.dialects.gemini.fields import Fields, wrong
from edge_service.dialects.gemini.schemas import json_schema
from edge_service.dialects.values import first_byte
from edge_service.domain.errors import InvalidRequestError

_BOUND = frozenset({"cachedContent", "continuationToken"})
"""Parts of the conversation that Google keeps."""

_CONFIG_BOUND = frozenset(
    {
        "speechConfig",
        "imageConfig",
        "responseFormat",
        "audioTranscriptionConfig",
        "translationConfig",
        "routingConfig",
        "modelSelectionConfig",
    }
)
"""They ask for another answer than text."""

_INDEX = re.compile(r"\[\d+\]")
"""What is left out is named once, and not for every message."""

_MAX_NAMES = 16
"""Enough to say what a request loses elsewhere, or why it cannot go there."""

_LEVELS = {
    "MINIMAL": Effort.MINIMAL,
    "LOW": Effort.LOW,
    "MEDIUM": Effort.MEDIUM,
    "HIGH": Effort.HIGH,
    "XHIGH": Effort.XHIGH,
}


def read(body: bytes, model: str, stream: bool) -> Request:
    """Raises `InvalidRequestError`, which names the field."""
    try:
        return of_fields(fields.whole(body), model, stream)
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error


def of_fields(body: Fields, model: str, stream: bool) -> Request:
    conversation = Contents()
    system = body.object("systemInstruction")
    if not body.has("contents"):
        raise InvalidRequestError("'contents' is missing: it holds the conversation", param=body.at("contents"))
    messages = [conversation.system(system)] if system is not None else []
    messages += [conversation.message(content) for content in body.objects("contents")]
    tools, unsaid, bound = client_tools.tools(body.objects("tools"))
    choice, left = client_tools.choice(body.object("toolConfig"))
    tier = body.text("serviceTier").lower()
    metadata = body.pairs("labels")
    body.raw("model")  # As the path has it.
    config = body.object("generationConfig") or Fields({}, body.at("generationConfig"))
    output, output_bound = _output(config)
    modalities = config.texts("responseModalities")
    if any(modality.upper() != "TEXT" for modality in modalities):
        bound.append(config.at("responseModalities"))
    thinking = config.object("thinkingConfig")
    asked = None if thinking is None else _reasoning(thinking)
    logprobs, top_logprobs = config.boolean("responseLogprobs"), config.integer("logprobs")
    request = Request(
        model=model,
        stream=stream,
        messages=tuple(message for message in messages if message.parts),
        tools=tools,
        tool_choice=choice,
        output=output,
        reasoning=asked,
        max_tokens=config.integer("maxOutputTokens"),
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.integer("topK"),
        seed=config.integer("seed"),
        presence_penalty=config.number("presencePenalty"),
        frequency_penalty=config.number("frequencyPenalty"),
        stop=config.texts("stopSequences"),
        n=config.integer("candidateCount"),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        service_tier=words.TIERS.get(tier, ""),
        metadata=metadata,
    )
    conversation.unsaid += [*unsaid, *left, *(thinking.left() if thinking is not None else ())]
    if tier and tier not in words.TIERS and tier not in ("unspecified", "service_tier_unspecified"):
        conversation.unsaid.append(body.at("serviceTier"))
    conversation.bound += [*bound, *output_bound]
    _sort(body, _BOUND, conversation)
    _sort(config, _CONFIG_BOUND, conversation)
    if not request.messages and not conversation.bound:
        raise InvalidRequestError("'contents' is empty: it holds the conversation", param=body.at("contents"))
    if not conversation.unsaid and not conversation.bound:
        return request
    return replace(
        request,
        unsaid=_once(_INDEX.sub("", path) for path in conversation.unsaid),
        bound=_once(conversation.bound),
    )


def _once(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(paths))[:_MAX_NAMES]


def _sort(left: Fields, bound: frozenset[str], conversation: Contents) -> None:
    for path in left.left():
        (conversation.bound if path.rpartition(".")[2] in bound else conversation.unsaid).append(path)


def _output(config: Fields) -> tuple[Output | None, list[str]]:
    """The form of the answer, and the paths of the fields that ask for one that other dialects do not have."""
    media_type = config.text("responseMimeType").lower()
    schema = config.raw("responseJsonSchema")
    own = config.raw("responseSchema")
    if media_type == "text/plain":
        return None, []
    if media_type not in ("", "application/json"):
        return None, [config.at("responseMimeType")]
    if schema is not None:
        if first_byte(schema) != b"{":
            raise wrong(config.at("responseJsonSchema"), "an object")
    elif own is not None:
        schema = json_schema(own, config.at("responseSchema"))
    if schema is not None:
        return Output(OutputKind.SCHEMA, schema), []
    return (Output(OutputKind.JSON) if media_type else None), []


def _reasoning(thinking: Fields) -> Reasoning:
    level = thinking.word("thinkingLevel")
    if level and level not in _LEVELS and level != "THINKING_LEVEL_UNSPECIFIED":
        raise wrong(thinking.at("thinkingLevel"), f"one of {', '.join(_LEVELS)}")
    return Reasoning(
        effort=_LEVELS.get(level),
        budget_tokens=thinking.integer("thinkingBudget"),
        shown=thinking.boolean("includeThoughts"),
    )
