from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from edge_service.adapters.upstream.stock import FAILURES, Httpx2Response, Httpx2Upstream
from edge_service.adapters.upstream.stock_transport import Transport
from edge_service.adapters.upstream.trust import ssl_context
from edge_service.app.ports import BrokenError, SilentError, UnreachableError, UpstreamFailure
from edge_service.domain.plan import Attempt, Timeouts

SECRET = "sk-canary-77"


def attempt(base_url: str, credential_ref: str = "env:X_API_KEY", connect_s: float = 5.0) -> Attempt:
    timeouts = Timeouts(connect_s=connect_s)
    return Attempt("p/m#0", "p", "openai", base_url, "m", credential_ref, timeouts=timeouts, allow_private=True)


@pytest.fixture
async def transport() -> AsyncIterator[httpx2.AsyncBaseTransport]:
    made = Transport(ssl_context())
    yield made
    await made.aclose()


@pytest.fixture
def upstream(transport: httpx2.AsyncBaseTransport) -> Httpx2Upstream:
    return Httpx2Upstream(transport, lambda _: SECRET)


async def body(response: Httpx2Response) -> bytes:
    return b"".join([chunk async for chunk in response.chunks()])


def transport_errors(kind: type[httpx2.TransportError] = httpx2.TransportError) -> Iterator[type[Exception]]:
    below = kind.__subclasses__()
    for each in below:
        yield from transport_errors(each)
    if not below:
        yield kind


def test_every_error_of_the_transport_has_a_meaning() -> None:
    assert set(transport_errors()) == FAILURES.keys()


class Failing(httpx2.AsyncBaseTransport):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise self.error


@pytest.mark.parametrize(("raised", "meaning"), FAILURES.items(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("words", ["words", ""])
async def test_an_error_while_sending_becomes_what_it_means(
    raised: type[httpx2.TransportError], meaning: type[UpstreamFailure], words: str
) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        await Httpx2Upstream(Failing(raised(words)), lambda _: SECRET).send(attempt("http://p.test"), "/c", [], b"")
    assert type(caught.value) is meaning
    shown = words and meaning is not BrokenError  # Those are words about what came, if not its own.
    assert str(caught.value) == (f"{raised.__name__}: words" if shown else raised.__name__)


@pytest.mark.parametrize(("raised", "meaning"), FAILURES.items(), ids=lambda kind: kind.__name__)
async def test_an_error_while_reading_becomes_what_it_means(
    raised: type[httpx2.TransportError], meaning: type[UpstreamFailure]
) -> None:
    class Stream(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"begun"
            raise raised("words")

    response = Httpx2Response(httpx2.Response(200, stream=Stream()))
    chunks = response.chunks()
    assert await anext(chunks) == b"begun"
    with pytest.raises(UpstreamFailure) as caught:
        await anext(chunks)
    assert type(caught.value) is meaning
    await response.aclose()


async def test_an_error_that_is_new_to_us_counts_as_broken() -> None:
    class NewError(httpx2.NetworkError):
        pass

    try:
        with pytest.raises(BrokenError, match=r"^NewError$"):
            await Httpx2Upstream(Failing(NewError("words")), lambda _: "").send(attempt("http://p.test"), "/c", [], b"")
    finally:
        del NewError
        __import__("gc").collect()  # Gone from `__subclasses__` for the test of completeness.


def test_a_silent_provider_has_an_error_of_its_own() -> None:
    assert FAILURES[httpx2.ReadTimeout] is FAILURES[httpx2.WriteTimeout] is SilentError


async def test_a_certificate_that_is_not_accepted_is_told_apart_from_a_broken_network() -> None:
    verification = ssl.SSLCertVerificationError(1, "certificate verify failed")
    verification.verify_message = "certificate has expired"
    error = httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.__cause__ = ValueError()
    error.__cause__.__context__ = verification
    with pytest.raises(UnreachableError) as raised:
        await Httpx2Upstream(Failing(error), lambda _: SECRET).send(attempt("https://p"), "/c", [], b"{}")
    assert str(raised.value) == "TLS: the provider's certificate is not accepted: certificate has expired"
