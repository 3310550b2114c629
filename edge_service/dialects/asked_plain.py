"""Clients' requests to APIs other than conversations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from edge_service.dialects import gemini, openai_chat
from edge_service.dialects.asked import GEMINI, OPENAI, EventVoice, Passed
from edge_service.dialects.canonical import Usage
from edge_service.dialects.embedding import Embedding, Vectors
from edge_service.dialects.exchange import (
    Asked,
    Call,
    EventReader,
    InexpressibleError,
    MalformedAnswerError,
    Voice,
    Whole,
    Written,
)
from edge_service.dialects.gemini import embedding as gemini_embedding
from edge_service.dialects.openai_chat.passthrough import open_request
from edge_service.dialects.openai_plain import EMBEDDINGS, TEXT_COMPLETIONS, Api, embedding, multipart, needs
from edge_service.dialects.stencil import StencilReader
from edge_service.domain.errors import ApiError
from edge_service.domain.headers import Headers, first
from edge_service.domain.needs import NO_NEEDS, Needs, Operation
from edge_service.domain.plan import Attempt


class _ByteVoice(EventVoice):
    """For streams that go through byte for byte. Not all of them are events, so that there are no heartbeats."""

    __slots__ = ()

    heartbeat = b""


def _error_event(error: ApiError) -> bytes:
    """It may come in the middle of a line, and has to be an event of its own nevertheless."""
    return b"\n\n" + openai_chat.error_event(error)


BYTES: Voice = _ByteVoice(openai_chat.error_body, _error_event, openai_chat.is_error_body)


@dataclass(slots=True)
class _Plain:
    """An `Asked` that only providers of OpenAI's dialect can be asked."""

    model: str
    stream: bool
    voice: Voice
    needs: Needs
    api: Api
    write: Callable[[str], Written]
    whole: Callable[[bytes], Whole]
    reader: Callable[[], EventReader | None]
    operation: Operation = Operation.GENERATE

    goes_on_from: str = ""

    def acts(self) -> bool:
        """As the protocol says."""
        return False

    def of(self, attempt: Attempt) -> Call:
        """As the protocol says."""
        if attempt.dialect != "openai":
            raise InexpressibleError((f"/v1{self.api.path}",))
        return Passed(self.write(attempt.upstream_model), self.whole, self.reader)


def text_completion(body: bytes, head: Headers) -> Asked:
    """Raises `InvalidRequestError`, as the others do. `head` are the client's headers."""
    api, request = TEXT_COMPLETIONS, open_request(body)
    name = request.model
    return _Plain(
        name,
        request.stream,
        OPENAI,
        needs.of_completion(request.fields),
        api,
        lambda model: Written(api.path, request.body(model)),
        lambda it: api.whole(it, name),
        lambda: StencilReader(openai_chat.EventReader(name)),
    )


def passed_on(api: Api, body: bytes, head: Headers) -> Asked:
    """A request of which only the model's name is known, in JSON or in a form."""
    content_type = first(head, b"content-type")
    if content_type is not None and multipart.is_form(content_type):
        form = multipart.read(body, content_type)

        def written(model: str) -> Written:
            return Written(api.path, form.body(model), content_type=form.content_type)

        return _passed_on(api, form.model, form.stream, written)
    request = open_request(body)
    # Speech has a word of its own for it.
    stream = request.stream or (
        "stream_format" in request.fields and bytes(request.fields["stream_format"]) == b'"sse"'
    )
    return _passed_on(api, request.model, stream, lambda model: Written(api.path, request.body(model)))


def _passed_on(api: Api, name: str, stream: bool, write: Callable[[str], Written]) -> Asked:
    return _Plain(name, stream, BYTES, NO_NEEDS, api, write, lambda it: api.whole(it, name), lambda: None)


class _Provider(Protocol):
    """A dialect's vectors as providers give them."""

    def write_request(self, embedding: Embedding, model: str) -> Written:
        """Raises `InexpressibleError`."""

    def read_answer(self, body: bytes) -> Vectors:
        """Raises `MalformedAnswerError`, `EmptyAnswerError` or `ReportedError`."""


_PROVIDERS: Mapping[str, _Provider] = MappingProxyType({"openai": embedding, "gemini": gemini_embedding})
"""By the dialect that a plan names."""


class _Translated:
    """A `Call`."""

    __slots__ = ("_count", "_provider", "_write", "usage", "written")

    is_translated = True
    made = None

    def __init__(self, provider: _Provider, asked: Embedding, attempt: Attempt, write: Callable[[Vectors], bytes]):
        self._provider = provider
        self._write = write
        self._count = len(asked.inputs)
        self.usage: Usage | None = None
        self.written = provider.write_request(asked, attempt.upstream_model)

    def complete(self, body: bytes) -> bytes:
        """As the protocol says."""
        vectors = self._provider.read_answer(body)
        if len(vectors.values) != self._count:
            raise MalformedAnswerError(f"{len(vectors.values)} vectors for {self._count} inputs")
        self.usage = vectors.usage
        return self._write(vectors)

    def reader(self) -> EventReader | None:
        """There are no streams of vectors."""
        return None


@dataclass(slots=True)
class _Vectors:
    """An `Asked`."""

    model: str
    voice: Voice
    needs: Needs
    dialect: str
    name: str
    """What the API is called, for those who do not have it."""
    passed: Callable[[str], Call]
    read: Callable[[], Embedding]
    write: Callable[[Vectors, Embedding], bytes]
    stream: bool = False
    operation: Operation = Operation.EMBED
    goes_on_from: str = ""

    def acts(self) -> bool:
        """As the protocol says."""
        return False

    def of(self, attempt: Attempt) -> Call:
        """As the protocol says."""
        if attempt.dialect == self.dialect:
            return self.passed(attempt.upstream_model)
        provider = _PROVIDERS.get(attempt.dialect)
        if provider is None:
            raise InexpressibleError((self.name,))
        asked = self.read()
        return _Translated(provider, asked, attempt, lambda vectors: self.write(vectors, asked))


def embeddings(body: bytes, head: Headers) -> Asked:
    """Vectors in OpenAI's words."""
    api, request = EMBEDDINGS, open_request(body)
    name = request.model

    def passed(model: str) -> Call:
        return Passed(Written(api.path, request.body(model)), lambda it: api.whole(it, name), lambda: None)

    def read() -> Embedding:
        return embedding.read_request(body, name)

    needed = needs.of_embedding(request.fields)
    return _Vectors(name, OPENAI, needed, "openai", f"/v1{api.path}", passed, read, embedding.write_answer)


def embedded_content(body: bytes, model: str, *, many: bool) -> Asked:
    """Vectors in Google's words."""
    gemini.passthrough.check_model(model)
    needed = gemini_embedding.check(body, many=many)

    def passed(upstream_model: str) -> Call:
        written = gemini_embedding.pass_on(body, upstream_model, many=many)
        return Passed(written, gemini_embedding.whole, lambda: None)

    return _Vectors(
        model,
        GEMINI,
        needed,
        "gemini",
        gemini.paths.Method.EMBED_MANY if many else gemini.paths.Method.EMBED,
        passed,
        lambda: gemini_embedding.read_request(body, model, many=many),
        lambda vectors, _: gemini_embedding.write_answer(vectors, many=many),
    )
