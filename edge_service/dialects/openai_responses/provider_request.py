"""A request for a provider. It asks that nothing be kept, and for thoughts in a form that can be handed back.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Raw

from edge_service.dialects import reasoning, strictness
from edge_service.dialects.canonical import Choosing, Effort, Output, OutputKind, Request, Tool, ToolChoice
from edge_service.dialects.exchange import InexpressibleError, Written
from edge_service.dialects.openai_responses import models, terms, wire
from edge_service.dialects.openai_responses.models import Rules
from edge_service.dialects.openai_responses.provider_input import Items

MIN_OUTPUT_TOKENS = 16
"""Less is refused: https://github.com/earendil-works/pi/issues/6265"""

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{},"required":[],"additionalProperties":false}')


def write(request: Request, model: str) -> Written:
    """Raises `InexpressibleError`."""
    _check(request)
    rules = models.rules(model)
    items = Items(request.messages)
    said = _Said(request, rules, items.dropped)
    include = said.include()
    body: dict[str, Any] = {
        "model": model,
        **({"instructions": items.instructions} if items.instructions else {}),
        "input": items.items,
        **said.tools(),
        **said.text(),
        **said.reasoning(),
        **said.sampling(),
        **said.limits(),
        **said.about(),
        **({"include": include} if include else {}),
        "store": False,
    }
    if request.stream:
        body["stream"] = True
    return Written(wire.PATH, wire.encode(body), dropped=tuple(said.dropped))


def _check(request: Request) -> None:
    if request.bound:
        raise InexpressibleError(request.bound)
    if request.n is not None and request.n > 1:
        raise InexpressibleError(["n"])
    if any(request.stop):  # The answer would go on behind the place where the client wants it to end.
        raise InexpressibleError(["stop"])


_MODES: Mapping[Choosing, str] = MappingProxyType({mode: word for word, mode in terms.MODES.items()})


def _choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode is Choosing.NAMED:
        return {"type": "function", "name": choice.names[0]}
    if not choice.names or choice.mode is Choosing.NONE:
        return _MODES[choice.mode]
    allowed = [{"type": "function", "name": name} for name in choice.names]
    return {"type": "allowed_tools", "mode": _MODES[choice.mode], "tools": allowed}


class _Said:
    """What is written of a request, by subject, and what cannot be."""

    __slots__ = ("_effort", "_request", "_rules", "dropped")

    def __init__(self, request: Request, rules: Rules, dropped: Mapping[str, None]) -> None:
        self._request = request
        self._rules = rules
        self.dropped = dict(dropped)
        for name in _NEVER_SAID:
            self._drop(name, getattr(request, name))
        asked = request.reasoning
        word = None if asked is None else reasoning.effort(asked)
        self._effort = "" if word is None else rules.efforts.get(word, "")
        if word is Effort.NONE:
            self._drop("reasoning", rules.reasons and self._effort != "none")
        else:
            self._drop("reasoning", word is not None and not self._effort)

    def _drop(self, name: str, if_said: object = True) -> None:
        if if_said:
            self.dropped[name] = None

    @property
    def _is_thinking(self) -> bool:
        return bool(self._rules.reasons) and self._effort != "none"

    def tools(self) -> dict[str, Any]:
        request, choice = self._request, self._request.tool_choice
        if not request.tools:
            if choice is not None and choice.mode in (Choosing.REQUIRED, Choosing.NAMED):
                raise InexpressibleError(["tool_choice"])
            return {}
        said: dict[str, Any] = {"tools": [self._tool(tool) for tool in request.tools]}
        if choice is not None:
            said["tool_choice"] = _choice(choice)
        if request.parallel_tool_calls is not None:
            said["parallel_tool_calls"] = request.parallel_tool_calls
        return said

    def _tool(self, tool: Tool) -> dict[str, Any]:
        parameters = tool.parameters or _NO_PARAMETERS
        is_strict = bool(tool.strict) and strictness.takes(parameters)
        self._drop("tools.strict", tool.strict and not is_strict)
        return {
            "type": "function",
            "name": tool.name,
            **({"description": tool.description} if tool.description else {}),
            "parameters": parameters,
            # Unsaid would be: as strict as can be, with every parameter a required one.
            "strict": is_strict,
        }

    def include(self) -> list[str]:
        include = [terms.ENCRYPTED] if self._rules.reasons else []
        if self._request.logprobs:
            if self._is_thinking:
                self._drop("logprobs")
            else:
                include.append(terms.LOGPROBS)
        return include

    def text(self) -> dict[str, Any]:
        request = self._request
        said: dict[str, Any] = {}
        if request.output is not None:
            said["format"] = self._format(request.output)
        if request.verbosity and self._rules.reasons is not False:
            said["verbosity"] = request.verbosity
        self._drop("verbosity", request.verbosity and "verbosity" not in said)
        return {"text": said} if said else {}

    def _format(self, output: Output) -> dict[str, Any]:
        if output.kind is OutputKind.TEXT:
            return {"type": "text"}
        if output.schema is None:
            return {"type": "json_object"}
        said: dict[str, Any] = {"type": "json_schema", "name": output.name or "answer", "schema": output.schema}
        if output.description:
            said["description"] = output.description
        if output.strict is not None:
            said["strict"] = output.strict and strictness.takes(output.schema)
            self._drop("output.strict", output.strict and not said["strict"])
        return said

    def reasoning(self) -> dict[str, Any]:
        asked = self._request.reasoning
        if asked is None or self._rules.reasons is False:
            return {}
        said: dict[str, Any] = {}
        if self._effort:
            said["effort"] = self._effort
        if asked.shown is not False and (asked.summary or asked.shown):
            said["summary"] = asked.summary or "auto"
        return {"reasoning": said} if said else {}

    def sampling(self) -> dict[str, Any]:
        """What is 1 by default, and given as 1, is not missed where it cannot be said."""
        said: dict[str, Any] = {}
        for name in ("temperature", "top_p"):
            value = getattr(self._request, name)
            if value is not None and not self._is_thinking:
                said[name] = value
            self._drop(name, value is not None and name not in said and value != 1)
        top = self._request.top_logprobs
        if top is not None and self._request.logprobs and not self._is_thinking:
            said["top_logprobs"] = top
        return said

    def limits(self) -> dict[str, Any]:
        limit = self._request.max_tokens
        if limit is None:
            return {}
        self._drop("max_tokens", limit < MIN_OUTPUT_TOKENS)
        return {"max_output_tokens": max(limit, MIN_OUTPUT_TOKENS)}

    def about(self) -> dict[str, Any]:
        """The fields that say for whom, and how, the provider is to serve."""
        request = self._request
        said: dict[str, Any] = {}
        if request.metadata:
            said["metadata"] = dict(request.metadata)
        if request.user:
            long = len(request.user) > wire.MAX_ID_CHARS
            said["safety_identifier"] = hashlib.sha256(request.user.encode()).hexdigest() if long else request.user
        if request.service_tier in terms.ASKED_TIERS:
            said["service_tier"] = request.service_tier
        self._drop("service_tier", request.service_tier and "service_tier" not in said)
        return said


_NEVER_SAID = ("top_k", "seed", "presence_penalty", "frequency_penalty")
"""What the dialect has no words for. 0 is what the penalties are by default: nothing is lost with it."""
