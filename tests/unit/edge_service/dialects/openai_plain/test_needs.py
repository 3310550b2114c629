from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects import asked_plain
from edge_service.dialects.exchange import Asked
from edge_service.dialects.openai_plain import APIS
from edge_service.domain.needs import NO_NEEDS, Capability, Needs, Operation

LONG = "word " * 3_000


def embedding(said: Any) -> Asked:
    return asked_plain.embeddings(json.dumps({"model": "m", "input": said}).encode(), [])


def test_who_wants_vectors_says_so() -> None:
    contents = json.dumps({"content": {"parts": [{"text": LONG}]}}).encode()
    many = json.dumps({"requests": [{"content": {"parts": [{"text": LONG}]}}] * 100}).encode()
    for asked in (
        embedding(LONG),
        asked_plain.embedded_content(contents, "m", many=False),
        asked_plain.embedded_content(many, "m", many=True),
    ):
        assert asked.operation is Operation.EMBED
        assert asked.needs.capabilities == (Capability.EMBEDDINGS,)
        assert 1000 < asked.needs.estimated_input_tokens < 3000


@pytest.mark.parametrize("said", [LONG, [LONG] * 100, [LONG, "a"], list(range(3000)), [[12345] * 3000, [1]]], ids=len)
def test_of_many_texts_the_longest_counts(said: Any) -> None:
    assert 1000 < embedding(said).needs.estimated_input_tokens < 3000


@pytest.mark.parametrize("said", [None, 7, {}, []], ids=str)
def test_what_cannot_be_embedded_needs_nothing(said: Any) -> None:
    assert embedding(said).needs == Needs((Capability.EMBEDDINGS,))


def test_a_text_to_go_on_with() -> None:
    body = json.dumps({"model": "m", "prompt": [LONG, LONG], "max_tokens": 7}).encode()
    asked = asked_plain.text_completion(body, [])
    assert asked.operation is Operation.GENERATE
    assert (asked.needs.capabilities, asked.needs.max_output_tokens) == ((), 7)
    assert 1000 < asked.needs.estimated_input_tokens < 3000


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.path)
def test_of_the_others_nothing_is_known(api: asked_plain.Api) -> None:
    assert asked_plain.passed_on(api, b'{"model":"m","input":"a"}', []).needs is NO_NEEDS
