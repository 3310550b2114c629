"""What clients ask by each library, what providers must have received in each API, and what they answer.

A scenario is written once for each library and once for each API, and holds for every pair of them. Where a request
passes through, what the client has said is what is received.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.genai import types

from tests.support.replies import Call, Reply
from tests.support.sdks import Weather


@dataclass(frozen=True)
class Scenario:
    reply: Reply
    asks: Mapping[str, Mapping[str, Any]]
    """By client: what its library's method takes, but for the model."""
    receives: Mapping[str, Mapping[str, Any]]
    """By API: what must be in the request's body."""
    native: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By API: what must be in it where it passes through, if that is not what its library was asked."""
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By client and API, `client>api`: what is otherwise in the body of such a pair, by field."""
    thinks: bool = False
    """It is put to a model that does."""


PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR").decode()
PNG = f"data:image/png;base64,{PIXEL}"
URL = "https://example.com/cat.png"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def contents(*turns: str) -> list[dict[str, Any]]:
    """Gemini's, of the user and the model in turns."""
    return [{"role": ("user", "model")[i % 2], "parts": [{"text": text}]} for i, text in enumerate(turns)]


HELLO = [user("hello")]

CONVERSATION = Scenario(
    reply=Reply("well met"),
    asks={
        "chat": {
            "messages": [
                {"role": "system", "content": "be brief"},
                user("hello"),
                {"role": "assistant", "content": "hail"},
                user("and you?"),
            ],
            "max_tokens": 100,
        },
        "responses": {
            "instructions": "be brief",
            "input": [user("hello"), {"role": "assistant", "content": "hail"}, user("and you?")],
            "max_output_tokens": 100,
        },
        "anthropic": {
            "system": "be brief",
            "messages": [user("hello"), {"role": "assistant", "content": "hail"}, user("and you?")],
            "max_tokens": 100,
        },
        "gemini": {
            "contents": contents("hello", "hail", "and you?"),
            "config": {"system_instruction": "be brief", "max_output_tokens": 100},
        },
    },
    receives={
        "chat": {
            "model": "gpt-4.1",
            "messages": [
                {"role": "system", "content": "be brief"},
                user("hello"),
                {"role": "assistant", "content": "hail"},
                user("and you?"),
            ],
            "max_tokens": 100,
        },
        "responses": {
            "model": "gpt-4.1",
            "instructions": "be brief",
            "input": [user("hello"), {"role": "assistant"}, user("and you?")],
            "max_output_tokens": 100,
            "store": False,
        },
        "anthropic": {
            "model": "claude-sonnet-4-5",
            "system": "be brief",
            "messages": [user("hello"), {"role": "assistant", "content": "hail"}, user("and you?")],
            "max_tokens": 100,
        },
        "gemini": {
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": contents("hello", "hail", "and you?"),
            "generationConfig": {"maxOutputTokens": 100},
        },
    },
)

CALLS = (Call("call_1", "weather", {"city": "Köln"}), Call("call_2", "weather", {"city": "Oslo"}))
_NAMED = {"name": "weather", "description": "of a city"}
TOOLS: Mapping[str, list[dict[str, Any]]] = {
    "chat": [{"type": "function", "function": {**_NAMED, "parameters": CITY}}],
    "responses": [{"type": "function", **_NAMED, "parameters": CITY, "strict": False}],
    "anthropic": [{**_NAMED, "input_schema": CITY}],
    "gemini": [{"function_declarations": [{**_NAMED, "parameters_json_schema": CITY}]}],
}
_CHOICE = {"tool_choice": "required", "parallel_tool_calls": True}
_ANY = {"type": "any", "disable_parallel_tool_use": False}
_FORCED = {"function_calling_config": {"mode": "ANY"}}
CALLING = Scenario(
    reply=Reply(calls=CALLS, finish="calls"),
    asks={
        "chat": {"messages": HELLO, "tools": TOOLS["chat"], **_CHOICE},
        "responses": {"input": HELLO, "tools": TOOLS["responses"], **_CHOICE},
        "anthropic": {"messages": HELLO, "max_tokens": 100, "tools": TOOLS["anthropic"], "tool_choice": _ANY},
        "gemini": {"contents": contents("hello"), "config": {"tools": TOOLS["gemini"], "tool_config": _FORCED}},
    },
    receives={
        "chat": {"tools": TOOLS["chat"], "tool_choice": "required"},
        "responses": {"tools": TOOLS["responses"], "tool_choice": "required"},
        "anthropic": {"tools": TOOLS["anthropic"], "tool_choice": {"type": "any"}},
        "gemini": {
            "tools": [{"functionDeclarations": [{**_NAMED, "parametersJsonSchema": CITY}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        },
    },
)


def _chat_call(id_: str, city: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}


def _call_item(id_: str, city: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id_, "name": "weather", "arguments": f'{{"city":"{city}"}}'}


def _tool_use(id_: str, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "weather", "input": {"city": city}}


def _function_call(id_: str, city: str, case: str = "functionCall") -> dict[str, Any]:
    return {case: {"id": id_, "name": "weather", "args": {"city": city}}}


def _function_response(id_: str, output: str, case: str = "functionResponse") -> dict[str, Any]:
    return {case: {"id": id_, "name": "weather", "response": {"output": output}}}


_CHAT_RESULTS = [
    user("weather?"),
    {
        "role": "assistant",
        "content": "let me look",
        "tool_calls": [_chat_call("call_1", "Rome"), _chat_call("call_2", "Oslo")],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    {"role": "tool", "tool_call_id": "call_2", "content": "snow"},
]
_ITEMS = [
    user("weather?"),
    {"role": "assistant", "content": "let me look"},
    _call_item("call_1", "Rome"),
    _call_item("call_2", "Oslo"),
    {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    {"type": "function_call_output", "call_id": "call_2", "output": "snow"},
]
_BLOCKS = [
    user("weather?"),
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "let me look"},
            _tool_use("call_1", "Rome"),
            _tool_use("call_2", "Oslo"),
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "snow"},
        ],
    },
]
RESULTS = Scenario(
    reply=Reply("rain in Rome, snow in Oslo"),
    asks={
        "chat": {"messages": _CHAT_RESULTS, "tools": TOOLS["chat"]},
        "responses": {"input": _ITEMS, "tools": TOOLS["responses"]},
        "anthropic": {"messages": _BLOCKS, "max_tokens": 100, "tools": TOOLS["anthropic"]},
        "gemini": {
            "contents": [
                {"role": "user", "parts": [{"text": "weather?"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "let me look"},
                        _function_call("call_1", "Rome", "function_call"),
                        _function_call("call_2", "Oslo", "function_call"),
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        _function_response("call_1", "rain", "function_response"),
                        _function_response("call_2", "snow", "function_response"),
                    ],
                },
            ],
            "config": {"tools": TOOLS["gemini"]},
        },
    },
    receives={
        "chat": {"messages": _CHAT_RESULTS},
        "responses": {
            "input": [
                user("weather?"),
                {"role": "assistant"},
                _call_item("call_1", "Rome"),
                _call_item("call_2", "Oslo"),
                {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
                {"type": "function_call_output", "call_id": "call_2", "output": "snow"},
            ]
        },
        "anthropic": {"messages": _BLOCKS},
        "gemini": {
            "contents": [
                {"role": "user", "parts": [{"text": "weather?"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "let me look"},
                        _function_call("call_1", "Rome"),
                        _function_call("call_2", "Oslo"),
                    ],
                },
                {"role": "user", "parts": [_function_response("call_1", "rain"), _function_response("call_2", "snow")]},
            ]
        },
    },
)


def _images(chat: str, source: dict[str, Any], part: dict[str, Any], sent: dict[str, Any]) -> Scenario:
    """A question about an image: its URL for OpenAI, its source for Anthropic, its part for Google's library and as
    it is sent."""
    asks_chat = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": chat}}],
        }
    ]
    asks_responses = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "what?"},
                {"type": "input_image", "image_url": chat, "detail": "auto"},
            ],
        }
    ]
    blocks = [{"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]}]
    return Scenario(
        reply=Reply("a cat"),
        asks={
            "chat": {"messages": asks_chat},
            "responses": {"input": asks_responses},
            "anthropic": {"messages": blocks, "max_tokens": 100},
            "gemini": {"contents": [{"role": "user", "parts": [{"text": "what?"}, part]}]},
        },
        receives={
            "chat": {"messages": asks_chat},
            "responses": {"input": [{"role": "user", "content": [{"text": "what?"}, {"image_url": chat}]}]},
            "anthropic": {"messages": blocks},
            "gemini": {"contents": [{"role": "user", "parts": [{"text": "what?"}, sent]}]},
        },
    )


IMAGE = _images(
    PNG,
    {"type": "base64", "media_type": "image/png", "data": PIXEL},
    {"inline_data": {"mime_type": "image/png", "data": base64.b64decode(PIXEL)}},
    {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
)
IMAGE_BY_URL = _images(
    URL,
    {"type": "url", "url": URL},
    {"file_data": {"mime_type": "image/png", "file_uri": URL}},
    {"fileData": {"mimeType": "image/png", "fileUri": URL}},
)

_FIELDS = {"properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}}, "required": ["city", "degrees"]}
SCHEMA = Scenario(
    reply=Reply('{"city": "Oslo", "degrees": -3}'),
    asks={
        "chat": {"messages": HELLO, "response_format": Weather},
        "responses": {"input": HELLO, "text_format": Weather},
        "anthropic": {"messages": HELLO, "max_tokens": 100, "output_format": Weather},
        "gemini": {
            "contents": contents("hello"),
            "config": {"response_mime_type": "application/json", "response_schema": Weather},
        },
    },
    receives={
        "chat": {"response_format": {"type": "json_schema", "json_schema": {"schema": _FIELDS}}},
        "responses": {"text": {"format": {"type": "json_schema", "schema": _FIELDS}}},
        "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": _FIELDS}}},
        "gemini": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": _FIELDS}},
    },
    native={
        "chat": {"response_format": {"json_schema": {"name": "Weather", "strict": True, "schema": _FIELDS}}},
        "responses": {"text": {"format": {"name": "Weather", "strict": True, "schema": _FIELDS}}},
        "anthropic": {"output_config": {"format": {"schema": _FIELDS}}},
        "gemini": {"generationConfig": {"responseSchema": {"type": "OBJECT", "required": ["city", "degrees"]}}},
    },
)

REASONING = Scenario(
    reply=Reply("42", thought="six times seven"),
    thinks=True,
    asks={
        "chat": {"messages": HELLO, "reasoning_effort": "high"},
        "responses": {
            "input": HELLO,
            "reasoning": {"effort": "high", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        },
        "anthropic": {
            "messages": HELLO,
            "max_tokens": 20000,
            "thinking": {"type": "enabled", "budget_tokens": 10000, "display": "summarized"},
        },
        "gemini": {
            "contents": contents("hello"),
            "config": {"thinking_config": {"thinking_level": "HIGH", "include_thoughts": True}},
        },
    },
    receives={
        "chat": {"model": "gpt-5.2", "reasoning_effort": "high"},
        "responses": {
            "model": "gpt-5.2",
            "reasoning": {"effort": "high"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        },
        "anthropic": {"thinking": {"type": "enabled"}},
        "gemini": {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}},
    },
)

SAMPLING = Scenario(
    reply=Reply("well met"),
    asks={
        "chat": {"messages": HELLO, "temperature": 0.5, "max_tokens": 7, "stop": ["END", "FIN"]},
        "responses": {"input": HELLO, "temperature": 0.5, "max_output_tokens": 17},
        "anthropic": {
            "messages": HELLO,
            "max_tokens": 7,
            "stop_sequences": ["END", "FIN"],
            "extra_body": {"temperature": 0.5},
        },
        "gemini": {
            "contents": contents("hello"),
            "config": {"temperature": 0.5, "max_output_tokens": 7, "stop_sequences": ["END", "FIN"]},
        },
    },
    receives={
        "chat": {"temperature": 0.5, "max_tokens": 7, "stop": ["END", "FIN"]},
        "responses": {"temperature": 0.5, "max_output_tokens": 17},
        "anthropic": {"temperature": 0.5, "max_tokens": 7, "stop_sequences": ["END", "FIN"]},
        "gemini": {"generationConfig": {"temperature": 0.5, "maxOutputTokens": 7, "stopSequences": ["END", "FIN"]}},
    },
    native={"anthropic": {"temperature": 0.5, "max_tokens": 7, "stop_sequences": ["END", "FIN"]}},
    # The one library that knows no stop sequences.
    fields={
        "responses>chat": {"temperature": 0.5, "max_tokens": 17},
        "responses>anthropic": {"temperature": 0.5, "max_tokens": 17},
        "responses>gemini": {"generationConfig": {"temperature": 0.5, "maxOutputTokens": 17}},
    },
)

_SHORT = {
    "chat": {"messages": HELLO, "max_tokens": 16},
    "responses": {"input": HELLO, "max_output_tokens": 16},
    "anthropic": {"messages": HELLO, "max_tokens": 16},
    "gemini": {"contents": contents("hello"), "config": {"max_output_tokens": 16}},
}
_SHORT_RECEIVED = {
    "chat": {"max_tokens": 16},
    "responses": {"max_output_tokens": 16},
    "anthropic": {"max_tokens": 16},
    "gemini": {"generationConfig": {"maxOutputTokens": 16}},
}

SCENARIOS: Mapping[str, Scenario] = {
    "a conversation": CONVERSATION,
    "tools": CALLING,
    "results of tools": RESULTS,
    "an image": IMAGE,
    "an image by URL": IMAGE_BY_URL,
    "a schema": SCHEMA,
    "reasoning": REASONING,
    "sampling": SAMPLING,
    "length": Scenario(Reply("well m", finish="length"), _SHORT, _SHORT_RECEIVED),
    "a refusal": Scenario(Reply("I would rather not", finish="refused"), _SHORT, _SHORT_RECEIVED),
}


# --- The second turn after `REASONING`

THOUGHTS: Mapping[str, Reply] = {
    "an answer": REASONING.reply,
    "calls": Reply(thought="I must look", calls=CALLS, finish="calls"),
}
"""What a model may do after it has thought."""


def turns(client: str, reply: Reply, model: str) -> dict[str, Any]:
    """The first request, for an answer of this kind."""
    asked = {"model": model, **REASONING.asks[client]}
    if reply.calls and client == "gemini":
        asked["config"] = {**asked["config"], "tools": TOOLS["gemini"]}
    elif reply.calls:
        asked["tools"] = TOOLS[client]
    return asked


def second(client: str, asked: Mapping[str, Any], said: list[Any], reply: Reply) -> dict[str, Any]:
    """The next request, with what the client was told and what it says to it."""
    conversation = {"responses": "input", "gemini": "contents"}.get(client, "messages")
    next_ = [_RESULT[client](call) for call in reply.calls] or [_WHY[client]]
    if client == "anthropic" and reply.calls:
        next_ = [{"role": "user", "content": next_}]
    elif client == "gemini":
        next_ = [types.Content(role="user", parts=next_)]
    return {**asked, conversation: [*asked[conversation], *said, *next_]}


_WHY: Mapping[str, Any] = {
    **dict.fromkeys(("chat", "responses", "anthropic"), user("and why?")),
    "gemini": types.Part(text="and why?"),
}
_RESULT: Mapping[str, Callable[[Call], Any]] = {
    "chat": lambda call: {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    "responses": lambda call: {"type": "function_call_output", "call_id": call.id, "output": "rain"},
    "anthropic": lambda call: {"type": "tool_result", "tool_use_id": call.id, "content": "rain"},
    "gemini": lambda call: types.Part(
        function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "rain"})
    ),
}
