"""Clients' requests to count tokens, by the API that they came in by.

OpenAI's dialect has no such call: its clients do not ask, and its providers cannot be asked. Sources:
https://platform.claude.com/docs/en/api/messages-count-tokens, https://ai.google.dev/api/tokens
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from edge_service.dialects import anthropic
from edge_service.dialects.anthropic.wire import COUNT_PATH
from edge_service.dialects.asked import ANTHROPIC, GEMINI
from edge_service.dialects.canonical import Request
from edge_service.dialects.exchange import MalformedAnswerError, Voice, Written
from edge_service.dialects.gemini import counting as gemini
from edge_service.dialects.gemini import passthrough
from edge_service.domain.headers import Headers
from edge_service.domain.plan import Attempt


class CountingProvider(Protocol):
    """A dialect's way to count, as providers speak it."""

    def write(self, request: Request, model: str) -> Written:
        """For a provider that calls the model by this name. Raises `InexpressibleError`."""

    def read(self, body: bytes) -> int:
        """Raises `MalformedAnswerError`."""


class _Gemini:
    def write(self, request: Request, model: str) -> Written:
        return gemini.write_request(request, model)

    def read(self, body: bytes) -> int:
        return gemini.read_answer(body)


PROVIDERS: Mapping[str, CountingProvider] = MappingProxyType(
    {"anthropic": anthropic.COUNTING_PROVIDER, "gemini": _Gemini()}
)
"""Who can count, by the dialect that a plan names."""


class Count:
    """A request to count as one target gets it, and what becomes of its answer."""

    __slots__ = ("_read", "_write", "is_translated", "written")

    def __init__(self, written: Written, read: Callable[[bytes], int], write: Callable[[int], bytes] | None) -> None:
        """`write` writes the answer for a client of another dialect; None passes it through."""
        self.written = written
        self.is_translated = write is not None
        self._read = read
        self._write = write

    def complete(self, body: bytes) -> bytes:
        """The answer for the client. Raises `MalformedAnswerError`."""
        tokens = self._read(body)
        if tokens < 0:
            raise MalformedAnswerError("not a count of tokens")
        return body if self._write is None else self._write(tokens)


class Countable:
    """A client's request to count, read as far as routing needs."""

    __slots__ = ("_dialect", "_pass", "_read", "_request", "model", "voice", "write")

    def __init__(
        self,
        model: str,
        voice: Voice,
        dialect: str,
        passed: Callable[[str], Written],
        read: Callable[[], Request],
        write: Callable[[int], bytes],
    ) -> None:
        """`passed` is the request for a target that speaks the client's dialect, and calls the model by the name given;
        `read` reads all of it; `write` writes an answer."""
        self.model = model
        self.voice = voice
        self.write = write
        self._dialect = dialect
        self._pass = passed
        self._read = read
        self._request: Request | None = None

    @property
    def request(self) -> Request:
        """All of it. Raises `InvalidRequestError`."""
        if self._request is None:
            self._request = self._read()
        return self._request

    def of(self, attempt: Attempt) -> Count | None:
        """None if the target's dialect cannot count. Raises `InexpressibleError` or `InvalidRequestError`."""
        provider = PROVIDERS.get(attempt.dialect)
        if provider is None:
            return None
        if attempt.dialect == self._dialect:
            return Count(self._pass(attempt.upstream_model), provider.read, None)
        request = self.request
        it = provider.write(request, attempt.upstream_model)
        written = Written(it.path, it.body, it.headers, (*request.unsaid, *it.dropped))
        return Count(written, provider.read, self.write)


def of_message(body: bytes, head: Headers) -> Countable:
    """`POST /v1/messages/count_tokens`; `head` are the client's headers. Raises `InvalidRequestError`, as the other
    does."""
    request = anthropic.passthrough.read(body, COUNT_PATH)
    client = anthropic.COUNTING_CLIENT
    return Countable(
        request.model,
        ANTHROPIC,
        "anthropic",
        lambda model: request.write(model, head),
        lambda: client.read(body),
        client.write,
    )


def of_contents(body: bytes, model: str) -> Countable:
    """`POST /v1beta/models/{model}:countTokens`."""
    passthrough.check_model(model)
    return Countable(
        model,
        GEMINI,
        "gemini",
        lambda upstream_model: gemini.pass_on(body, upstream_model),
        lambda: gemini.read_request(body, model),
        gemini.write_answer,
    )
