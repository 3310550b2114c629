from __future__ import annotations

import pytest

from edge_service.domain import headers

HOP_BY_HOP = [b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-authorization"]


@pytest.mark.parametrize(
    "name", [b"openai-beta", b"openai-anything-new", b"anthropic-version", b"anthropic-beta", b"x-stainless-lang"]
)
def test_what_a_provider_of_the_dialect_may_want_passes(name: bytes) -> None:
    assert headers.to_upstream([(name, b"v")]) == [(name, b"v")]


@pytest.mark.parametrize(
    "name",
    [
        *HOP_BY_HOP,
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"accept-encoding",
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"cookie",
        b"forwarded",
        b"x-forwarded-for",
        b"x-real-ip",
        b"user-agent",
        b"openai-organization",
        b"openai-project",
        b"x-forebay-request-id",
        b"x-forebay-timeout-s",
        b"x-request-id",
        b"expect",
    ],
)
def test_nothing_else_of_the_clients_reaches_a_provider(name: bytes) -> None:
    assert headers.to_upstream([(name, b"v")]) == []


def test_white_space_around_a_value_stays_behind() -> None:
    assert headers.to_upstream([(b"openai-beta", b"\ta b \t")]) == [(b"openai-beta", b"a b")]


@pytest.mark.parametrize(
    "name",
    [
        b"content-type",
        b"x-ratelimit-remaining-requests",
        b"anthropic-ratelimit-tokens-reset",
        b"openai-processing-ms",
        b"openai-version",
    ],
)
def test_what_a_client_may_want_passes(name: bytes) -> None:
    assert headers.to_client([(name, b"v")]) == [(name, b"v")]


@pytest.mark.parametrize(
    "name",
    [
        *HOP_BY_HOP,
        b"set-cookie",
        b"content-length",
        b"content-encoding",
        b"server",
        b"date",
        b"alt-svc",
        b"strict-transport-security",
        b"openai-organization",
        b"openai-project",
        b"anthropic-organization-id",
        b"x-forebay-target",
        b"x-should-retry",
        b"retry-after",
        b"retry-after-ms",
        b"x-request-id",
        b"request-id",
    ],
)
def test_nothing_else_of_the_providers_reaches_the_client(name: bytes) -> None:
    assert headers.to_client([(name, b"v")]) == []


def test_repeated_headers_and_their_order_stay() -> None:
    pairs = [(b"openai-b", b"1"), (b"openai-a", b"2"), (b"openai-b", b"3")]
    assert headers.to_upstream(pairs) == headers.to_client(pairs) == pairs


@pytest.mark.parametrize(
    "options",
    [
        [(b"connection", b"openai-a")],
        [(b"connection", b"close, \tOpenAI-A ")],
        [(b"connection", b"keep-alive"), (b"connection", b",openai-a,")],
    ],
)
def test_what_is_for_one_connection_stays_on_it(options: headers.Headers) -> None:
    pairs = [(b"openai-a", b"1"), (b"openai-b", b"2"), *options, (b"openai-a", b"3")]
    assert headers.to_upstream(pairs) == headers.to_client(pairs) == [(b"openai-b", b"2")]


@pytest.mark.parametrize("options", [b"keep-alive", b"Close", b"upgrade, openai", b""])
def test_what_its_connection_does_not_name_passes(options: bytes) -> None:
    pairs = [(b"connection", options), (b"openai-a", b"1")]
    assert headers.to_upstream(pairs) == headers.to_client(pairs) == pairs[1:]


def test_the_first_of_repeated_headers_is_found() -> None:
    assert headers.first([(b"a", b"1"), (b"b", b"2"), (b"b", b"3")], b"b") == b"2"
    assert headers.first([(b"a", b"1")], b"b") is None


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ([(b"x-request-id", b"req_1")], "req_1"),
        ([(b"request-id", b"req 1")], ""),
        ([(b"x-request-id", b"\xff"), (b"request-id", b"req_2")], "req_2"),
        ([(b"x-request-id", b"x" * 128)], "x" * 128),
        ([(b"x-request-id", b"x" * 129)], ""),
        ([(b"x-request-id", b"a\x1b[31m")], ""),
        ([(b"x-request-id", b"a\n")], ""),
        ([(b"x-request-id", b"")], ""),
        ([(b"x-forebay-request-id", b"a")], ""),
    ],
)
def test_what_a_provider_calls_the_request_is_told_if_it_can_be_printed(shown: headers.Headers, told: str) -> None:
    assert headers.provider_request_id(shown) == told


@pytest.mark.parametrize("shown", [b"a", b"A-1_b.c:d", b"x" * 128])
def test_a_request_id_that_is_one_is_kept(shown: bytes) -> None:
    assert headers.request_id(shown) == shown.decode()


@pytest.mark.parametrize(
    "shown", [None, b"", b"x" * 129, b"a b", b"a\n", b"a\r\nset-cookie: b", b"\xff", b'"', b"{}", "é".encode()]
)
def test_any_other_request_id_is_replaced(shown: bytes | None) -> None:
    made = headers.request_id(shown)
    assert len(made) == 32
    assert int(made, 16) >= 0
    assert made != headers.request_id(shown)
