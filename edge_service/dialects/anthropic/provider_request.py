"""A request for a provider.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from msgspec import Raw

from edge_service.dialects import reasoning
from edge_service.dialects.anthropic import models, schemas, terms, wire
from edge_service.dialects.anthropic.models import Rules
from edge_service.dialects.anthropic.provider_messages import Messages
from edge_service.dialects.anthropic.schemas import Grammar
from edge_service.dialects.canonical import Choosing, Effort, OutputKind, Request, Tool
from edge_service.dialects.exchange import InexpressibleError, Written

MIN_BUDGET_TOKENS = 1024

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{},"additionalProperties":false}')


def write(request: Request, model: str, max_output_tokens: int = 0) -> Written:
    """`max_output_tokens` is the most that the model writes; 0 where it is not known. Raises `InexpressibleError`."""
    if request.n is not None and request.n > 1:
        raise InexpressibleError(["n"])
    rules = models.rules(model)
    if max_output_tokens:
        rules = replace(rules, max_tokens=max_output_tokens, most_tokens=max_output_tokens)
    said = _Said(request, rules)
    thinking = _think(said)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": thinking.max_tokens,
        **said.messages.fields(),
        **said.tools,
        **thinking.fields(said.format),
        **_sampling(said, is_thinking=thinking.config.get("type") in ("enabled", "adaptive")),
    }
    stop = [each for each in request.stop if each.strip()]
    if stop:
        body["stop_sequences"] = stop
    said.drop("stop", len(stop) < len(request.stop))
    if request.user:
        body["metadata"] = {"user_id": request.user}
    tier = terms.WRITTEN_TIERS.get(request.service_tier)
    if tier:
        body["service_tier"] = tier
    said.drop("service_tier", bool(request.service_tier) and tier is None)
    for name in _NEVER_SAID:
        said.drop(name, bool(getattr(request, name)))
    if request.stream:
        body["stream"] = True
    return Written(wire.MESSAGES_PATH, wire.encode(body), wire.version([]), tuple(said.dropped))


def write_count(request: Request, model: str) -> Written:
    """The request to count tokens. Fields that concern only the answer are left out, and not named as dropped. Raises
    `InexpressibleError`."""
    said = _Said(request, models.rules(model))
    thinking = _think(said)
    body = {"model": model, **said.messages.fields(), **said.tools, **thinking.fields(said.format)}
    return Written(wire.COUNT_PATH, wire.encode(body), wire.version([]), tuple(said.dropped))


_NEVER_SAID = (
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "metadata",
)
"""What the dialect has no words for. 0 and false are what they are by default: nothing is lost with them."""


class _Said:
    """What is written of a request, and what cannot be."""

    __slots__ = ("dropped", "format", "messages", "request", "rules", "tools")

    def __init__(self, request: Request, rules: Rules) -> None:
        if request.bound:
            raise InexpressibleError(request.bound)
        self.request = request
        self.rules = rules
        self.messages = Messages(request.messages)
        self.dropped: dict[str, None] = dict(self.messages.dropped)
        self.tools = self._tools()
        self.format = self._format()
        self.drop("output.description", request.output is not None and bool(request.output.description))

    def drop(self, name: str, if_said: bool = True) -> None:
        if if_said:
            self.dropped[name] = None

    def _tools(self) -> dict[str, Any]:
        choice = self.request.tool_choice
        tools = self.request.tools
        if choice is not None and choice.names and choice.mode is not Choosing.NAMED:
            # The dialect cannot forbid single tools; but tools that are not there cannot be chosen.
            tools = tuple(tool for tool in tools if tool.name in choice.names)
        if not tools:
            if choice is not None and choice.mode in (Choosing.REQUIRED, Choosing.NAMED):
                raise InexpressibleError(["tool_choice"])
            return {}
        grammars = self._grammars(tools)
        said: dict[str, Any] = {"tools": [_tool(tool, grammars) for tool in tools]}
        wire_choice: dict[str, Any] = {"type": _MODES[choice.mode if choice is not None else Choosing.AUTO]}
        if choice is not None and choice.mode is Choosing.NAMED:
            wire_choice["name"] = choice.names[0]
        if self.request.parallel_tool_calls is not None and wire_choice["type"] != "none":
            wire_choice["disable_parallel_tool_use"] = not self.request.parallel_tool_calls
        elif choice is None:
            return said
        return {**said, "tool_choice": wire_choice}

    def _grammars(self, tools: Iterable[Tool]) -> dict[str, Grammar]:
        """Those of the tools that can be strict, by name: of no tool if all together are too much."""
        strict = [tool for tool in tools if tool.strict]
        grammars: dict[str, Grammar] = {}
        for tool in strict:
            with contextlib.suppress(InexpressibleError):
                grammars[tool.name] = Grammar(tool.parameters or _NO_PARAMETERS)
        if schemas.are_too_much(grammars.values()):
            grammars = {}
        self.drop("tools.strict", len(grammars) < len(strict) or any(each.loses for each in grammars.values()))
        return grammars

    def _format(self) -> dict[str, Any] | None:
        output = self.request.output
        if output is None or output.kind is OutputKind.TEXT:
            return None
        if output.schema is None:  # JSON of any form: the dialect has only schemas.
            raise InexpressibleError(["output"])
        grammar = Grammar(output.schema)
        self.drop("output.schema", grammar.loses)
        return {"type": "json_schema", "schema": grammar.schema}


_MODES = MappingProxyType(
    {Choosing.AUTO: "auto", Choosing.NONE: "none", Choosing.REQUIRED: "any", Choosing.NAMED: "tool"}
)


def _tool(tool: Tool, grammars: Mapping[str, Grammar]) -> dict[str, Any]:
    grammar = grammars.get(tool.name)
    schema = grammar.schema if grammar is not None else tool.parameters or _NO_PARAMETERS
    said: dict[str, Any] = {"name": tool.name, "input_schema": schema}
    if tool.description:
        said["description"] = tool.description
    if tool.strict is not None:
        said["strict"] = grammar is not None
    return said


@dataclass(frozen=True, slots=True)
class _Thinking:
    max_tokens: int
    config: dict[str, Any] = field(default_factory=dict)
    """Empty to say nothing."""
    effort: str = ""

    def fields(self, output_format: dict[str, Any] | None) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if self.config:
            said["thinking"] = self.config
        config: dict[str, Any] = {}
        if self.effort:
            config["effort"] = self.effort
        if output_format is not None:
            config["format"] = output_format
        if config:
            said["output_config"] = config
        return said


def _think(said: _Said) -> _Thinking:
    """How the model is to think, and what it may write in all."""
    rules, asked, limit = said.rules, said.request.reasoning, said.request.max_tokens
    budget = None if asked is None else reasoning.budget_tokens(asked)
    max_tokens = rules.max_tokens if limit is None else limit
    if asked is None or budget is None:
        return _Thinking(max_tokens)
    if budget == 0:
        said.drop("reasoning", rules.thinks_always)
        return _Thinking(max_tokens, {} if rules.thinks_always else {"type": "disabled"})
    word = reasoning.effort(asked)
    effort = "" if word is None else rules.efforts.get(word, "")
    if not rules.efforts:
        budget = reasoning.BUDGETS[word or Effort.MEDIUM] if budget < 0 else budget
        if limit is None:
            max_tokens = min(max_tokens + budget, rules.most_tokens)
        budget = _fitting(budget, max_tokens)
    if budget == 0 or _is_impeded(said):
        said.drop("reasoning")
        return _Thinking(max_tokens, effort=effort)
    config: dict[str, Any] = {"type": "adaptive"} if rules.efforts else {"type": "enabled", "budget_tokens": budget}
    shown = asked.shown if asked.shown is not None or not asked.summary else True
    if shown is not None:
        config["display"] = "summarized" if shown else "omitted"
    return _Thinking(max_tokens, config, effort)


def _fitting(budget_tokens: int, max_tokens: int) -> int:
    """Below the limit of what is written in all, so that a quarter of it is left for the answer; 0 if there is no room
    for the least of budgets."""
    fitting = max(budget_tokens, MIN_BUDGET_TOKENS)
    if fitting >= max_tokens:
        fitting = max_tokens - max_tokens // 4
    return fitting if MIN_BUDGET_TOKENS <= fitting < max_tokens else 0


def _is_impeded(said: _Said) -> bool:
    """Whether something else in the request rules out thinking: a call that must be made, an answer that has been
    begun, or, with a budget, calls without the thoughts before them."""
    choice = said.request.tool_choice
    forced = choice is not None and choice.mode in (Choosing.REQUIRED, Choosing.NAMED)
    return forced or said.messages.is_prefilled or (not said.rules.efforts and said.messages.lacks_thought)


MIN_TOP_P_THINKING = 0.95


def _sampling(said: _Said, *, is_thinking: bool) -> dict[str, Any]:
    """What is 1 by default, and given as 1, is not missed where it cannot be said."""
    rules, request = said.rules, said.request
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if temperature is not None and not 0 <= temperature <= 1:
        said.drop("temperature")
        temperature = min(max(temperature, 0.0), 1.0)
    if temperature is not None and (is_thinking or not rules.samples):
        said.drop("temperature", temperature != 1)
        temperature = None
    if top_k is not None and (is_thinking or not rules.samples):
        said.drop("top_k")
        top_k = None
    if top_p is not None and (
        not rules.samples
        or (is_thinking and top_p < MIN_TOP_P_THINKING)
        or (temperature is not None and not rules.samples_both)
    ):
        said.drop("top_p", top_p != 1)
        top_p = None
    values = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    return {name: value for name, value in values.items() if value is not None}
