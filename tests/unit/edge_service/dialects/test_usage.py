"""What answers cost is told alike by whoever passes them through and by whoever translates them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_service.dialects import asked_plain
from edge_service.dialects.canonical import Started, Usage, UsageSeen
from edge_service.dialects.exchange import (
    Call,
    EmptyAnswerError,
    EventReader,
    InexpressibleError,
    MalformedAnswerError,
    ReportedError,
)
from edge_service.dialects.openai_plain import APIS
from edge_service.domain.plan import Attempt
from edge_service.domain.sse import EventSplitter
from tests.support import golden
from tests.support.golden import DIALECTS
from tests.support.needed import READERS

HELLO = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
REQUESTS = {
    "anthropic": {"model": "m", "stream": True, **HELLO},
    "gemini": {"contents": [{"parts": [{"text": "Hi"}]}]},
    "openai_chat": {"model": "m", "stream": True, **HELLO},
    "openai_responses": {"model": "m", "stream": True, "input": "Hi"},
}


def attempt(dialect: str) -> Attempt:
    """Of a target that speaks it."""
    name = "openai" if dialect.startswith("openai") else dialect
    return Attempt("t", "p", name, "", "up", "", responses=dialect == "openai_responses")


def calls(dialect: str) -> list[Call]:
    """The request of its own client, which is passed through, and those of others."""
    able = DIALECTS if dialect != "openai_responses" else [dialect]  # Nobody is translated to it.
    found = [READERS[asks](json.dumps(REQUESTS[asks]).encode()).of(attempt(dialect)) for asks in able]
    assert sum(not call.is_translated for call in found) == 1
    return found


def files(kind: str) -> list[Path]:
    return sorted(path for path in golden.ROOT.glob(f"*/{kind}/*.*") if path.is_file())


@pytest.mark.parametrize("path", files("answers"), ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_of_a_whole_answer(path: Path) -> None:
    dialect, body = path.parts[-3], path.read_bytes()
    try:
        usage = DIALECTS[dialect].provider.read(body).usage
    except (EmptyAnswerError, MalformedAnswerError, ReportedError, InexpressibleError):
        return
    for call in calls(dialect):
        assert call.usage is None
        try:
            call.complete(body)
        except (EmptyAnswerError, ReportedError):
            continue
        assert (call.usage or Usage()) == usage


@pytest.mark.parametrize("path", files("streams"), ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_of_a_stream(path: Path) -> None:
    dialect = path.parts[-3]
    events = list(EventSplitter().feed(path.read_bytes()))
    provider, usage = DIALECTS[dialect].provider.events(), None
    for event in events:
        try:
            said = provider.read(event)
        except (MalformedAnswerError, ReportedError):
            return
        told = [each.usage for each in said if isinstance(each, UsageSeen | Started) and each.usage is not None]
        usage = told[-1] if told else usage
    for call in calls(dialect):
        reader = call.reader()
        assert reader is not None
        assert reader.usage is None
        for event in events:
            reader.read(event)
        assert reader.usage == usage


def reader(dialect: str) -> EventReader:
    found = calls(dialect)[0 if dialect == "openai_responses" else list(DIALECTS).index(dialect)].reader()
    assert found is not None
    return found


@pytest.mark.parametrize("usage", [b"7", b"[]", b'{"input_tokens":"x"}', b"null", b'{"promptTokenCount":[]}'])
def test_what_is_no_usage_is_none_and_harms_nobody(usage: bytes) -> None:
    for dialect, event in {
        "anthropic": b'{"type":"message_delta","delta":{},"usage":%b}',
        "gemini": b'{"candidates":[],"usageMetadata":%b}',
        "openai_chat": b'{"choices":[],"usage":%b}',
    }.items():
        it = reader(dialect)
        it.read(b"data: " + event % usage + b"\n\n")
        assert it.usage in (None, Usage())


def test_anthropics_last_word_is_added_to_its_first() -> None:
    it = reader("anthropic")
    it.read(b'data: {"type":"message_start","message":{"usage":{"input_tokens":5,"cache_read_input_tokens":3}}}\n\n')
    assert it.usage == Usage(8, 0, 3)
    it.read(b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n')
    assert it.usage == Usage(8, 2, 3)


@pytest.mark.parametrize(
    ("path", "told", "usage"),
    [
        ("/images/generations", {"data": [1], "usage": {"input_tokens": 3, "output_tokens": 4}}, Usage(3, 4)),
        ("/rerank", {"usage": {"prompt_tokens": 5}}, Usage(5)),
        ("/audio/transcriptions", {"text": "a", "usage": {"type": "tokens", "input_tokens": 6}}, Usage(6)),
        ("/moderations", {"results": [1]}, None),
        ("/moderations", {"results": [1], "usage": 7}, None),
    ],
)
def test_of_what_is_passed_on(path: str, told: dict[str, object], usage: Usage | None) -> None:
    api = next(api for api in APIS if api.path == path)
    call = asked_plain.passed_on(api, b'{"model":"m"}', []).of(attempt("openai"))
    call.complete(json.dumps(told).encode())
    assert call.usage == usage


def test_of_vectors() -> None:
    openai = json.dumps({"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}).encode()
    gemini = json.dumps({"embeddings": [{"values": [1.0]}], "usageMetadata": {"promptTokenCount": 5}}).encode()
    content = b'{"content":{"parts":[{"text":"a"}]}}'
    for asked in (
        asked_plain.embeddings(b'{"model":"m","input":"a"}', []),
        asked_plain.embedded_content(content, "m", many=False),
    ):
        for dialect, answer in (("openai", openai), ("gemini", gemini)):
            call = asked.of(attempt(dialect))
            call.complete(answer)
            assert call.usage == Usage(5)
