"""The rows of the tables in docs/dialects.md: single features of requests and answers, and what the edge's code makes
of each between a client and a provider."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from edge_service.dialects import asked, asked_responses
from edge_service.dialects.exchange import Asked, InexpressibleError
from edge_service.domain.plan import Attempt
from tests.support.replies import SIGNATURE, Call, Reply, Usage, streamed, whole

CLIENTS: Mapping[str, str] = MappingProxyType(
    {
        "chat": "chat completions",
        "responses": "the Responses API",
        "anthropic": "Anthropic's API",
        "gemini": "Gemini's API",
    }
)
PROVIDERS: Mapping[str, str] = MappingProxyType(
    {"chat": "OpenAI", "responses": "OpenAI with Responses", "anthropic": "Anthropic", "gemini": "Gemini"}
)
"""The providers by their API, with the names that the tables have for them."""

PASSED, TRANSLATED, DROPPED, REFUSED, LOST, NONE = "passed", "translated", "dropped", "refused", "lost", "-"


@dataclass(frozen=True)
class Asking:
    """Something that requests ask."""

    asks: Mapping[str, Mapping[str, Any]]
    """By client: the fields of a request that ask for it. A client that is not here has no such fields."""
    marks: tuple[str, ...]
    """One of these is in the body of a provider's request, JSON without spaces, if it is asked."""
    thinks: bool = False
    """It takes a reasoning model."""


@dataclass(frozen=True)
class Answering:
    """Something that answers tell."""

    reply: Reply
    marks: Mapping[str, tuple[str, ...]]
    """By client: one of these is in its answer, whole and streamed, if it is told."""
    tells: frozenset[str] = frozenset(PROVIDERS)
    """The APIs of providers that can."""


# --- Requests


def _turn(chat: Any = None, responses: Any = None, anthropic: Any = None, gemini: Any = None) -> dict[str, Any]:
    """One part of what the user says, beside a text."""
    text: Mapping[str, Any] = {"type": "text", "text": "what is it?"}
    said = {
        "chat": {"messages": [{"role": "user", "content": [chat, text]}]},
        "responses": {"input": [{"role": "user", "content": [responses, {**text, "type": "input_text"}]}]},
        "anthropic": {"messages": [{"role": "user", "content": [anthropic, text]}]},
        "gemini": {"contents": [{"role": "user", "parts": [gemini, {"text": "what is it?"}]}]},
    }
    given = {"chat": chat, "responses": responses, "anthropic": anthropic, "gemini": gemini}
    return {client: fields for client, fields in said.items() if given[client] is not None}


def _config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


_SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
_TOOLS: Mapping[str, Any] = {
    "chat": [{"type": "function", "function": {"name": "weather", "parameters": _SCHEMA}}],
    "responses": [{"type": "function", "name": "weather", "parameters": _SCHEMA}],
    "anthropic": [{"name": "weather", "input_schema": _SCHEMA}],
    "gemini": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": _SCHEMA}]}],
}


def _with_tools(**fields: Mapping[str, Any]) -> dict[str, Any]:
    return {client: {"tools": _TOOLS[client], **more} for client, more in fields.items()}


def _results(error: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Two calls and their results, of which the second may be an error."""
    calls = [("call_1", "Rome", "rain"), ("call_2", "Oslo", "snow-in-Oslo")]
    function = [{"name": "weather", "arguments": json.dumps({"town": town})} for _, town, _ in calls]
    failed = error is not None
    return _with_tools(
        chat={
            "messages": [
                {"role": "user", "content": "weather?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": id_, "type": "function", "function": made}
                        for (id_, _, _), made in zip(calls, function, strict=True)
                    ],
                },
                *({"role": "tool", "tool_call_id": id_, "content": result} for id_, _, result in calls),
            ]
        },
        responses={
            "input": [
                {"role": "user", "content": "weather?"},
                *(
                    {"type": "function_call", "call_id": id_, **made}
                    for (id_, _, _), made in zip(calls, function, strict=True)
                ),
                *({"type": "function_call_output", "call_id": id_, "output": result} for id_, _, result in calls),
            ]
        },
        anthropic={
            "messages": [
                {"role": "user", "content": "weather?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": id_, "name": "weather", "input": {"town": town}}
                        for id_, town, _ in calls
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": id_, "content": result, "is_error": failed}
                        for id_, _, result in calls
                    ],
                },
            ]
        },
        gemini={
            "contents": [
                {"role": "user", "parts": [{"text": "weather?"}]},
                {
                    "role": "model",
                    "parts": [{"functionCall": {"name": "weather", "args": {"town": town}}} for _, town, _ in calls],
                },
                {
                    "role": "user",
                    "parts": [
                        {
                            "functionResponse": {
                                "name": "weather",
                                "response": {"error" if failed else "output": result},
                            }
                        }
                        for _, _, result in calls
                    ],
                },
            ]
        },
    )


_IMAGE = "iVBORw0KGgoAAAANSUhEUg=="
_IMAGE_URL = "https://example.com/a.png"
_PDF = "JVBERi0xLjQK"
_PDF_URL = "https://example.com/a.pdf"
_SOUND = "UklGRiQAAABXQVZF"
_MANY = [f"stop-{number}" for number in range(6)]
_OWN: Mapping[str, Any] = {"type": "thinking", "thinking": "hm", "signature": "own-signature"}

ASKED: Mapping[str, Asking] = MappingProxyType(
    {
        "text, system prompts, several turns": Asking(
            {
                "chat": {
                    "messages": [
                        {"role": "system", "content": "be-brief"},
                        {"role": "user", "content": "hello"},
                        {"role": "assistant", "content": "hail"},
                        {"role": "user", "content": "so?"},
                    ]
                },
                "responses": {
                    "instructions": "be-brief",
                    "input": [
                        {"role": "user", "content": "hello"},
                        {"role": "assistant", "content": "hail"},
                        {"role": "user", "content": "so?"},
                    ],
                },
                "anthropic": {
                    "system": "be-brief",
                    "messages": [
                        {"role": "user", "content": "hello"},
                        {"role": "assistant", "content": "hail"},
                        {"role": "user", "content": "so?"},
                    ],
                },
                "gemini": {
                    "systemInstruction": {"parts": [{"text": "be-brief"}]},
                    "contents": [
                        {"role": "user", "parts": [{"text": "hello"}]},
                        {"role": "model", "parts": [{"text": "hail"}]},
                        {"role": "user", "parts": [{"text": "so?"}]},
                    ],
                },
            },
            ("be-brief",),
        ),
        "limit of the answer's tokens": Asking(
            {
                "chat": {"max_tokens": 4711},
                "responses": {"max_output_tokens": 4711},
                "anthropic": {"max_tokens": 4711},
                "gemini": _config(maxOutputTokens=4711),
            },
            ("4711",),
        ),
        "functions": Asking(_with_tools(chat={}, responses={}, anthropic={}, gemini={}), ('"town":',)),
        "a function that must be called": Asking(
            _with_tools(
                chat={"tool_choice": {"type": "function", "function": {"name": "weather"}}},
                responses={"tool_choice": {"type": "function", "name": "weather"}},
                anthropic={"tool_choice": {"type": "tool", "name": "weather"}},
                gemini={"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}},
            ),
            (
                '"tool_choice":{"type":"function"',
                '"tool_choice":{"type":"tool"',
                '"tool_choice":{"type":"allowed_tools","mode":"required"',
                '"tool_choice":"required"',
                '"tool_choice":{"type":"any"',
                '"mode":"ANY"',
            ),
        ),
        "one call at a time (`parallel_tool_calls: false`)": Asking(
            _with_tools(
                chat={"parallel_tool_calls": False},
                responses={"parallel_tool_calls": False},
                anthropic={"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            ),
            ('"parallel_tool_calls":false', '"disable_parallel_tool_use":true'),
        ),
        "parallel calls and their results": Asking(_results(), ("snow-in-Oslo",)),
        "a function's result that is an error": Asking(
            {client: fields for client, fields in _results({}).items() if client in ("anthropic", "gemini")},
            ('"is_error":true', '"error":"snow-in-Oslo"'),
        ),
        "tools that take a text (`custom`)": Asking(
            {
                "chat": {"tools": [{"type": "custom", "custom": {"name": "patch_files"}}]},
                "responses": {"tools": [{"type": "custom", "name": "patch_files"}]},
            },
            ("patch_files",),
        ),
        "groups of tools (`namespace`)": Asking(
            {
                "responses": {
                    "tools": [
                        {
                            "type": "namespace",
                            "name": "crm",
                            "description": "",
                            "tools": [{"type": "function", "name": "lookup", "parameters": {"type": "object"}}],
                        }
                    ]
                },
            },
            ("lookup",),
        ),
        "web search beside functions": Asking(
            {
                "responses": {
                    "tools": [
                        {"type": "web_search"},
                        {"type": "function", "name": "lookup", "parameters": {"type": "object"}},
                    ]
                },
                "anthropic": {
                    "tools": [
                        {"type": "web_search_20250305", "name": "web_search"},
                        {"name": "lookup", "input_schema": {"type": "object"}},
                    ]
                },
                "gemini": {"tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "lookup"}]}]},
            },
            ("web_search", "googleSearch"),
        ),
        "hosted tools alone": Asking(
            {
                "chat": {"web_search_options": {"search_context_size": "low"}},
                "responses": {"tools": [{"type": "web_search"}]},
                "anthropic": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
                "gemini": {"tools": [{"googleSearch": {}}]},
            },
            ("web_search", "googleSearch"),
        ),
        "images as data": Asking(
            _turn(
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_IMAGE}"}},
                {"type": "input_image", "image_url": f"data:image/png;base64,{_IMAGE}"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _IMAGE}},
                {"inlineData": {"mimeType": "image/png", "data": _IMAGE}},
            ),
            (_IMAGE,),
        ),
        "images by URL": Asking(
            _turn(
                {"type": "image_url", "image_url": {"url": _IMAGE_URL}},
                {"type": "input_image", "image_url": _IMAGE_URL},
                {"type": "image", "source": {"type": "url", "url": _IMAGE_URL}},
                {"fileData": {"mimeType": "image/png", "fileUri": _IMAGE_URL}},
            ),
            (_IMAGE_URL,),
        ),
        "level of detail of images": Asking(
            _turn(
                {"type": "image_url", "image_url": {"url": _IMAGE_URL, "detail": "high"}},
                {"type": "input_image", "image_url": _IMAGE_URL, "detail": "high"},
            ),
            ('"detail":"high"',),
        ),
        "documents as data": Asking(
            _turn(
                {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{_PDF}"}},
                {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{_PDF}"},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": _PDF}},
                {"inlineData": {"mimeType": "application/pdf", "data": _PDF}},
            ),
            (_PDF,),
        ),
        "documents by URL": Asking(
            _turn(
                None,
                {"type": "input_file", "file_url": _PDF_URL},
                {"type": "document", "source": {"type": "url", "url": _PDF_URL}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": _PDF_URL}},
            ),
            (_PDF_URL,),
        ),
        "files by id": Asking(
            _turn(
                {"type": "file", "file": {"file_id": "file-abc"}},
                {"type": "input_file", "file_id": "file-abc"},
                {"type": "document", "source": {"type": "file", "file_id": "file-abc"}},
                {
                    "fileData": {
                        "mimeType": "application/pdf",
                        "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/file-abc",
                    }
                },
            ),
            ("file-abc",),
        ),
        "audio": Asking(
            _turn(
                {"type": "input_audio", "input_audio": {"data": _SOUND, "format": "wav"}},
                None,
                None,
                {"inlineData": {"mimeType": "audio/wav", "data": _SOUND}},
            ),
            (_SOUND,),
        ),
        "JSON by a schema": Asking(
            {
                "chat": {
                    "response_format": {"type": "json_schema", "json_schema": {"name": "town", "schema": _SCHEMA}}
                },
                "responses": {"text": {"format": {"type": "json_schema", "name": "town", "schema": _SCHEMA}}},
                "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
                "gemini": _config(responseMimeType="application/json", responseJsonSchema=_SCHEMA),
            },
            ('"town":',),
        ),
        "JSON of any form": Asking(
            {
                "chat": {"response_format": {"type": "json_object"}},
                "responses": {"text": {"format": {"type": "json_object"}}},
                "gemini": _config(responseMimeType="application/json"),
            },
            ('"json_object"', '"application/json"'),
        ),
        "up to 4 stop sequences": Asking(
            {
                "chat": {"stop": ["END-1", "END-2"]},
                "anthropic": {"stop_sequences": ["END-1", "END-2"]},
                "gemini": _config(stopSequences=["END-1", "END-2"]),
            },
            ('"END-2"',),
        ),
        "more than 5": Asking(
            {
                "chat": {"stop": _MANY},
                "anthropic": {"stop_sequences": _MANY},
                "gemini": _config(stopSequences=_MANY),
            },
            ('"stop-5"',),
        ),
        "temperature": Asking(
            {
                **{name: {"temperature": 0.25} for name in ("chat", "responses", "anthropic")},
                "gemini": _config(temperature=0.25),
            },
            ("0.25",),
        ),
        "top_p": Asking(
            {**{name: {"top_p": 0.75} for name in ("chat", "responses", "anthropic")}, "gemini": _config(topP=0.75)},
            ("0.75",),
        ),
        "top_k": Asking({"chat": {"top_k": 37}, "anthropic": {"top_k": 37}, "gemini": _config(topK=37)}, ("37",)),
        "seed": Asking({"chat": {"seed": 4711}, "gemini": _config(seed=4711)}, ("4711",)),
        "penalties": Asking(
            {
                "chat": {"presence_penalty": 0.125, "frequency_penalty": 0.125},
                "gemini": _config(presencePenalty=0.125, frequencyPenalty=0.125),
            },
            ("0.125",),
        ),
        "several answers (`n`)": Asking(
            {"chat": {"n": 2}, "gemini": _config(candidateCount=2)}, ('"n":2', "candidateCount")
        ),
        "logprobs": Asking(
            {
                "chat": {"logprobs": True, "top_logprobs": 3},
                "responses": {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
                "gemini": _config(responseLogprobs=True, logprobs=3),
            },
            ('logprobs":3',),
        ),
        "verbosity": Asking(
            {"chat": {"verbosity": "low"}, "responses": {"text": {"verbosity": "low"}}},
            ('"verbosity":"low"',),
            thinks=True,
        ),
        "reasoning effort": Asking(
            {
                "chat": {"reasoning_effort": "high"},
                "responses": {"reasoning": {"effort": "high"}},
                "anthropic": {"max_tokens": 32000, "thinking": {"type": "enabled", "budget_tokens": 20000}},
                "gemini": _config(thinkingConfig={"thinkingLevel": "HIGH"}),
            },
            ('"high"', '"budget_tokens":', '"thinkingLevel":"HIGH"'),
            thinks=True,
        ),
        "thoughts of the client's own family, handed back": Asking(
            {
                "responses": {
                    "input": [
                        {"role": "user", "content": "hello"},
                        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "own-signature"},
                        {"role": "assistant", "content": "hail"},
                        {"role": "user", "content": "so?"},
                    ]
                },
                "anthropic": {
                    "messages": [
                        {"role": "user", "content": "hello"},
                        {"role": "assistant", "content": [_OWN, {"type": "text", "text": "hail"}]},
                        {"role": "user", "content": "so?"},
                    ]
                },
                "gemini": {
                    "contents": [
                        {"role": "user", "parts": [{"text": "hello"}]},
                        {"role": "model", "parts": [{"text": "hail", "thoughtSignature": "own-signature"}]},
                        {"role": "user", "parts": [{"text": "so?"}]},
                    ]
                },
            },
            ("own-signature",),
            thinks=True,
        ),
        "the end user's id (`user`)": Asking(
            {
                "chat": {"user": "user-77"},
                "responses": {"safety_identifier": "user-77"},
                "anthropic": {"metadata": {"user_id": "user-77"}},
            },
            ("user-77",),
        ),
        "metadata": Asking(
            {
                "chat": {"metadata": {"team": "blue"}},
                "responses": {"metadata": {"team": "blue"}},
                "gemini": {"labels": {"team": "blue"}},
            },
            ('"blue"',),
        ),
        "service tier": Asking(
            {
                "chat": {"service_tier": "priority"},
                "responses": {"service_tier": "priority"},
                "gemini": {"serviceTier": "priority"},
            },
            ('"service_tier":"priority"', '"service_tier":"auto"', '"serviceTier":"priority"'),
        ),
        "fields that Forebay does not know": Asking(
            {name: {"new_field": {"to": "us"}} for name in CLIENTS}, ('"new_field"',)
        ),
        "stored responses": Asking({"responses": {"previous_response_id": "resp_1"}}, ('"resp_1"',)),
    }
)

# --- Answers


def _everywhere(*marks: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(CLIENTS, marks)


_COUNTED = Usage(input=20011, cached=5003, output=12007, reasoning=4001)
_SAYS = Reply("well-met", usage=_COUNTED)
_LOOKS = Reply(calls=(Call("call_1", "weather", {"town": "Oslo"}),), finish="calls")
_THINKS = Reply("hail", thought="I-wonder")

ANSWERED: Mapping[str, Answering] = MappingProxyType(
    {
        "text": Answering(_SAYS, _everywhere("well-met", "-met")),
        "calls": Answering(
            _LOOKS,
            {
                "chat": ('"finish_reason":"tool_calls"',),
                "responses": ('"type":"function_call"',),
                "anthropic": ('"stop_reason":"tool_use"',),
                "gemini": ('"functionCall":',),
            },
        ),
        "thoughts": Answering(_THINKS, _everywhere("I-wonder", "I-wo")),
        "thoughts' signatures": Answering(
            replace(_LOOKS, thought="I-wonder"),
            _everywhere(SIGNATURE),
            tells=frozenset({"responses", "anthropic", "gemini"}),
        ),
        "the limit was reached": Answering(
            Reply("well-m", finish="length"),
            {
                "chat": ('"finish_reason":"length"',),
                "responses": ('"max_output_tokens"}',),
                "anthropic": ('"stop_reason":"max_tokens"',),
                "gemini": ('"MAX_TOKENS"',),
            },
        ),
        "refusals": Answering(
            Reply("no-way", finish="refused"),
            {
                "chat": ('"refusal":"no-', '"finish_reason":"content_filter"'),
                "responses": ('"type":"refusal"', '"content_filter"'),
                "anthropic": ('"stop_reason":"refusal"',),
                "gemini": ('"SAFETY"',),
            },
        ),
        "tokens read from a cache": Answering(_SAYS, _everywhere("5003")),
        "tokens of reasoning": Answering(_SAYS, _everywhere("4001")),
    }
)

# --- What becomes of them

_MODELS: Mapping[str, tuple[str, str]] = {
    "chat": ("gpt-4.1", "gpt-5.2"),
    "responses": ("gpt-4.1", "gpt-5.2"),
    "anthropic": ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    "gemini": ("gemini-3-flash-preview", "gemini-3-flash-preview"),
}


def _attempt(provider: str, *, thinks: bool = False) -> Attempt:
    dialect = "openai" if provider in ("chat", "responses") else provider
    model = _MODELS[provider][thinks]
    return Attempt("p/m#0", "p", dialect, "http://p", model, "", responses=provider == "responses")


def _request(client: str, fields: Mapping[str, Any], *, stream: bool = False) -> Asked:
    hello = [{"role": "user", "content": "hello"}]
    if client == "gemini":
        body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hello"}]}], **fields}).encode()
        return asked.generation(body, "m", stream=stream, array=False)
    if client == "chat":
        body = json.dumps({"model": "m", "stream": stream, "messages": hello, **fields}).encode()
        return asked.chat_completion(body, [])
    if client == "responses":
        body = json.dumps({"model": "m", "stream": stream, "input": hello, **fields}).encode()
        return asked_responses.response(body, [])
    body = json.dumps({"model": "m", "stream": stream, "max_tokens": 100, "messages": hello, **fields}).encode()
    return asked.message(body, [])


def of_request(feature: Asking, client: str, provider: str) -> str:
    """The cell. Raises `AssertionError` if something gets lost without a word."""
    fields = feature.asks.get(client)
    if fields is None:
        return NONE
    try:
        call = _request(client, fields).of(_attempt(provider, thinks=feature.thinks))
    except InexpressibleError:
        return REFUSED
    body = json.dumps(json.loads(call.written.body), separators=(",", ":"))
    is_there = any(mark in body for mark in feature.marks)
    if is_there:
        return TRANSLATED if call.is_translated else PASSED
    assert call.written.dropped, (client, provider)
    return DROPPED


def of_answer(feature: Answering, client: str, provider: str) -> str:
    """The cell. Raises `AssertionError` if a stream tells something else than the answer as a whole."""
    if provider not in feature.tells:
        return NONE
    call = _request(client, {}).of(_attempt(provider))
    api = next(name for name in ("chat", "responses", "anthropic", "gemini") if _is_of(name, call.written.path))
    if api not in feature.tells:
        return NONE
    is_told = _tells(feature, client, call.complete(whole(api, feature.reply)))
    stream = b"".join(_stream(client, provider, api, feature.reply))
    assert _tells(feature, client, stream) == is_told, (client, provider, stream)
    if not is_told:
        return LOST
    return TRANSLATED if call.is_translated else PASSED


def _is_of(api: str, path: str) -> bool:
    return {"chat": "/chat/", "responses": "/responses", "anthropic": "/messages", "gemini": "/models/"}[api] in path


def _tells(feature: Answering, client: str, told: bytes) -> bool:
    text = told.decode().replace('": ', '":')
    return any(mark in text for mark in feature.marks[client])


def _stream(client: str, provider: str, api: str, reply: Reply) -> Iterator[bytes]:
    fields = {"stream_options": {"include_usage": True}} if client == "chat" else {}
    reader = _request(client, fields, stream=True).of(_attempt(provider)).reader()
    for event in streamed(api, reply):
        yield event if reader is None else reader.read(event)[1]
