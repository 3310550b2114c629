from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Family,
    Media,
    MediaKind,
    Message,
    Output,
    OutputKind,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from edge_service.dialects.exchange import InexpressibleError
from edge_service.dialects.gemini import PROVIDER
from tests.support import gemini_types

HI = Message(Role.USER, (Text("hi"),))
TOOL = Tool("f", "Does it", Raw(b'{"type":"object"}'), strict=True)


def request(*messages: Message, **fields: Any) -> Request:
    return Request("chat", False, messages or (HI,), **fields)


def written(asked: Request, model: str = "gemini-2.5-flash") -> tuple[Any, tuple[str, ...]]:
    sent = PROVIDER.write(asked, model)
    gemini_types.request(sent.body)
    return msgspec.json.decode(sent.body), sent.dropped


def parts(*said: Part, role: Role = Role.USER, model: str = "gemini-2.5-flash") -> Any:
    return written(request(Message(role, said)), model)[0]["contents"][0]["parts"]


def refused(asked: Request, model: str = "gemini-2.5-flash") -> tuple[str, ...]:
    with pytest.raises(InexpressibleError) as raised:
        PROVIDER.write(asked, model)
    return raised.value.names


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-2.5-flash", False, "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("gemini-2.5-flash", True, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("tunedModels/mine", False, "/v1beta/tunedModels/mine:generateContent"),
        ("a b?c#d%é", False, "/v1beta/models/a%20b%3Fc%23d%25%C3%A9:generateContent"),
    ],
)
def test_the_path_names_the_model(model: str, stream: bool, path: str) -> None:
    assert PROVIDER.write(Request("chat", stream, (HI,)), model).path == path


def test_instructions_are_gathered_and_neighbours_of_one_role_become_one() -> None:
    body, _ = written(
        request(
            Message(Role.SYSTEM, (Text("a"),)),
            HI,
            Message(Role.ASSISTANT, (Text("b"),)),
            Message(Role.ASSISTANT, (Refusal("c"), Text(""))),
            Message(Role.SYSTEM, (Text("d"),)),
            Message(Role.USER, ()),
            HI,
        )
    )
    assert body == {
        "systemInstruction": {"parts": [{"text": "a"}, {"text": "d"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"text": "b"}, {"text": "c"}]},
            {"role": "user", "parts": [{"text": "hi"}]},
        ],
    }


def test_instructions_alone_are_what_the_user_says() -> None:
    body, _ = written(request(Message(Role.SYSTEM, (Text("a"),))))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


CALL = ToolCall("1", "f", '{"a": 1.0}')


@pytest.mark.parametrize(
    ("model", "signature"),
    [
        ("gemini-2.5-pro", None),
        ("gemini-3-pro-preview", "skip_thought_signature_validator"),
        ("gemini-flash-latest", "skip_thought_signature_validator"),
        ("models/gemini-3.8-flash", "skip_thought_signature_validator"),
        ("something-else", None),
    ],
)
def test_calls_that_no_gemini_model_has_made(model: str, signature: str | None) -> None:
    first, second = parts(CALL, CALL, role=Role.ASSISTANT, model=model)
    assert first.get("thoughtSignature") == signature
    assert "thoughtSignature" not in second
    signed, other = parts(ToolCall("1", "f", "", "QQ=="), CALL, role=Role.ASSISTANT, model=model)
    assert signed == {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "QQ=="}
    assert "thoughtSignature" not in other


def test_results_find_the_name_of_their_call() -> None:
    result = ToolResult("1", "", (Text("a"), Text("b")), is_error=True)
    body, _ = written(request(HI, Message(Role.ASSISTANT, (CALL,)), Message(Role.USER, (result,))))
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"id": "1", "name": "f", "response": {"error": "a\nb"}}}
    ]
    assert refused(request(Message(Role.USER, (result,)))) == ("messages.tool_call_id",)


PNG = Media(MediaKind.IMAGE, "image/png", data="iVBORw0KGgo=")
INLINE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}


def test_media_in_results_stand_in_them_where_the_model_can_read_them() -> None:
    result = ToolResult("1", "f", (Text("a"), PNG))
    response = {"id": "1", "name": "f", "response": {"output": "a"}}
    assert parts(result, model="gemini-3-pro") == [{"functionResponse": {**response, "parts": [INLINE]}}]
    assert parts(result, model="gemini-2.5-pro") == [{"functionResponse": response}, INLINE]


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PNG, INLINE),
        (Media(MediaKind.IMAGE, data="/9j/4A=="), {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/4A=="}}),
        (Media(MediaKind.FILE, data="JVBERi0="), {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}),
        (
            Media(MediaKind.IMAGE, url="https://a.b/c.webp"),
            {"fileData": {"fileUri": "https://a.b/c.webp", "mimeType": "image/webp"}},
        ),
        (Media(MediaKind.IMAGE, url="https://a.b/c"), {"fileData": {"fileUri": "https://a.b/c"}}),
        (Media(MediaKind.IMAGE, data="AAAA"), {"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}),
        (
            Media(MediaKind.FILE, "text/csv", url="https://a.b/c.pdf"),
            {"fileData": {"fileUri": "https://a.b/c.pdf", "mimeType": "text/csv"}},
        ),
        (Media(MediaKind.FILE, file_id="gs://a/b", family=Family.GEMINI), {"fileData": {"fileUri": "gs://a/b"}}),
    ],
)
def test_media(media: Media, part: Any) -> None:
    assert parts(media) == [part]


@pytest.mark.parametrize(
    ("media", "model", "name"),
    [
        (Media(MediaKind.IMAGE, url="http://a.b/c.png"), "gemini-2.5-pro", "messages.image.url"),
        (Media(MediaKind.IMAGE, url="https://a.b/c.png"), "gemini-2.0-flash", "messages.image.url"),
        (Media(MediaKind.FILE, file_id="file-1", family=Family.OPENAI), "gemini-2.5-pro", "messages.file_id"),
        (Media(MediaKind.AUDIO, data="AAAA"), "gemini-2.5-pro", "messages.audio.media_type"),
    ],
)
def test_media_that_gemini_cannot_have(media: Media, model: str, name: str) -> None:
    assert refused(request(Message(Role.USER, (media,))), model) == (name,)


def test_thoughts_of_others_stay_away() -> None:
    thoughts = (
        Thinking("a", "QQ==", family=Family.ANTHROPIC),
        Thinking("b"),
        Thinking("b", family=Family.GEMINI),
        Thinking(encrypted="x", family=Family.OPENAI),
        Thinking("c", "Qw==", family=Family.GEMINI),
        Thinking("", "RA==", family=Family.GEMINI),
        Text("d"),
    )
    body, dropped = written(request(HI, Message(Role.ASSISTANT, thoughts)))
    assert body["contents"][1]["parts"] == [
        {"text": "c", "thought": True, "thoughtSignature": "Qw=="},
        {"text": "", "thoughtSignature": "RA=="},
        {"text": "d"},
    ]
    assert dropped == ("messages.thinking",)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (request(stop=("a", "b", "c", "d", "e", "f")), ("stop",)),
        (request(Message(Role.USER, (ToolResult("1", "", ()),))), ("messages.tool_call_id",)),
        (request(bound=("tools[0].googleSearch",)), ("tools[0].googleSearch",)),
        (request(tools=(TOOL,), output=Output(OutputKind.JSON)), ("output",)),
        (
            request(Message(Role.ASSISTANT, (ToolCall("1", "f", "[1]"),))),
            ("messages.tool_calls.arguments",),
        ),
    ],
)
def test_what_would_be_another_request_is_refused(asked: Request, refusal: tuple[str, ...]) -> None:
    assert refused(asked) == refusal


def test_tools_and_a_schema_together_with_the_third_generation() -> None:
    asked = request(tools=(TOOL,), output=Output(OutputKind.SCHEMA, Raw(b'{"b":1,"a":2.0}'), "n", strict=True))
    body, dropped = written(asked, "gemini-3-pro")
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"b": 1, "a": 2.0},
    }
    assert dropped == ("tools.strict",)


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice(Choosing.AUTO), {"mode": "AUTO"}),
        (ToolChoice(Choosing.NONE), {"mode": "NONE"}),
        (ToolChoice(Choosing.NONE, ("f",)), {"mode": "NONE"}),
        (ToolChoice(Choosing.REQUIRED), {"mode": "ANY"}),
        (ToolChoice(Choosing.NAMED, ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(Choosing.REQUIRED, ("f", "g")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
        (ToolChoice(Choosing.AUTO, ("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, config: Any) -> None:
    body, _ = written(request(tools=(TOOL,), tool_choice=choice))
    assert body["toolConfig"] == {"functionCallingConfig": config}
    assert "toolConfig" not in written(request(tool_choice=choice))[0]


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"user": "u"}, ("user",)),
        ({"verbosity": "low"}, ("verbosity",)),
        ({"seed": 2**31 - 1}, ()),
        ({"seed": -(2**31) + 1}, ()),
        ({"seed": 2**31}, ("seed",)),
        ({"stop": ("a", "b", "c", "d", "e")}, ()),
        ({"metadata": {f"a{i}": "b" for i in range(64)}}, ()),
        ({"metadata": {f"a{i}": "b" for i in range(65)}}, ("metadata",)),
        ({"metadata": {"a": "b", "Upper": "x"}}, ("metadata",)),
        ({"output": Output(OutputKind.JSON)}, ()),
        ({"metadata": {"Upper": "x"}}, ("metadata",)),
        ({"metadata": {"a": "with blanks"}}, ("metadata",)),
        ({"service_tier": "scale"}, ("service_tier",)),
        ({"service_tier": "auto"}, ()),
        ({"tools": (Tool("f"),), "parallel_tool_calls": False}, ("parallel_tool_calls",)),
        ({"parallel_tool_calls": False}, ()),
        ({"tools": (TOOL,)}, ("tools.strict",)),
        ({"n": 2, "logprobs": True, "top_logprobs": 25, "seed": 1, "metadata": {"a": "b"}}, ()),
    ],
)
def test_what_is_dropped_is_said(fields: Any, dropped: tuple[str, ...]) -> None:
    assert written(request(**fields))[1] == dropped


@pytest.mark.parametrize(
    ("model", "asked", "config"),
    [
        ("gemini-2.5-pro", Reasoning(effort=Effort.NONE), {"thinkingBudget": 128}),
        ("gemini-2.5-pro", Reasoning(budget_tokens=64000), {"thinkingBudget": 32768}),
        ("gemini-2.5-flash", Reasoning(effort=Effort.NONE), {"thinkingBudget": 0}),
        ("gemini-2.5-flash", Reasoning(effort=Effort.MAX), {"thinkingBudget": 24576}),
        ("gemini-2.5-flash", Reasoning(budget_tokens=-1), {"thinkingBudget": -1}),
        ("gemini-2.5-flash-lite", Reasoning(budget_tokens=100), {"thinkingBudget": 512}),
        ("gemini-3-pro-preview", Reasoning(effort=Effort.MEDIUM), {"thinkingLevel": "HIGH"}),
        ("gemini-3.1-pro-preview", Reasoning(effort=Effort.MEDIUM), {"thinkingLevel": "MEDIUM"}),
        ("gemini-3-flash-preview", Reasoning(effort=Effort.NONE), {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.8-flash", Reasoning(budget_tokens=0), {"thinkingLevel": "LOW"}),
        (
            "gemini-3.8-flash",
            Reasoning(budget_tokens=20000, shown=True),
            {"thinkingLevel": "HIGH", "includeThoughts": True},
        ),
        ("gemini-3.8-flash", Reasoning(budget_tokens=-1), "absent"),
        ("gemini-3.8-flash", Reasoning(summary="auto"), {"includeThoughts": True}),
        ("gemini-2.5-pro", Reasoning(shown=False), {"includeThoughts": False}),
        ("gemini-flash-latest", Reasoning(effort=Effort.LOW), {"thinkingBudget": 1024}),
    ],
)
def test_reasoning(model: str, asked: Reasoning, config: Any) -> None:
    body, dropped = written(request(reasoning=asked), model)
    assert body.get("generationConfig", {"thinkingConfig": "absent"})["thinkingConfig"] == config
    assert dropped == ()


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemma-3-27b-it"])
def test_models_that_cannot_be_told_how_hard_to_think(model: str) -> None:
    body, dropped = written(request(reasoning=Reasoning(effort=Effort.HIGH)), model)
    assert ("generationConfig" in body, dropped) == (False, ("reasoning",))
    assert written(request(reasoning=Reasoning(effort=Effort.NONE)), model)[1] == ()


@pytest.mark.parametrize(
    ("logprobs", "top", "said"), [(True, 20, 20), (True, 21, 20), (True, 0, 0), (True, None, None), (False, 3, None)]
)
def test_probabilities_of_at_most_20_tokens(logprobs: bool, top: int | None, said: int | None) -> None:
    body, _ = written(request(logprobs=logprobs, top_logprobs=top))
    assert (body["generationConfig"]["responseLogprobs"], body["generationConfig"].get("logprobs")) == (logprobs, said)


def test_calls_and_results_have_no_id_that_nobody_gave_them() -> None:
    called = Message(Role.ASSISTANT, (ToolCall("", "f", " "),))
    body, _ = written(request(HI, called, Message(Role.USER, (ToolResult("", "f", (Text("r"),)),))))
    assert [content["parts"][0] for content in body["contents"][1:]] == [
        {"functionCall": {"name": "f", "args": {}}},
        {"functionResponse": {"name": "f", "response": {"output": "r"}}},
    ]


def test_a_message_with_nothing_in_it_is_left_out() -> None:
    body, _ = written(request(HI, Message(Role.ASSISTANT, (Text(""),)), Message(Role.USER, (Text("so"),))))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}, {"text": "so"}]}]
    assert written(request(Message(Role.USER, (Text(""),))))[0]["contents"] == []
