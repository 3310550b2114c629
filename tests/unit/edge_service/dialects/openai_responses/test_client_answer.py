from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest
from openai import OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from edge_service.dialects import openai_responses
from edge_service.dialects.canonical import (
    Answer,
    Choice,
    Family,
    Finish,
    Media,
    MediaKind,
    Native,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolKind,
    Usage,
)
from tests.support import published_responses


def write(
    *parts: Any, finish: Finish = Finish.STOP, logprobs: msgspec.Raw | None = None, answer_id: str = "a1"
) -> Response:
    answer = Answer(
        answer_id, 1_700_000_000, (Choice(parts, finish, logprobs=logprobs),), Usage(30, 12, 10, 5, 7), "flex"
    )
    return published_responses.check_answer(openai_responses.CLIENT.write(answer, Request("the-name", False, ())))


def output(*parts: Any) -> list[dict[str, Any]]:
    return [item.to_dict() for item in write(*parts).output]


def test_about_the_answer() -> None:
    answer = write(Text("a"), Text("b"))
    assert (answer.id, answer.model, answer.created_at) == ("resp_a1", "the-name", 1_700_000_000)
    assert (answer.status, answer.service_tier, answer.output_text) == ("completed", "flex", "ab")
    assert answer.usage is not None
    assert answer.usage.to_dict() == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 42,
    }


@pytest.mark.parametrize(
    ("finish", "part", "status", "reason"),
    [
        (Finish.STOP, Text("a"), "completed", None),
        (Finish.TOOL_CALLS, ToolCall("c", "f", "{}"), "completed", None),
        (Finish.REFUSED, Refusal("no"), "completed", None),
        (Finish.REFUSED, Text("a"), "incomplete", "content_filter"),
        (Finish.FILTERED, Text("a"), "incomplete", "content_filter"),
        (Finish.LENGTH, Text("a"), "incomplete", "max_output_tokens"),
        (Finish.CONTEXT, Text("a"), "incomplete", "max_output_tokens"),
        (Finish.PAUSED, Text("a"), "incomplete", "max_output_tokens"),
    ],
)
def test_why_it_ends(finish: Finish, part: Any, status: str, reason: str | None) -> None:
    answer = write(part, finish=finish)
    assert answer.status == status
    assert answer.output[-1].to_dict()["status"] == status
    assert (None if answer.incomplete_details is None else answer.incomplete_details.reason) == reason


def test_what_is_said_in_a_row_is_one_message() -> None:
    said, call, more = output(Text("a"), Refusal("no"), ToolCall("c", "f", ""), Text("b"))
    assert [part["type"] for part in said["content"]] == ["output_text", "refusal"]
    assert (call["call_id"], call["name"], call["arguments"]) == ("c", "f", "{}")
    assert [part["text"] for part in more["content"]] == ["b"]
    assert [said["id"], call["id"], more["id"]] == ["msg_a1_0", "fc_a1_1", "msg_a1_2"]


def test_a_call_without_an_id_gets_one() -> None:
    assert output(Text("a"), ToolCall("", "f", "{}"))[1]["call_id"] == "call_1"


def test_thoughts_come_with_what_their_family_needs() -> None:
    own, other, none = output(
        Thinking("t", encrypted="gAAA", family=Family.OPENAI, id="rs_1"),
        Thinking("u", signature="s", family=Family.ANTHROPIC),
        Thinking("v"),
    )
    assert (own["id"], own["encrypted_content"]) == ("rs_1", "gAAA")
    assert (other["id"], other["encrypted_content"]) == ("rs_a1_1", "forebay~s~anthropic~~s")
    assert other["summary"] == [{"type": "summary_text", "text": "u"}]
    assert none["encrypted_content"] == "forebay~n~~~"


def test_the_signature_of_a_call_stands_before_it() -> None:
    signature, call = output(ToolCall("c", "f", "{}", signature="s"))
    assert (signature["type"], signature["encrypted_content"]) == ("reasoning", "forebay~c~gemini~c~s")
    assert call["id"] == "fc_a1_1"


@pytest.mark.parametrize("answer_id", ["", "resp_1", "a/b ü", "x" * 500])
def test_ids_are_such_as_openai_takes(answer_id: str) -> None:
    answer = write(Thinking("t", id="rs_" + "x" * 70), Text("a"), ToolCall("c", "f", "{}"), answer_id=answer_id)
    ids = [answer.id, *(str(item.id) for item in answer.output)]
    assert [name.partition("_")[0] for name in ids] == ["resp", "rs", "msg", "fc"]
    assert all(len(name) <= 64 and name.replace("_", "").isascii() and "/" not in name for name in ids)


def test_images_are_as_if_the_tool_had_made_them() -> None:
    made, shown = output(
        Media(MediaKind.IMAGE, "image/png", data="QQ=="), Media(MediaKind.AUDIO, "audio/wav", data="QQ==")
    )
    assert (made["type"], made["result"], made["output_format"]) == ("image_generation_call", "QQ==", "png")
    assert shown["content"][0]["text"] == "![audio](data:audio/wav;base64,QQ==)"


def test_probabilities() -> None:
    said = msgspec.Raw(b'{"content":[{"token":"\xc3\xa9","logprob":-1,"top_logprobs":[]}],"refusal":null}')
    (message,) = write(Text("é"), logprobs=said).output
    assert message.to_dict()["content"] == [
        {
            "type": "output_text",
            "text": "é",
            "annotations": [],
            "logprobs": [{"token": "é", "logprob": -1.0, "bytes": [195, 169], "top_logprobs": []}],
        }
    ]
    (message,) = write(Text("é"), logprobs=msgspec.Raw(b'[{"a":1}]')).output
    assert message.to_dict()["content"][0].get("logprobs") == []


class Person(BaseModel):
    name: str


def test_the_sdk_parses_it() -> None:
    body = openai_responses.CLIENT.write(
        Answer("a", 0, (Choice((Thinking("t"), Text('{"name":"Ada"}')), Finish.STOP),), Usage()),
        Request("the-name", False, ()),
    )
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "application/json"}, content=body)
    )
    with OpenAI(api_key="k", http_client=httpx2.Client(transport=transport)) as client:
        answer = client.responses.parse(model="the-name", input="?", text_format=Person)
    assert answer.output_parsed == Person(name="Ada")


def test_calls_are_turned_back_into_what_the_client_has_offered() -> None:
    tools = (
        Tool("patch", native=Native(ToolKind.CUSTOM, "patch")),
        Tool("crm__f", native=Native(ToolKind.FUNCTION, "f", "crm")),
        Tool("tool_search", native=Native(ToolKind.SEARCH, "tool_search")),
    )
    calls = (
        ToolCall("c0", "patch", '{"input":"a"}'),
        ToolCall("c1", "crm__f", "{}"),
        ToolCall("c2", "tool_search", '{"query":"q"}'),
        ToolCall("c3", "other", "{}"),
    )
    answer = Answer("i", 0, (Choice(calls, Finish.TOOL_CALLS),), Usage())
    body = openai_responses.CLIENT.write(answer, Request("the-name", False, (), tools))
    assert [item.to_dict() for item in published_responses.check_answer(body).output] == [
        {"id": "ctc_i_0", "type": "custom_tool_call", "call_id": "c0", "name": "patch", "input": "a"},
        {
            "id": "fc_i_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "c1",
            "name": "f",
            "arguments": "{}",
            "namespace": "crm",
        },
        {
            "id": "tsc_i_2",
            "type": "tool_search_call",
            "status": "completed",
            "call_id": "c2",
            "execution": "client",
            "arguments": {"query": "q"},
        },
        {
            "id": "fc_i_3",
            "type": "function_call",
            "status": "completed",
            "call_id": "c3",
            "name": "other",
            "arguments": "{}",
        },
    ]
