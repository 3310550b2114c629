from __future__ import annotations

import json
from typing import Any

import pytest

from edge_service.dialects.asked import generation
from edge_service.domain.needs import Capability, Needs

IMAGE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo"}}


def needs(*parts: Any, **fields: Any) -> Needs:
    contents = [{"role": "user", "parts": [{"text": "Hi"}, *parts]}]
    return generation(json.dumps({"contents": contents, **fields}).encode(), "m", stream=False, array=False).needs


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, []),
        ({"tools": [{"functionDeclarations": [{"name": "f"}]}]}, [Capability.TOOLS]),
        ({"tools": {"functionDeclarations": [{"name": "f"}]}}, [Capability.TOOLS]),
        ({"tools": []}, []),
        (config(responseJsonSchema={"type": "object"}, responseMimeType="application/json"), [Capability.JSON_SCHEMA]),
        ({"generation_config": {"response_schema": {"type": "OBJECT"}}}, [Capability.JSON_SCHEMA]),
        (config(responseMimeType="application/json"), []),
        (config(responseSchema={"type": "STRING"}, responseMimeType="text/plain"), []),
        (config(thinkingConfig={"thinkingBudget": -1}), [Capability.REASONING]),
        (config(thinkingConfig={"thinkingBudget": 0}), []),
        (config(thinkingConfig={"thinkingLevel": "high"}), [Capability.REASONING]),
        (config(thinkingConfig={"thinking_level": "MINIMAL"}), []),
        (config(thinkingConfig={"includeThoughts": True}), []),
        (config(responseModalities=["AUDIO"]), [Capability.AUDIO]),
        (config(responseModalities=["TEXT"]), []),
        (
            config(thinkingConfig=7, responseMimeType=7, responseSchema={}, responseModalities=7, maxOutputTokens="7"),
            [],
        ),
        ({"tools": 7}, []),
    ],
    ids=str,
)
def test_what_fields_need(fields: dict[str, Any], needed: list[Capability]) -> None:
    assert list(needs(**fields).capabilities) == needed


def file(uri: str, **fields: str) -> dict[str, Any]:
    return {"fileData": {"fileUri": uri, **fields}}


@pytest.mark.parametrize(
    ("parts", "needed"),
    [
        ([IMAGE], [Capability.VISION]),
        ([{"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgo"}}], [Capability.VISION]),
        ([{"inlineData": {"mimeType": "audio/wav", "data": "UklGR"}}, IMAGE], [Capability.AUDIO, Capability.VISION]),
        ([{"inlineData": {"mimeType": "application/pdf", "data": "JVBERi"}}], []),
        ([file("https://x.example/a.png")], [Capability.VISION]),
        ([file("files/a", mimeType="audio/mp3")], [Capability.AUDIO]),
        ([file("https://youtu.be/a")], []),
        ([{"functionResponse": {"name": "f", "response": {}, "parts": [IMAGE]}}], [Capability.VISION]),
        ([{"functionCall": {"name": "f", "args": IMAGE}}], []),
        ([{"functionResponse": {"name": "f", "response": IMAGE}}], []),
        ([{"text": json.dumps(IMAGE)}], []),
        ([{"text": "inlineData"}], []),
        ([{"inlineData": 7}, IMAGE], []),
        ([7, IMAGE], []),
    ],
    ids=str,
)
def test_media_are_seen_where_they_stand_and_nowhere_else(parts: list[Any], needed: list[Capability]) -> None:
    assert list(needs(*parts).capabilities) == needed
    assert list(needs(contents={"parts": parts}).capabilities) == needed


def test_the_most_output() -> None:
    assert needs(**config(maxOutputTokens=17)).max_output_tokens == 17
    assert needs(**config(maxOutputTokens=17.0)).max_output_tokens == 17
    assert needs(**config(maxOutputTokens=-1)).max_output_tokens == 0
    assert needs().max_output_tokens == 0


def test_the_input_is_measured() -> None:
    long = {"text": "word " * 30_000}
    assert 10_000 < needs(long).estimated_input_tokens < 30_000
    assert needs(systemInstruction={"parts": [long]}).estimated_input_tokens > 10_000
