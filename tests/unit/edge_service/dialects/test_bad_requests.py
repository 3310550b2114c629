"""Each dialect's own error for requests that violate it, with the path of the field as the dialect writes it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from edge_service.dialects import anthropic, gemini, openai_chat, openai_responses
from edge_service.domain.errors import InvalidRequestError

GONE = object()
"""The field is missing."""

SCHEMA = {"type": "object", "properties": {}}

CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
                {"type": "file", "file": {"file_data": "aGk=", "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
    "metadata": {"a": "b"},
    "stream_options": {"include_usage": True},
}
OF_CHAT: list[tuple[str, Any]] = [
    ("messages[0]", 7),
    ("messages[0].role", GONE),
    ("messages[0].role", "robot"),
    ("messages[0].role", 7),
    ("messages[0].content", GONE),
    ("messages[0].content", 7),
    ("messages[1].content[0]", "Hi"),
    ("messages[1].content[0].type", GONE),
    ("messages[1].content[0].type", 7),
    ("messages[1].content[0].text", GONE),
    ("messages[1].content[0].text", ["Hi"]),
    ("messages[1].content[1].image_url", "https://a.example/a.png"),
    ("messages[1].content[1].image_url.url", GONE),
    ("messages[1].content[1].image_url.url", ""),
    ("messages[1].content[1].image_url.url", "data:image/png;base64"),
    ("messages[1].content[2].input_audio.format", "../wav"),
    ("messages[1].content[2].input_audio.data", 7),
    ("messages[1].content[3].file", {}),
    ("messages[1].content[3].file.file_data", "data:application/pdf"),
    ("messages[2].tool_calls", {}),
    ("messages[2].tool_calls[0].id", GONE),
    ("messages[2].tool_calls[0].function", GONE),
    ("messages[2].tool_calls[0].function.name", GONE),
    ("messages[2].tool_calls[0].function.arguments", {}),
    ("messages[3].tool_call_id", GONE),
    ("messages[3].content", 7),
    ("tools", {}),
    ("tools[0].function", GONE),
    ("tools[0].function.name", GONE),
    ("tools[0].function.parameters", []),
    ("tool_choice", "perhaps"),
    ("tool_choice.function.name", GONE),
    ("response_format.type", GONE),
    ("response_format.json_schema", GONE),
    ("response_format.json_schema.name", 7),
    ("response_format.json_schema.schema", "{}"),
    ("metadata.a", 7),
    ("stream_options.include_usage", "yes"),
    ("temperature", 3),
    ("n", 0),
    ("max_completion_tokens", -1),
    ("stop[0]", 1),
]

RESPONSES: dict[str, Any] = {
    "model": "m",
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hi"},
                {"type": "input_image", "image_url": "https://a.example/a.png"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,aGk="},
            ],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
    "reasoning": {"effort": "low"},
    "metadata": {"a": "b"},
}
OF_RESPONSES: list[tuple[str, Any]] = [
    ("model", GONE),
    ("model", 7),
    ("input", 7),
    ("input[0]", "Hi"),
    ("input[0].role", "robot"),
    ("input[0].content", GONE),
    ("input[0].content", 7),
    ("input[0].content[0]", 7),
    ("input[0].content[0].type", GONE),
    ("input[0].content[0].text", GONE),
    ("input[0].content[0].text", 7),
    ("input[0].content[1].image_url", GONE),
    ("input[0].content[1].image_url", "data:image/png"),
    ("input[0].content[2].file_data", "data:application/pdf"),
    ("input[1].summary", "hm"),
    ("input[1].summary[0].text", 7),
    ("input[2].call_id", ""),
    ("input[2].name", GONE),
    ("input[2].arguments", {}),
    ("input[3].output", GONE),
    ("input[3].call_id", 7),
    ("tools", {}),
    ("tools[0].type", GONE),
    ("tools[0].name", GONE),
    ("tools[0].parameters", []),
    ("tool_choice", "perhaps"),
    ("tool_choice.name", GONE),
    ("text.format.type", GONE),
    ("text.format.schema", []),
    ("text.format.strict", "yes"),
    ("reasoning.effort", 7),
    ("metadata.a", 7),
    ("metadata", []),
    ("max_output_tokens", 0),
    ("temperature", 3),
    ("include", "all"),
]

ANTHROPIC: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9000,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "hi"}]},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "c", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://a.example/a.png"}}],
                }
            ],
        },
    ],
    "tools": [{"name": "f", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    "metadata": {"user_id": "u"},
}
OF_ANTHROPIC: list[tuple[str, Any]] = [
    ("max_tokens", GONE),
    ("max_tokens", "9"),
    ("system", 7),
    ("system.0.text", GONE),
    ("messages.0", 7),
    ("messages.0.role", GONE),
    ("messages.0.role", "robot"),
    ("messages.0.content", GONE),
    ("messages.0.content", 7),
    ("messages.0.content.0", "Hi"),
    ("messages.0.content.0.type", GONE),
    ("messages.0.content.0.type", 7),
    ("messages.0.content.0.text", 7),
    ("messages.0.content.1.source", GONE),
    ("messages.0.content.1.source", 7),
    ("messages.0.content.1.source.type", GONE),
    ("messages.0.content.1.source.type", 7),
    ("messages.0.content.1.source.media_type", GONE),
    ("messages.0.content.1.source.data", 7),
    ("messages.0.content.2.source.content", GONE),
    ("messages.0.content.2.source.content.0", 7),
    ("messages.0.content.2.source.content.0.text", 7),
    ("messages.1.content.0.signature", GONE),
    ("messages.1.content.1.id", GONE),
    ("messages.1.content.1.input", "{}"),
    ("messages.2.content.0.tool_use_id", GONE),
    ("messages.2.content.0.is_error", "yes"),
    ("messages.2.content.0.content.0.source.url", GONE),
    ("messages.2.content.0.content.0.source.url", 7),
    ("tools", {}),
    ("tools.0.name", GONE),
    ("tools.0.input_schema", []),
    ("tool_choice.type", GONE),
    ("tool_choice.name", GONE),
    ("thinking.budget_tokens", 1),
    ("thinking.budget_tokens", GONE),
    ("output_config.format.type", GONE),
    ("output_config.format.schema", GONE),
    ("metadata.user_id", 7),
    ("temperature", 1.5),
    ("service_tier", "first"),
    ("stop_sequences.0", 7),
]

GEMINI: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "Hi"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"fileData": {"fileUri": "https://a.example/a.png"}},
            ],
        },
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING"}}}},
        "thinkingConfig": {"thinkingBudget": 1},
        "stopSequences": ["a"],
    },
    "labels": {"a": "b"},
}
OF_GEMINI: list[tuple[str, Any]] = [
    ("contents", GONE),
    ("contents", 7),
    ("contents[0]", "Hi"),
    ("contents[0].role", "robot"),
    ("contents[0].role", 7),
    ("contents[0].parts", "Hi"),
    ("contents[0].parts[0]", {}),
    ("contents[0].parts[0]", "Hi"),
    ("contents[0].parts[0].text", 7),
    ("contents[0].parts[0].thought", "yes"),
    ("contents[0].parts[1].inlineData", "aGk="),
    ("contents[0].parts[1].inlineData.mimeType", GONE),
    ("contents[0].parts[1].inlineData.data", 7),
    ("contents[0].parts[2].fileData.fileUri", GONE),
    ("contents[1].parts[0].functionCall.name", GONE),
    ("contents[1].parts[0].functionCall.args", []),
    ("contents[2].parts[0].functionResponse.name", GONE),
    ("contents[2].parts[0].functionResponse.response", "1"),
    ("systemInstruction", 7),
    ("systemInstruction.parts[0].text", 7),
    ("tools", "f"),
    ("tools[0].functionDeclarations[0].name", GONE),
    ("tools[0].functionDeclarations[0].parameters", []),
    ("tools[0].functionDeclarations[0].parameters.type", "THING"),
    ("toolConfig.functionCallingConfig.mode", "PERHAPS"),
    ("toolConfig.functionCallingConfig.allowedFunctionNames[0]", 7),
    ("generationConfig", []),
    ("generationConfig.responseSchema.properties.a.items.type", "THING"),
    ("generationConfig.responseSchema.properties.a.items", []),
    ("generationConfig.thinkingConfig.thinkingBudget", "much"),
    ("generationConfig.thinkingConfig.thinkingLevel", "MUCH"),
    ("generationConfig.stopSequences[0]", 7),
    ("generationConfig.temperature", "hot"),
    ("generationConfig.candidateCount", 1.5),
    ("labels.a", 7),
]


def altered(request: dict[str, Any], path: str, value: Any) -> bytes:
    request = copy.deepcopy(request)
    *steps, last = path.replace("[", ".").replace("]", "").split(".")
    node: Any = request
    for step in steps:
        following = node[int(step)] if isinstance(node, list) else node.get(step)
        if following is None:
            following = node[step] = [None]
        node = following
    key = int(last) if isinstance(node, list) else last
    if value is GONE:
        del node[key]
    else:
        node[key] = value
    return json.dumps(request).encode()


@pytest.mark.parametrize(("path", "value"), OF_CHAT)
def test_chat(path: str, value: Any) -> None:
    openai_chat.CLIENT.read(json.dumps(CHAT).encode())
    with pytest.raises(InvalidRequestError) as raised:
        openai_chat.CLIENT.read(altered(CHAT, path, value))
    error = json.loads(openai_chat.error_body(raised.value))["error"]
    assert (raised.value.status, error["type"], error["param"]) == (400, "invalid_request_error", path)
    assert f"'{path}'" in error["message"]


@pytest.mark.parametrize(("path", "value"), OF_RESPONSES)
def test_responses(path: str, value: Any) -> None:
    openai_responses.CLIENT.read(json.dumps(RESPONSES).encode())
    with pytest.raises(InvalidRequestError) as raised:
        openai_responses.CLIENT.read(altered(RESPONSES, path, value))
    error = json.loads(openai_responses.CLIENT.error_body(raised.value))["error"]
    assert (raised.value.status, error["type"], error["param"]) == (400, "invalid_request_error", path)
    assert f"'{path}'" in error["message"]


@pytest.mark.parametrize(("path", "value"), OF_ANTHROPIC)
def test_anthropic(path: str, value: Any) -> None:
    anthropic.CLIENT.read(json.dumps(ANTHROPIC).encode())
    with pytest.raises(InvalidRequestError) as raised:
        anthropic.CLIENT.read(altered(ANTHROPIC, path, value))
    told = json.loads(anthropic.CLIENT.error_body(raised.value))
    assert (raised.value.status, told["type"], told["error"]["type"]) == (400, "error", "invalid_request_error")
    assert told["error"]["message"].startswith(f"{path}: ")


@pytest.mark.parametrize(("path", "value"), OF_GEMINI)
def test_gemini(path: str, value: Any) -> None:
    gemini.CLIENT.read(json.dumps(GEMINI).encode(), "m", False)
    with pytest.raises(InvalidRequestError) as raised:
        gemini.CLIENT.read(altered(GEMINI, path, value), "m", False)
    error = json.loads(gemini.CLIENT.error_body(raised.value))["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    (violations,) = [each["fieldViolations"] for each in error["details"] if "fieldViolations" in each]
    assert violations == [{"field": path, "description": error["message"]}]
