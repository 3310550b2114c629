from __future__ import annotations

from typing import Any

import msgspec
import pytest
from google.genai import types

from edge_service.dialects.canonical import (
    Choosing,
    Effort,
    Family,
    Media,
    MediaKind,
    Output,
    OutputKind,
    Request,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from edge_service.dialects.gemini import CLIENT
from edge_service.domain.errors import InvalidRequestError


def read(request: Any) -> Request:
    return CLIENT.read(msgspec.json.encode(request), "chat", False)


def said(*parts: Any, **fields: Any) -> Request:
    return read({"contents": [{"parts": list(parts)}], **fields})


def test_model_and_stream_are_those_of_the_path() -> None:
    body = b'{"model":"models/other","contents":[{"parts":[{"text":"hi"}]}]}'
    request = CLIENT.read(body, "chat(high)", True)
    assert (request.model, request.stream, request.unsaid) == ("chat(high)", True, ())


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"", "the body is not valid JSON: ", None),
        (b"[]", "the body must be a JSON object", None),
        (b'{"contents":["\xff"]}', "the body is not valid UTF-8 (byte 14)", None),
        (b'{"a":' * 100_000, "the body is nested too deeply", None),
        (b"{}", "'contents' is missing: ", "contents"),
        (b'{"contents":null}', "'contents' is missing: ", "contents"),
        (b'{"contents":[]}', "'contents' is empty: ", "contents"),
        (b'{"contents":"hi"}', "'contents' must be an array of objects", "contents"),
        (b'{"contents":["hi"]}', "'contents[0]' must be an object", "contents[0]"),
        (b'{"contents":[{"role":7}]}', "'contents[0].role' must be a string", "contents[0].role"),
        (b'{"contents":[{"role":"system"}]}', "'contents[0].role' must be 'user' or 'model'", "contents[0].role"),
        (b'{"contents":[{"parts":[{}]}]}', "'contents[0].parts[0]' is empty: ", "contents[0].parts[0]"),
        (b'{"contents":[{"parts":[{"text":["a"]}]}]}', "'contents[0].parts[0].text' must be a string", None),
        (b'{"contents":[{"parts":[{"text":"\\ud800"}]}]}', "the body is not valid JSON: ", None),
        (
            b'{"contents":[{},{"parts":[{"text":""},{"inline_data":{"mime_type":"image/png","data":7}}]}]}',
            "'contents[1].parts[1].inlineData.data' must be a string",
            "contents[1].parts[1].inlineData.data",
        ),
        (
            b'{"contents":{"parts":{"inlineData":{"data":"QQ=="}}}}',
            "'contents.parts.inlineData.mimeType' is missing",
            "contents.parts.inlineData.mimeType",
        ),
        (
            b'{"contents":{"parts":{"functionCall":{"name":"f","args":[]}}}}',
            "'contents.parts.functionCall.args' must be an object",
            "contents.parts.functionCall.args",
        ),
        (
            b'{"contents":{"parts":{"functionResponse":{"response":{}}}}}',
            "'contents.parts.functionResponse.name' is missing",
            "contents.parts.functionResponse.name",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"generationConfig":{"topK":1.5}}',
            "'generationConfig.topK' must be an integer",
            "generationConfig.topK",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"generationConfig":{"temperature":true}}',
            "'generationConfig.temperature' must be a number",
            "generationConfig.temperature",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"generationConfig":{"stopSequences":["a",1]}}',
            "'generationConfig.stopSequences[1]' must be a string",
            "generationConfig.stopSequences[1]",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"generationConfig":{"thinkingConfig":{"thinkingLevel":"ultra"}}}',
            "'generationConfig.thinkingConfig.thinkingLevel' must be one of MINIMAL, LOW, MEDIUM, HIGH, XHIGH",
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"toolConfig":{"functionCallingConfig":{"mode":"SOME"}}}',
            "'toolConfig.functionCallingConfig.mode' must be one of MODE_UNSPECIFIED, AUTO, VALIDATED, ANY, NONE",
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"tools":[{"functionDeclarations":[{}]}]}',
            "'tools[0].functionDeclarations[0].name' is missing",
            "tools[0].functionDeclarations[0].name",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"generationConfig":{"responseJsonSchema":[]}}',
            "'generationConfig.responseJsonSchema' must be an object",
            "generationConfig.responseJsonSchema",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"tools":{"functionDeclarations":{"name":"f","parametersJsonSchema":[]}}}',
            "'tools.functionDeclarations.parametersJsonSchema' must be an object",
            "tools.functionDeclarations.parametersJsonSchema",
        ),
        (b'{"contents":[null]}', "'contents[0]' must be an object", "contents[0]"),
        (
            b'{"contents":{"parts":{"text":"a"}},"generationConfig":{"stopSequences":[null]}}',
            "'generationConfig.stopSequences[0]' must be a string",
            "generationConfig.stopSequences[0]",
        ),
        (
            b'{"contents":{"parts":{"text":"a"}},"labels":{"a_b":1}}',
            "'labels.a_b' must be a string",
            "labels.a_b",
        ),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_what_is_wrong_is_refused_with_its_place(body: bytes, message: str, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        CLIENT.read(body, "chat", False)
    if message.endswith(": "):
        assert raised.value.message.startswith(message)
    else:
        assert raised.value.message == message
    assert raised.value.param == param or param is None
    assert raised.value.status == 400


def test_nothing_of_a_prompt_is_in_the_error() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        said({"text": {"my secret": "prompt"}})
    error: BaseException | None = raised.value
    while error is not None:
        assert "secret" not in repr(error)
        error = error.__cause__


def test_media_as_googles_sdk_sends_it() -> None:
    part = types.Part.from_bytes(data=b"\xff\xfe\xfb\xef\xbe\xff", mime_type="image/png")
    sent = msgspec.json.decode(part.model_dump_json(by_alias=True, exclude_none=True))
    assert "_" in sent["inlineData"]["data"]
    assert said(sent).messages[0].parts == (Media(MediaKind.IMAGE, "image/png", data="//77777/"),)


@pytest.mark.parametrize(
    ("file", "media"),
    [
        ({"fileUri": "https://a.b/c.jpg?d=e"}, Media(MediaKind.IMAGE, url="https://a.b/c.jpg?d=e")),
        (
            {"fileUri": "https://a.b/c", "mimeType": "audio/wav"},
            Media(MediaKind.AUDIO, "audio/wav", url="https://a.b/c"),
        ),
        ({"fileUri": "https://youtu.be/x"}, Media(MediaKind.VIDEO, url="https://youtu.be/x")),
        ({"fileUri": "https://[a"}, Media(MediaKind.FILE, url="https://[a")),
        (
            {"fileUri": "files/a"},
            Media(MediaKind.FILE, file_id="files/a", family=Family.GEMINI),
        ),
        (
            {"fileUri": "gs://bucket/a.pdf", "displayName": "a"},
            Media(MediaKind.FILE, file_id="gs://bucket/a.pdf", family=Family.GEMINI, name="a"),
        ),
    ],
)
def test_files(file: Any, media: Media) -> None:
    assert said({"fileData": file}).messages[0].parts == (media,)


def test_signatures() -> None:
    request = said(
        {"text": "hmm", "thought": True, "thoughtSignature": "QQ=="},
        {"text": "hm", "thought": True},
        {"text": "so", "thoughtSignature": "Qg=="},
        {"text": "", "thoughtSignature": "Qw=="},
        {"functionCall": {"name": "f"}, "thoughtSignature": "RA=="},
        {"functionCall": {"name": "f"}, "thoughtSignature": "skip/thought/signature/validator"},
    )
    assert request.messages[0].parts == (
        Thinking("hmm", "QQ==", family=Family.GEMINI),
        Thinking("hm"),
        Text("so"),
        Thinking("", "Qg==", family=Family.GEMINI),
        Thinking("", "Qw==", family=Family.GEMINI),
        ToolCall("call_0", "f", "{}", "RA=="),
        ToolCall("call_1", "f", "{}"),
    )


def test_calls_and_results_without_ids_find_each_other_by_name_and_order() -> None:
    request = read(
        {
            "contents": [
                {
                    "role": "model",
                    "parts": [
                        {"functionCall": {"id": "call_1", "name": "a"}},
                        {"functionCall": {"name": "a"}},
                        {"functionCall": {"name": "b"}},
                        {"functionCall": {"name": "a"}},
                    ],
                },
                {
                    "parts": [
                        {"functionResponse": {"name": "b", "response": {"output": "1"}}},
                        {"functionResponse": {"name": "a", "id": "call_1", "response": {"output": "4"}}},
                        {"functionResponse": {"name": "a", "response": {"output": "2"}}},
                        {"functionResponse": {"name": "a", "response": {"output": "3"}}},
                        {"functionResponse": {"name": "c", "response": {"output": "5"}}},
                    ]
                },
            ]
        }
    )
    calls, results = request.messages
    assert [part.id for part in calls.parts if isinstance(part, ToolCall)] == ["call_1", "call_0", "call_2", "call_3"]
    ids = [part.call_id for part in results.parts if isinstance(part, ToolResult)]
    assert ids == ["call_2", "call_1", "call_0", "call_3", "call_4"]


def test_a_result_without_an_id_is_of_the_call_that_had_one() -> None:
    request = said(
        {"functionCall": {"id": "c1", "name": "f"}},
        {"functionCall": {"id": "c2", "name": "f"}},
        {"functionResponse": {"name": "f", "response": {}}},
        {"functionResponse": {"name": "f", "response": {}}},
    )
    assert [part.call_id for part in request.messages[0].parts if isinstance(part, ToolResult)] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("config", "mode", "names"),
    [
        ({}, Choosing.AUTO, ()),
        ({"mode": "auto"}, Choosing.AUTO, ()),
        ({"mode": "ANY"}, Choosing.REQUIRED, ()),
        ({"mode": "ANY", "allowedFunctionNames": ["a"]}, Choosing.NAMED, ("a",)),
        ({"mode": "ANY", "allowed_function_names": ["a", "b"]}, Choosing.REQUIRED, ("a", "b")),
        ({"mode": "NONE"}, Choosing.NONE, ()),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["a"]}, Choosing.AUTO, ("a",)),
    ],
)
def test_tool_choice(config: Any, mode: Choosing, names: tuple[str, ...]) -> None:
    choice = said({"text": "a"}, toolConfig={"functionCallingConfig": config}).tool_choice
    assert choice is not None
    assert (choice.mode, choice.names) == (mode, names)


@pytest.mark.parametrize(
    ("config", "kind", "bound"),
    [
        ({"responseMimeType": "text/plain"}, None, ()),
        ({"responseMimeType": "application/json"}, OutputKind.JSON, ()),
        ({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}}, OutputKind.SCHEMA, ()),
        ({"responseJsonSchema": {"type": "object"}}, OutputKind.SCHEMA, ()),
        ({"responseMimeType": "text/x.enum"}, None, ("generationConfig.responseMimeType",)),
        ({"responseModalities": ["text", "Text"]}, None, ()),
        ({"responseModalities": ["AUDIO"]}, None, ("generationConfig.responseModalities",)),
        *(
            ({name: {}}, None, (f"generationConfig.{name}",))
            for name in (
                "speechConfig",
                "imageConfig",
                "responseFormat",
                "audioTranscriptionConfig",
                "translationConfig",
                "routingConfig",
                "modelSelectionConfig",
            )
        ),
        ({"responseMimeType": "Application/JSON"}, OutputKind.JSON, ()),
    ],
)
def test_output(config: Any, kind: OutputKind | None, bound: tuple[str, ...]) -> None:
    request = said({"text": "a"}, generationConfig=config)
    assert (request.output.kind if request.output else None) is kind
    assert request.bound == bound


def test_the_schema_of_an_answer_stays_as_it_came() -> None:
    body = b'{"contents":{"parts":{"text":"a"}},"generationConfig":{"responseJsonSchema":{ "b_c":1.00, "a":[] }}}'
    assert CLIENT.read(body, "chat", False).output == Output(OutputKind.SCHEMA, msgspec.Raw(b'{ "b_c":1.00, "a":[] }'))


@pytest.mark.parametrize(
    ("level", "effort"),
    [("low", Effort.LOW), ("HIGH", Effort.HIGH), ("THINKING_LEVEL_UNSPECIFIED", None), (None, None)],
)
def test_reasoning(level: str | None, effort: Effort | None) -> None:
    request = said({"text": "a"}, generationConfig={"thinkingConfig": {"thinkingLevel": level, "thinkingBudget": -1}})
    assert request.reasoning is not None
    assert (request.reasoning.effort, request.reasoning.budget_tokens) == (effort, -1)


@pytest.mark.parametrize(("tier", "canonical"), [("standard", "default"), ("FLEX", "flex"), ("unspecified", "")])
def test_service_tier(tier: str, canonical: str) -> None:
    request = said({"text": "a"}, serviceTier=tier)
    assert (request.service_tier, request.unsaid) == (canonical, ())


def test_null_is_as_good_as_nothing() -> None:
    fields = [
        "tools",
        "tool_config",
        "generationConfig",
        "systemInstruction",
        "labels",
        "serviceTier",
        "cachedContent",
        "futureField",
    ]
    part = {"text": "a", "inlineData": None, "functionCall": None, "thought": None, "thought_signature": None}
    config = dict.fromkeys(
        ["topK", "stopSequences", "responseSchema", "thinkingConfig", "speechConfig", "responseMimeType"]
    )
    assert said(part, **dict.fromkeys(fields)) == said({"text": "a"})
    assert said(part, generationConfig=config) == said({"text": "a"})


def test_instructions_stand_before_everything() -> None:
    request = read({"contents": [{"parts": [{"text": "a"}]}], "system_instruction": {"parts": {"text": "be"}}})
    assert [message.role for message in request.messages] == [Role.SYSTEM, Role.USER]


def test_a_long_conversation_of_small_parts_takes_time_in_proportion() -> None:
    calls = [{"functionCall": {"name": "f"}}, {"functionResponse": {"name": "f", "response": {}}}] * 20_000
    assert len(said(*calls).messages[0].parts) == 40_000


def test_names_of_unknown_fields_are_fit_for_a_header() -> None:
    request = said({"text": "a", "new_one": 1}, **{"a\r\nb": 1, "x" * 65: 1, "future_field": {}})
    assert request.unsaid == ("contents.parts.newOne", "?", "futureField")
    many = said(*[{"text": "a", "x": 1}] * 40, **{f"y{number}": 1 for number in range(40)})
    assert many.unsaid == ("contents.parts.x", *[f"y{number}" for number in range(15)])
    assert len(said(*[{"toolCall": {}}] * 40).bound) == 16


@pytest.mark.parametrize("name", ["executableCode", "codeExecutionResult", "toolCall", "toolResponse", "videoMetadata"])
def test_what_hosted_tools_have_left_binds_the_request(name: str) -> None:
    request = said({"text": "a"}, {name: {}, "partMetadata": {}})
    assert (request.bound, request.unsaid) == ((f"contents[0].parts[1].{name}",), ("contents.parts.partMetadata",))


@pytest.mark.parametrize("name", ["cachedContent", "continuationToken"])
def test_what_google_keeps_binds_the_request(name: str) -> None:
    assert said({"text": "a"}, **{name: "x"}).bound == (name,)


def test_what_is_left_out_is_named_wherever_it_stands() -> None:
    request = read(
        {
            "contents": [
                {"role": "MODEL", "parts": {"functionCall": {"name": "f", "new": 1}}, "new": 1},
                {
                    "parts": [
                        {"inlineData": {"mimeType": "image/png", "data": "QQ==", "new": 1}},
                        {"fileData": {"fileUri": "https://a.b/c.png", "new": 1}},
                        {
                            "functionResponse": {
                                "name": "f",
                                "response": {},
                                "new": 1,
                                "parts": [{"inlineData": {"mimeType": "image/png", "data": "QQ=="}, "new": 1}],
                            }
                        },
                        {"text": "a", "new": 1},
                    ]
                },
            ],
            "serviceTier": "of tomorrow",
            "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}, "new": 1},
        }
    )
    assert (request.messages[0].role, request.bound) == (Role.ASSISTANT, ())
    assert set(request.unsaid) == {
        "contents.new",
        "contents.parts.functionCall.new",
        "contents.parts.inlineData.new",
        "contents.parts.fileData.new",
        "contents.parts.functionResponse.new",
        "contents.parts.functionResponse.parts.new",
        "contents.parts.new",
        "serviceTier",
        "toolConfig.functionCallingConfig.mode",
        "toolConfig.new",
    }


def test_a_kind_of_part_that_is_not_known_binds_the_request() -> None:
    assert said({"text": "a"}, {"new": 1}).bound == ("contents[0].parts[1].new",)
    result = {"name": "f", "response": {}, "parts": [{"fileData": {"fileUri": "files/a"}}, {"text": "a"}]}
    request = said({"functionResponse": result})
    assert request.bound == ("contents[0].parts[0].functionResponse.parts[1]",)
    (read_result,) = request.messages[0].parts
    assert isinstance(read_result, ToolResult)
    assert read_result.content[1:] == (Media(MediaKind.FILE, file_id="files/a", family=Family.GEMINI),)


def test_a_tool_config_may_say_nothing_of_calls() -> None:
    request = said({"text": "a"}, toolConfig={"retrievalConfig": {}})
    assert (request.tool_choice, request.unsaid) == (None, ("toolConfig.retrievalConfig",))


def test_calls_without_a_result_have_ids_of_their_own() -> None:
    assert said({"functionCall": {"id": "x", "name": "f"}}).messages[0].parts == (ToolCall("x", "f", "{}"),)


def test_a_body_that_no_parser_reads_is_nested_too_deeply() -> None:
    body = b'{"contents":[{"parts":[{"functionResponse":{"name":"f","response":{}}}]}],"tools":%s}'
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        CLIENT.read(body % (b'{"functionDeclarations":' * 100_000), "chat", False)


@pytest.mark.parametrize("name", ["googleSearch", "googleSearchRetrieval", "urlContext"])
def test_a_look_up_can_be_done_without_if_there_are_other_tools(name: str) -> None:
    contents = [{"parts": [{"text": "?"}]}]
    alone = read({"contents": contents, "tools": [{name: {}}]})
    assert (alone.bound, alone.unsaid) == ((f"tools[0].{name}",), ())
    beside = read({"contents": contents, "tools": [{name: {}}, {"functionDeclarations": [{"name": "f"}]}]})
    assert (beside.bound, beside.unsaid) == ((), (f"tools.{name}",))
    runs = [{"codeExecution": {}, "functionDeclarations": [{"name": "f"}]}]
    assert read({"contents": contents, "tools": runs}).bound == ("tools[0].codeExecution",)
