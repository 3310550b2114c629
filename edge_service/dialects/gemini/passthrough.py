"""Gemini on both sides of the gateway: bytes pass through, only the model's name is touched.

In a request the name stands in the path, and in the bodies of some methods once more, as `models/NAME`; in an answer
as `modelVersion`. Streams are asked for as server-sent events; a client that wants the other form, which is one JSON
array, gets the same chunks in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from edge_service.dialects import model_name
from edge_service.dialects.canonical import Usage
from edge_service.dialects.exchange import EmptyAnswerError, EventKind, MalformedAnswerError, ReportedError, Whole
from edge_service.dialects.gemini import fields, needs, usage, wire, words
from edge_service.dialects.gemini.client_events import Framing
from edge_service.dialects.gemini.provider_events import Endings
from edge_service.dialects.gemini.provider_request import generate_path
from edge_service.dialects.values import first_byte, is_null
from edge_service.domain import sse
from edge_service.domain.errors import ApiError, InvalidRequestError
from edge_service.domain.needs import Needs

_PREAMBLE, _CONTENT, _TERMINAL, _ERROR = EventKind

_encode = msgspec.json.encode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_anything = msgspec.json.Decoder()
_wire_usage = msgspec.json.Decoder(wire.Usage)
_NOT_CONTENT = frozenset({"thought", "thoughtSignature"})


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """A client's request, read as far as routing needs."""

    model: str
    stream: bool
    candidates: int
    """How many answers a stream will have in it."""
    body: bytes
    """As it came."""
    needs: Needs
    array: bool = False
    """The client wants a stream as one JSON array."""

    def path(self, model: str) -> str:
        """For a provider that calls the model by this name."""
        return generate_path(model, stream=self.stream)

    def reader(self) -> EventReader:
        return EventReader(self.model, candidates=self.candidates, array=self.array)


def read_request(body: bytes, model: str, stream: bool, *, array: bool = False) -> GenerateRequest:
    """Raises `InvalidRequestError`, which says what is wrong and where."""
    check_model(model)
    try:
        request = fields.whole(body)
        if not request.has("contents"):
            raise InvalidRequestError("'contents' is missing: it holds the conversation", param="contents")
        needed = needs.of(request.copy())
        contents = request.raw("contents")
        if contents is not None and first_byte(contents) not in (b"[", b"{"):
            raise fields.wrong("contents", "an array of objects")
        config = request.object("generationConfig")
        candidates = config.integer("candidateCount") if config is not None else None
    except RecursionError as error:
        raise InvalidRequestError("the body is nested too deeply") from error
    return GenerateRequest(model, stream, max(candidates or 1, 1), body, needed, array)


def check_model(model: str) -> None:
    if not model.strip():
        raise InvalidRequestError("the path names no model: it is /v1beta/models/MODEL:METHOD", param="model")
    if len(model) > model_name.MAX_CHARS:
        raise InvalidRequestError(f"the model's name is longer than {model_name.MAX_CHARS} characters", param="model")


def whole(body: bytes, model: str) -> Whole:
    """A provider's whole answer under the name that the client asked for. Raises `MalformedAnswerError`,
    `EmptyAnswerError` or `ReportedError`."""
    if not body.strip():
        raise EmptyAnswerError("an empty body")
    answer = _answer(body)
    if _says(answer, "error"):
        raise ReportedError("the provider reported an error")
    candidates = answer.get("candidates")
    if candidates is not None and first_byte(candidates) not in (b"[", b"n"):
        raise MalformedAnswerError("'candidates' is not an array")
    if not _list(candidates) and not _is_blocked(answer):
        raise EmptyAnswerError("no candidates")
    return Whole(_encode({**answer, "modelVersion": model}), _usage(answer.get("usageMetadata")))


def _usage(raw: msgspec.Raw | None) -> Usage | None:
    """None too for what is none: the client gets it as it came."""
    if raw is None or is_null(raw):
        return None
    try:
        return usage.read(_wire_usage.decode(raw))
    except (ValueError, RecursionError):
        return None


class EventReader:
    """Reads a provider's stream chunk by chunk and rewrites the model's name."""

    __slots__ = ("_endings", "_framing", "_model", "_usage")

    def __init__(self, model: str, *, candidates: int = 1, array: bool = False) -> None:
        self._model = msgspec.Raw(_encode(model))
        self._endings = Endings(candidates)
        self._framing = Framing(array=True) if array else None
        self._usage: msgspec.Raw | None = None

    @property
    def usage(self) -> Usage | None:
        """As the protocol says."""
        return _usage(self._usage)

    def read(self, event: bytes) -> tuple[EventKind, bytes]:
        """What the event is, and its bytes for the client. Raises `MalformedAnswerError`."""
        data = sse.data_of(event)
        if data is None:
            return _PREAMBLE, event if self._framing is None else b""
        chunk = _answer(data)
        if _says(chunk, "error"):
            return _ERROR, event
        kind = self._kind(chunk)
        # Every chunk has it: it is read when it is asked for.
        self._usage = chunk.get("usageMetadata", self._usage)
        if "modelVersion" in chunk:
            data = _encode({**chunk, "modelVersion": self._model})
            event = sse.with_data(event, data)
        if self._framing is None:
            return kind, event
        written = self._framing.chunk(data)
        return kind, written + self._framing.end() if kind is _TERMINAL else written

    def error(self, error: ApiError) -> bytes:
        """How the stream ends if it breaks off."""
        return (self._framing or Framing(array=False)).error(error)

    def _kind(self, chunk: dict[str, msgspec.Raw]) -> EventKind:
        candidates = _list(chunk.get("candidates"))
        if not candidates:
            return _TERMINAL if _is_blocked(chunk) else _PREAMBLE
        has_content = False
        for position, candidate in enumerate(candidates):
            if not isinstance(candidate, dict):
                raise MalformedAnswerError("a candidate that is no object")
            index = candidate.get("index")
            reason = candidate.get("finishReason")
            self._endings.see(
                index if type(index) is int else position,
                has_finished=isinstance(reason, str) and reason not in words.UNFINISHED,
            )
            has_content = has_content or _has_content(candidate.get("content"))
        if self._endings.complete:
            return _TERMINAL
        return _CONTENT if has_content else _PREAMBLE


def _answer(data: bytes) -> dict[str, msgspec.Raw]:
    try:
        if not data.isascii():
            data.decode()  # What stays raw is checked for everything but its encoding.
        return _object.decode(data)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("not a JSON object") from None


def _says(answer: dict[str, msgspec.Raw], name: str) -> bool:
    return name in answer and not is_null(answer[name])


def _decoded(raw: msgspec.Raw | None) -> Any:
    if raw is None:
        return None
    try:
        return _anything.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise MalformedAnswerError("nested too deeply") from None


def _list(raw: msgspec.Raw | None) -> list[Any]:
    value = _decoded(raw)
    return value if isinstance(value, list) else []


def _is_blocked(answer: dict[str, msgspec.Raw]) -> bool:
    feedback = _decoded(answer.get("promptFeedback"))
    return isinstance(feedback, dict) and bool(feedback.get("blockReason"))


def _has_content(content: Any) -> bool:
    """Whether there is something for a reader. Unknown kinds of parts count: better a stream that can no longer move
    than content that was sent twice."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return False
    return any(
        isinstance(part, dict) and any(value for name, value in part.items() if name not in _NOT_CONTENT)
        for part in parts
    )
