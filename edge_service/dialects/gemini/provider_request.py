"""A request for a provider. The path is behind the provider's bare origin.

Source: https://ai.google.dev/api/generate-content#method:-models.generatecontent
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec

from edge_service.dialects.canonical import Choosing, Output, OutputKind, Request, Tool, ToolChoice
from edge_service.dialects.exchange import InexpressibleError, Written
from edge_service.dialects.gemini import models, words
from edge_service.dialects.gemini.models import Model
from edge_service.dialects.gemini.provider_contents import Contents

MAX_STOPS = 5
"""More are refused, and with fewer the answer would go on where it was to stop."""

_MAX_SEED = 2**31 - 1
_MAX_LOGPROBS = 20

# https://cloud.google.com/resource-manager/docs/labels-overview#requirements
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}\Z")
_MAX_LABELS = 64


def path(model: str, action: str) -> str:
    name = model if "/" in model else f"models/{model}"
    return f"/v1beta/{quote(name, safe='/')}:{action}"


def generate_path(model: str, *, stream: bool) -> str:
    """Streams are always asked for as server-sent events, whatever the client is to get."""
    return path(model, "streamGenerateContent?alt=sse" if stream else "generateContent")


def write(request: Request, model: str) -> Written:
    """Raises `InexpressibleError`."""
    body, dropped = fields(request, model)
    return Written(generate_path(model, stream=request.stream), msgspec.json.encode(body), dropped=dropped)


def fields(request: Request, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the body, and the names of those that are dropped."""
    if request.bound:
        raise InexpressibleError(request.bound)
    if len(request.stop) > MAX_STOPS:
        raise InexpressibleError(["stop"])
    model = models.of(name)
    conversation = Contents(request.messages, model)
    if model.signed_calls:
        conversation.sign()
    dropped = conversation.dropped
    if request.tools and _is_json(request.output) and not model.tools_and_json:
        raise InexpressibleError(["output"])
    body: dict[str, Any] = {"contents": conversation.contents}
    if conversation.system:
        body["systemInstruction"] = {"parts": conversation.system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
        if any(tool.strict for tool in request.tools):
            dropped["tools.strict"] = None
    if request.tool_choice is not None and request.tools:
        body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice)}
    config = _config(request, model, dropped)
    if config:
        body["generationConfig"] = config
    if request.metadata:
        if _are_labels(request):
            body["labels"] = dict(request.metadata)
        else:
            dropped["metadata"] = None
    if request.service_tier in words.TIERS_BACK:
        body["serviceTier"] = words.TIERS_BACK[request.service_tier]
    elif request.service_tier not in ("", "auto"):
        dropped["service_tier"] = None
    if request.parallel_tool_calls is False and request.tools:
        dropped["parallel_tool_calls"] = None
    for unsaid, value in (("user", request.user), ("verbosity", request.verbosity)):
        if value:
            dropped[unsaid] = None
    return body, tuple(dropped)


def _declaration(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.parameters is not None:
        written["parametersJsonSchema"] = tool.parameters
    return written


def _calling(choice: ToolChoice) -> dict[str, Any]:
    if not choice.names or choice.mode is Choosing.NONE:
        return {"mode": words.MODES[choice.mode]}
    # Names may stand with these two modes only; the one is `AUTO` with arguments that keep to the schema.
    mode = "VALIDATED" if choice.mode is Choosing.AUTO else "ANY"
    return {"mode": mode, "allowedFunctionNames": list(choice.names)}


def _is_json(output: Output | None) -> bool:
    return output is not None and output.kind is not OutputKind.TEXT


def _config(request: Request, model: Model, dropped: dict[str, None]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "candidateCount": request.n,
        "maxOutputTokens": request.max_tokens,
        "stopSequences": list(request.stop) or None,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "responseLogprobs": request.logprobs,
    }
    if request.top_logprobs is not None and request.logprobs:
        config["logprobs"] = min(request.top_logprobs, _MAX_LOGPROBS)
    if request.seed is not None:
        if abs(request.seed) <= _MAX_SEED:
            config["seed"] = request.seed
        else:
            dropped["seed"] = None
    if _is_json(request.output):
        assert request.output is not None  # noqa: S101 - it is JSON
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = request.output.schema
    if request.reasoning is not None:
        thinking = models.thinking_config(model, request.reasoning)
        if thinking is None:
            dropped["reasoning"] = None
        config["thinkingConfig"] = thinking or None
    return {name: value for name, value in config.items() if value is not None}


def _are_labels(request: Request) -> bool:
    return len(request.metadata) <= _MAX_LABELS and all(
        _LABEL.match(key) and _LABEL_VALUE.match(value) for key, value in request.metadata.items()
    )
