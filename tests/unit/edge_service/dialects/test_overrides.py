from __future__ import annotations

import pytest

from edge_service.dialects.exchange import Written
from edge_service.dialects.overrides import applied
from edge_service.domain.bodies import Pieces
from edge_service.domain.plan import Attempt, Params, Quirks

BODY = b'{"model":"m","temperature": 1.0 ,"top_p":1,"messages":[]}'


def attempt(params: Params | None = None, drop: tuple[str, ...] = ()) -> Attempt:
    target = Attempt("p/m#0", "p", "openai", "http://p", "m", "", quirks=Quirks(drop=frozenset(drop)))
    return target if params is None else Attempt("p/m#0", "p", "openai", "http://p", "m", "", params=params)


def test_nothing_said_is_nothing_touched() -> None:
    plain = Attempt("p/m#0", "p", "openai", "http://p", "m", "")
    assert applied(plain, Written("/c", b"not even JSON")) == b"not even JSON"


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (attempt(Params(set_json=b'{"top_p":0.5}')), b'{"model":"m","temperature":1.0,"top_p":0.5,"messages":[]}'),
        (
            attempt(Params(default_json=b'{"top_p":0.5,"seed":7}')),
            b'{"top_p":1,"seed":7,"model":"m","temperature":1.0,"messages":[]}',
        ),
        (attempt(Params(drop=frozenset({"temperature", "absent"}))), b'{"model":"m","top_p":1,"messages":[]}'),
        (attempt(drop=("top_p",)), b'{"model":"m","temperature":1.0,"messages":[]}'),
        (
            attempt(Params(set_json=b'{"a":1}', default_json=b'{"a":2,"b":3}', drop=frozenset({"b", "top_p"}))),
            b'{"a":1,"model":"m","temperature":1.0,"messages":[]}',
        ),
    ],
)
def test_fields_are_set_filled_in_and_taken_out(given: Attempt, body: bytes) -> None:
    assert applied(given, Written("/c", BODY)) == body


@pytest.mark.parametrize(
    ("rename", "drop", "body"),
    [
        ((("top_p", "nucleus"),), "", b'{"model":"m","temperature":1.0,"messages":[],"nucleus":1}'),
        ((("absent", "nucleus"),), "", b'{"model":"m","temperature":1.0,"top_p":1,"messages":[]}'),
        ((("top_p", "temperature"),), "", b'{"model":"m","temperature":1.0,"messages":[]}'),
        ((("top_p", "nucleus"),), "nucleus", b'{"model":"m","temperature":1.0,"messages":[]}'),
    ],
)
def test_fields_have_other_names(rename: tuple[tuple[str, str], ...], drop: str, body: bytes) -> None:
    quirks = Quirks(rename=rename, drop=frozenset({drop}) - {""})
    assert applied(Attempt("p/m#0", "p", "openai", "http://p", "m", "", quirks=quirks), Written("/c", BODY)) == body


def test_a_body_in_pieces_is_put_together_to_be_changed() -> None:
    pieces = Pieces(BODY[:20], memoryview(BODY)[20:])
    assert applied(attempt(), Written("/c", pieces)) is pieces
    assert applied(attempt(drop=("top_p",)), Written("/c", pieces)) == applied(
        attempt(drop=("top_p",)), Written("/c", BODY)
    )


def test_half_a_surrogate_pair_stays() -> None:
    given = attempt(Params(default_json=b'{"seed":7}'))
    body = b'{"model":"m","messages":["\\ud83d"]}'
    assert applied(given, Written("/c", body)) == b'{"seed":7,"model":"m","messages":["\\ud83d"]}'


def test_a_form_stays_as_it_is() -> None:
    given = attempt(Params(set_json=b'{"seed":7}'))
    form = Written("/c", b"--x--", content_type=b"multipart/form-data; boundary=x")
    assert applied(given, form) == b"--x--"
