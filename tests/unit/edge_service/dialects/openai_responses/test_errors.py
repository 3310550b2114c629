from __future__ import annotations

from edge_service.dialects import openai_responses
from edge_service.domain.errors import InvalidRequestError, LimitedError
from tests.support import published_responses


def test_a_body_is_as_in_all_of_openais_apis() -> None:
    body = openai_responses.CLIENT.error_body(LimitedError("slow down"))
    published_responses.check_error(body)
    assert openai_responses.is_error_body(body)


def test_an_event_is_the_dialects_own() -> None:
    (told,) = published_responses.events(openai_responses.CLIENT.error_event(InvalidRequestError("no", param="input")))
    assert told == {
        "type": "error",
        "code": "invalid_request",
        "message": "no",
        "param": "input",
        "sequence_number": 0,
    }
