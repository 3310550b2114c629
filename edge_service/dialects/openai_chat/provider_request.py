"""A request for a provider.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from edge_service.dialects import reasoning, strictness
from edge_service.dialects.canonical import Choosing, Effort, Output, OutputKind, Request, Tool, ToolChoice
from edge_service.dialects.exchange import InexpressibleError, Written
from edge_service.dialects.openai_chat import models, wire
from edge_service.dialects.openai_chat.provider_messages import Messages
from edge_service.dialects.openai_chat.quirks import Quirks

_MAX_USER_CHARS = 64
"""OpenAI refuses longer ones."""


def write(request: Request, model: str, quirks: Quirks) -> Written:
    """Raises `InexpressibleError`."""
    if request.bound:
        raise InexpressibleError(request.bound)
    messages = Messages(request.messages, model, quirks)
    said = _Said(request, model, quirks, messages)
    said.scalars()
    said.stop()
    said.tools()
    said.output()
    said.reasoning()
    said.user()
    said.stream()
    return Written(wire.PATH, wire.encode(said.body), dropped=tuple(said.dropped))


_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "max_tokens": None,
        "temperature": 1,
        "top_p": 1,
        "top_k": None,
        "seed": None,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "n": 1,
        "logprobs": False,
        "top_logprobs": 0,
        "verbosity": "",
        "service_tier": "auto",
        "metadata": None,
    }
)
"""What is written as it is, and the value that is not missed where it cannot be."""

_COMMON_EFFORTS = (Effort.LOW, Effort.MEDIUM, Effort.HIGH)


class _Said:
    """What is written of a request, and what cannot be."""

    __slots__ = ("_model", "_quirks", "_request", "_rules", "body", "dropped")

    def __init__(self, request: Request, model: str, quirks: Quirks, messages: Messages) -> None:
        self._request = request
        self._model = model
        self._quirks = quirks
        self._rules = models.rules(model)
        self.body: dict[str, Any] = {"model": model, "messages": messages.written}
        self.dropped: dict[str, None] = messages.dropped

    def _drop(self, name: str) -> None:
        self.dropped[name] = None

    def _knows(self, name: str) -> bool:
        return name not in self._quirks.unknown

    def scalars(self) -> None:
        request = self._request
        for name, default in _DEFAULTS.items():
            value = getattr(request, name)
            if value is None or value in ("", {}):
                continue
            if not self._knows(name) or (name in self._rules.fixed and value != default):
                if value == default:
                    continue
                if name == "n":
                    raise InexpressibleError(["n"])
                self._drop(name)
            elif name == "max_tokens":
                self.body[self._rules.max_tokens or self._quirks.max_tokens] = value
            elif name != "top_logprobs" or request.logprobs:
                self.body[name] = dict(value) if name == "metadata" else value

    def stop(self) -> None:
        stop = [each for each in self._request.stop if each]
        if not stop:
            return
        if len(stop) > self._quirks.max_stops or not self._rules.stops or not self._knows("stop"):
            raise InexpressibleError(["stop"])
        self.body["stop"] = stop

    def tools(self) -> None:
        request, choice = self._request, self._request.tool_choice
        tools = request.tools
        if choice is not None and choice.names and choice.mode is not Choosing.NAMED:
            # Few know how to allow some of the tools; but those that are not there cannot be chosen.
            names = frozenset(choice.names)
            tools = tuple(tool for tool in tools if tool.name in names)
        if not tools:
            if choice is not None and choice.mode in (Choosing.REQUIRED, Choosing.NAMED):
                raise InexpressibleError(["tool_choice"])
            return
        if not self._knows("tools"):
            raise InexpressibleError(["tools"])
        if choice is not None and choice.mode is not Choosing.AUTO and not self._knows("tool_choice"):
            if choice.mode is Choosing.NONE:
                return  # What is not there cannot be called.
            raise InexpressibleError(["tool_choice"])
        self.body["tools"] = [self._tool(tool) for tool in tools]
        if choice is not None and self._knows("tool_choice"):
            self.body["tool_choice"] = _choice(choice)
        if request.parallel_tool_calls is not None:
            if self._knows("parallel_tool_calls"):
                self.body["parallel_tool_calls"] = request.parallel_tool_calls
            elif not request.parallel_tool_calls:
                self._drop("parallel_tool_calls")

    def _tool(self, tool: Tool) -> dict[str, Any]:
        function: dict[str, Any] = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        if tool.parameters is not None:
            function["parameters"] = tool.parameters
        is_strict = bool(tool.strict) and (tool.parameters is None or strictness.takes(tool.parameters))
        if tool.strict is not None and self._knows("tools.strict"):
            function["strict"] = is_strict
        if tool.strict and not function.get("strict"):
            self._drop("tools.strict")
        return {"type": "function", "function": function}

    def output(self) -> None:
        output = self._request.output
        if output is None or output.kind is OutputKind.TEXT:
            return
        if not self._knows("output") or (output.schema is not None and not self._knows("output.schema")):
            raise InexpressibleError(["output"])
        if output.schema is None:
            self.body["response_format"] = {"type": "json_object"}
            return
        is_strict = bool(output.strict) and strictness.takes(output.schema)
        if output.strict and not is_strict:
            self._drop("output.strict")
        self.body["response_format"] = _schema(output, is_strict=is_strict)

    def reasoning(self) -> None:
        asked = self._request.reasoning
        if asked is None:
            return
        quirks = self._quirks
        if not quirks.efforts and self._rules.reasons:
            quirks = replace(quirks, efforts=_COMMON_EFFORTS)
        word = reasoning.effort(asked)
        if word is None:
            return  # It is left to the model.
        if not quirks.efforts or self._rules.reasons is False or not self._knows("reasoning"):
            if word is not Effort.NONE:
                self._drop("reasoning")
            return
        nearest = quirks.effort(word)
        if nearest is not word:
            self._drop("reasoning.effort")
        if quirks.effort_within:
            self.body[quirks.effort_within] = {"effort": nearest.value}
        else:
            self.body["reasoning_effort"] = nearest.value

    def user(self) -> None:
        user = self._request.user
        if user and self._knows("user"):
            # It is known again by its digest as well.
            fits = len(user) <= _MAX_USER_CHARS
            self.body["user"] = user if fits else hashlib.sha256(user.encode()).hexdigest()
        elif user:
            self._drop("user")

    def stream(self) -> None:
        if self._request.stream:
            self.body["stream"] = True
            if self._knows("stream_options"):
                self.body["stream_options"] = {"include_usage": True}


_MODES = MappingProxyType({Choosing.AUTO: "auto", Choosing.NONE: "none", Choosing.REQUIRED: "required"})


def _choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode is Choosing.NAMED:
        return {"type": "function", "function": {"name": choice.names[0]}}
    return _MODES[choice.mode]


_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


def _schema(output: Output, *, is_strict: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"name": _NOT_IN_NAMES.sub("_", output.name)[:64] or "answer", "schema": output.schema}
    if output.description:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = is_strict
    return {"type": "json_schema", "json_schema": schema}
