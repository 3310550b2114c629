"""Requests that are wrong somewhere: each is read all the same, and then goes to any provider that can be told of it,
or it is refused in its dialect's own words, with the path of a field that is there, or lacks only its end."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_service.dialects import anthropic, canonical, gemini, openai_chat, openai_responses
from edge_service.dialects.asked import chat_completion, generation, message
from edge_service.dialects.asked_responses import response
from edge_service.dialects.exchange import InexpressibleError
from edge_service.dialects.gemini.fields import camel
from edge_service.dialects.translation import PROVIDERS, Translated
from edge_service.domain.errors import ApiError, InvalidRequestError
from edge_service.domain.plan import Attempt
from tests.support import golden, published_anthropic


@dataclass(frozen=True, slots=True)
class Reader:
    dialect: str
    read: Callable[[bytes], object]
    field_of: Callable[[bytes], str | None]
    """The path in an error's body."""


def in_openais_words(body: bytes) -> str | None:
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["param"] is None or error["param"] in error["message"]
    param: str | None = error["param"]
    return param


def in_anthropics_words(body: bytes) -> str | None:
    published_anthropic.check_error(body)
    error = json.loads(body)["error"]
    assert error["type"] == "invalid_request_error"
    path, colon, _ = error["message"].partition(": ")
    return path if colon and " " not in path else None


def in_googles_words(body: bytes) -> str | None:
    error = json.loads(body)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    for detail in error["details"]:
        if detail["@type"].endswith("BadRequest"):
            (violation,) = detail["fieldViolations"]
            field: str = violation["field"]
            assert field in violation["description"]
            return field
    return None


READERS = {
    "chat, passed on": Reader("openai_chat", lambda body: chat_completion(body, []), in_openais_words),
    "chat, translated": Reader("openai_chat", openai_chat.CLIENT.read, in_openais_words),
    "Responses, passed on": Reader("openai_responses", lambda body: response(body, []), in_openais_words),
    "Responses, translated": Reader("openai_responses", openai_responses.CLIENT.read, in_openais_words),
    "Anthropic, passed on": Reader("anthropic", lambda body: message(body, []), in_anthropics_words),
    "Anthropic, translated": Reader("anthropic", anthropic.CLIENT.read, in_anthropics_words),
    "Anthropic, counted": Reader("anthropic", anthropic.COUNTING_CLIENT.read, in_anthropics_words),
    "Gemini, passed on": Reader(
        "gemini", lambda body: generation(body, "m", stream=False, array=False), in_googles_words
    ),
    "Gemini, translated": Reader("gemini", lambda body: gemini.CLIENT.read(body, "m", False), in_googles_words),
}

VOICES: dict[str, Callable[[ApiError], bytes]] = {
    "openai_chat": openai_chat.error_body,
    "openai_responses": openai_chat.error_body,
    "anthropic": anthropic.CLIENT.error_body,
    "gemini": gemini.CLIENT.error_body,
}

CORPUS = {
    dialect: [json.loads(path.read_bytes()) for path in sorted((golden.ROOT / dialect / "requests").glob("*.json"))]
    for dialect in VOICES
}
OTHERS: list[Any] = [None, True, 7, -1, 1.5, 1e300, "", "x", [], [7], ["x"], [[]], {}, {"x": 7}, {"type": "x"}]


def parts(node: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from parts(value)


@st.composite
def mutants(draw: st.DrawFn, dialect: str) -> Any:
    tree = copy.deepcopy(draw(st.sampled_from(CORPUS[dialect])))
    for _ in range(draw(st.integers(1, 2))):
        found = list(parts(tree))
        if not found:
            break
        node, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["drop", "retype", "nest", "list", "double"])):
            case "drop":
                del node[key]
            case "retype":
                node[key] = copy.deepcopy(draw(st.sampled_from(OTHERS)))
            case "nest":
                node[key] = {"x" if isinstance(key, int) else key: node[key]}
            case "list":
                node[key] = [node[key]]
            case _ if isinstance(node, list):
                node.insert(key, copy.deepcopy(node[key]))
    return tree


def missing(node: Any, path: str, dialect: str) -> str:
    """What is left of a path where the request ends."""
    if not path:
        return ""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    rest = path.removeprefix(".")
    for key, value in inside:
        number = str(key) if dialect == "anthropic" else f"[{key}]"
        for step in (key, camel(key)) if isinstance(key, str) else (number,):
            if rest.startswith(step) and rest[len(step) : len(step) + 1] in ("", ".", "["):
                return missing(value, rest[len(step) :], dialect)
    return rest


def check(reader: Reader, tree: Any) -> None:
    error = refusal(reader, json.dumps(tree).encode())
    if error is None:
        return
    field = reader.field_of(VOICES[reader.dialect](error))
    assert (field is None) == (error.param is None)
    if field is not None:
        left = missing(tree, field, reader.dialect)
        assert not left or left.isidentifier(), (field, left)


def refusal(reader: Reader, body: bytes) -> InvalidRequestError | None:
    try:
        request = reader.read(body)
    except InvalidRequestError as error:
        return error
    if isinstance(request, canonical.Request):
        for dialect in PROVIDERS:
            with contextlib.suppress(InexpressibleError):
                Translated(openai_chat.CLIENT, request, Attempt("p/m#0", "p", dialect, "http://p", "m", ""))
    return None


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(max_examples=150)
def test_a_mutated_request_is_read_or_refused_at_its_place(name: str, data: st.DataObject) -> None:
    reader = READERS[name]
    check(reader, data.draw(mutants(reader.dialect)))


@pytest.mark.parametrize("name", READERS)
def test_every_place_of_the_corpus_may_hold_anything(name: str) -> None:
    reader = READERS[name]
    for whole in CORPUS[reader.dialect]:
        for node, key in list(parts(whole)):
            kept = node[key]
            for other in OTHERS:
                node[key] = other
                check(reader, whole)
            node[key] = kept
