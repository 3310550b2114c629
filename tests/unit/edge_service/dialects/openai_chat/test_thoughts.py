"""Thoughts in requests that pass through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.openai_chat import DEFAULT, Quirks, read_request

STRICT = Quirks(unknown=frozenset({"messages.thinking"}))
OPENROUTER = Quirks(thoughts=("reasoning", "reasoning_details"))

OURS = {"type": "reasoning.text", "text": "a", "id": "forebay~x", "index": 0}
THEIRS = {"type": "reasoning.text", "text": "a", "id": "x", "index": 0}
USER = {"role": "user", "content": 'forebay~ and "reasoning_details"'}


def said(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "b", **fields}


@pytest.mark.parametrize(
    ("message", "quirks", "written"),
    [
        (said(reasoning_content="a", reasoning_details=[OURS]), DEFAULT, said()),
        (said(reasoning_content="a", reasoning_details=[OURS]), STRICT, said()),
        (
            said(reasoning_content="a", reasoning_details=[OURS]),
            Quirks(thoughts=("reasoning_content",)),
            said(reasoning_content="a"),
        ),
        (said(reasoning="a", reasoning_details=[THEIRS]), STRICT, said()),
        (said(reasoning_content="a"), STRICT, said()),
        (said(reasoning_content=None), STRICT, said()),
    ],
)
def test_they_are_taken_out(message: dict[str, Any], quirks: Quirks, written: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "messages": [USER, message]}).encode()
    sent = read_request(body).write("up", quirks)
    assert json.loads(sent.body) == {"model": "up", "messages": [USER, written]}
    assert sent.dropped == ("messages.thinking",)


def test_one_that_takes_them_gets_them_without_our_mark() -> None:
    details = [OURS, {**OURS, "id": "forebay~", "index": 1}, THEIRS]
    body = json.dumps({"model": "m", "messages": [USER, said(reasoning_content="a", reasoning_details=details)]})
    sent = read_request(body.encode()).write("up", OPENROUTER)
    assert json.loads(sent.body)["messages"][1] == said(
        reasoning_details=[{**OURS, "id": "x"}, {**OURS, "id": None, "index": 1}, THEIRS]
    )
    assert sent.dropped == ()


@pytest.mark.parametrize(
    "messages",
    [
        b'[ {"role":"assistant", "reasoning_details" : [{"id":"x","a":"~"}], "reasoning_content":"a"} ]',
        b'[ {"role":"user","content":"forebay~ \\"reasoning_details\\""} ]',
        b'[ {"role":"assistant","reasoning_details":"forebay~"} ]',
        b'[ {"role":"assistant","reasoning_details":[{"id":7,"x":"forebay~"}]} ]',
        b'[ "forebay~ \\"reasoning_details\\"", 7 ]',
    ],
)
def test_others_stay_as_they_came(messages: bytes) -> None:
    sent = read_request(b'{"model":"m","messages":%s}' % messages).write("up")
    assert sent.body == b'{"model":"up","messages":%s}' % messages
    assert sent.dropped == ()
