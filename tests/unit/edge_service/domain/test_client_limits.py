from __future__ import annotations

import pytest

from edge_service.domain.client_limits import Allowance, ClientLimits, anthropic_headers, headers, span

NOW = 1_767_225_600.25
"""2026-01-01T00:00:00.25Z"""
LIMITS = ClientLimits(Allowance(100, 99, 0.6), Allowance(5000, 0, 60.0))
OPENAI = {
    b"x-ratelimit-limit-requests": b"100",
    b"x-ratelimit-remaining-requests": b"99",
    b"x-ratelimit-reset-requests": b"600ms",
    b"x-ratelimit-limit-tokens": b"5000",
    b"x-ratelimit-remaining-tokens": b"0",
    b"x-ratelimit-reset-tokens": b"1m0s",
}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (1.0, "1s"),
        (8.64, "8.64s"),
        (59.999, "59.999s"),
        (60.0, "1m0s"),
        (360.0, "6m0s"),
        (3600.5, "1h0m0.5s"),
    ],
)
def test_spans_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_limits_are_told_in_openais_words() -> None:
    assert dict(headers(LIMITS, NOW)) == OPENAI
    assert headers(ClientLimits(None, None), NOW) == []


def test_limits_are_told_in_anthropics_words_too() -> None:
    assert dict(anthropic_headers(LIMITS, NOW)) == {
        **OPENAI,
        b"anthropic-ratelimit-requests-limit": b"100",
        b"anthropic-ratelimit-requests-remaining": b"99",
        b"anthropic-ratelimit-requests-reset": b"2026-01-01T00:00:01Z",
        b"anthropic-ratelimit-tokens-limit": b"5000",
        b"anthropic-ratelimit-tokens-remaining": b"0",
        b"anthropic-ratelimit-tokens-reset": b"2026-01-01T00:01:01Z",
    }
    assert len(anthropic_headers(ClientLimits(Allowance(1, 1, 0.0), None), NOW)) == 6
