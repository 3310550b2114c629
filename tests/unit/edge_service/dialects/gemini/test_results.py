from __future__ import annotations

import pytest

from edge_service.dialects.gemini import results


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ('{"output":"plain"}', "plain", False),
        ('{"error":"it broke"}', "it broke", True),
        ('{"output":"{\\"a\\":1}"}', '{"output":"{\\"a\\":1}"}', False),
        ('{"output":"{\\"error\\":1}"}', '{"error":1}', False),
        ('{"output":"{not json"}', "{not json", False),
        ('{"output":5}', '{"output":5}', False),
        ('{"answer":"plain"}', '{"answer":"plain"}', False),
        (' {"a":1}', ' {"a":1}', False),
        ('{"error":{"code":1}}', '{"error":{"code":1}}', True),
        ('{"error":"x","output":"y"}', '{"error":"x","output":"y"}', False),
        ('{ "a" : 1.00 }', '{ "a" : 1.00 }', False),
        ("{}", "{}", False),
        ('{"output":"\\ud800"}', '{"output":"\\ud800"}', False),
    ],
)
def test_results_are_text_and_become_the_same_object_again(response: str, text: str, is_error: bool) -> None:
    assert results.read(response) == (text, is_error)
    assert results.read(bytes(results.write(text, is_error=is_error)).decode()) == (text, is_error)


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("", False, '{"output":""}'),
        ("rain", False, '{"output":"rain"}'),
        ("[1]", False, '{"output":"[1]"}'),
        ('{"a":1}', False, '{"a":1}'),
        ('{"a":1}', True, '{"error":"{\\"a\\":1}"}'),
        ('{"error":1}', False, '{"output":"{\\"error\\":1}"}'),
        ('{"a":' * 5000, False, None),
    ],
)
def test_text_becomes_an_object(text: str, is_error: bool, response: str | None) -> None:
    written = bytes(results.write(text, is_error=is_error)).decode()
    assert response is None or written == response
    assert written.startswith("{")
