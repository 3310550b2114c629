from __future__ import annotations

import json

from edge_service.dialects import counting, estimable
from edge_service.dialects.canonical import MediaKind
from edge_service.dialects.estimable import MEDIA_TOKENS, MESSAGE_TOKENS, TOOL_TOKENS

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 1000}


def of(**fields: object) -> estimable.Estimable:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], **fields}
    return estimable.of(counting.of_message(json.dumps(body).encode(), []).request)


def test_all_that_a_model_reads_is_in_it() -> None:
    call = {"type": "tool_use", "id": "1", "name": "look", "input": {"at": "it"}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "seen"}]}
    it = of(
        system="be brief",
        messages=[
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, call]},
            {"role": "user", "content": [result]},
        ],
        tools=[{"name": "look", "description": "looks", "input_schema": {"type": "object"}}],
        output_config={"format": {"type": "json_schema", "schema": {"type": "array"}}},
    )
    said = ["be brief", "hello", "hm", "look", '{"at": "it"}', "seen"]
    assert list(it.texts) == [*said, "look", "looks", '{"type": "object"}', '{"type": "array"}']
    assert it.tokens == 4 * MESSAGE_TOKENS + 2 * TOOL_TOKENS


def test_media_are_guessed_wherever_they_stand() -> None:
    image = {"type": "image", "source": PNG}
    pdf = {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}, "title": "a.pdf"}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [image]}
    it = of(messages=[{"role": "user", "content": [result, image, pdf]}])
    assert it.texts == ("a.pdf",)
    assert it.tokens == MESSAGE_TOKENS + 2 * MEDIA_TOKENS[MediaKind.IMAGE] + MEDIA_TOKENS[MediaKind.FILE]


def test_a_text_file_is_as_long_as_it_is() -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "word " * 800}
    it = of(messages=[{"role": "user", "content": [{"type": "document", "source": text}]}])
    assert it.tokens == MESSAGE_TOKENS + 1000


def test_every_kind_of_media_has_its_guess() -> None:
    assert MEDIA_TOKENS.keys() == set(MediaKind)
