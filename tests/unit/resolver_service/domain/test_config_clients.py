from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from resolver_service.domain.clients import Client, Limits
from resolver_service.domain.config import parse
from tests.unit.resolver_service.domain.written import document, problems, provider


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


ONE, TWO = sha256("one"), sha256("two")


def clients(*entries: Any) -> Mapping[bytes, Client] | None:
    return parse(document(clients=list(entries))).clients


def only(**fields: Any) -> Client:
    found = clients({"id": "c", "key-sha256": ONE, **fields})
    assert found is not None
    (client,) = found.values()
    return client


def wrong(**fields: Any) -> list[tuple[str, str]]:
    return problems(document(clients=[{"id": "c", "key-sha256": ONE, **fields}]))


def test_without_the_section_there_are_no_clients_and_with_it_there_may_be_none() -> None:
    assert parse(document()).clients is None
    assert parse(document(clients=[])).clients == {}
    # All entries commented out: that opens no door.
    assert parse(document(clients=None)).clients == {}


def test_a_client_is_known_by_each_of_its_keys() -> None:
    found = clients({"id": "a", "key-sha256": [ONE, f" {TWO.upper()} "]}, {"id": "b", "key-sha256": sha256("three")})
    assert found is not None
    assert {key.hex(): client.id for key, client in found.items()} == {ONE: "a", TWO: "a", sha256("three"): "b"}
    assert found[bytes.fromhex(ONE)] is found[bytes.fromhex(TWO)]


def test_what_is_not_said_is_not_limited() -> None:
    client = only()
    assert (client.names, client.limits, client.expires_at) == (None, None, math.inf)
    assert only(limits={}).limits is None
    assert only(limits={"rpm": 1, "tpm": 2, "concurrent": 3}).limits == Limits(1, 2, 3)
    assert only(limits={"tpm": 2}).limits == Limits(tokens=2)


def test_a_client_that_is_disabled_is_not_known_but_keeps_its_keys() -> None:
    assert clients({"id": "a", "key-sha256": ONE, "disabled": True}) == {}
    tree = document(clients=[{"id": "a", "key-sha256": ONE, "disabled": True}, {"id": "b", "key-sha256": ONE}])
    assert problems(tree) == [("clients[1].key-sha256", "the same key as clients[0].key-sha256")]


@pytest.mark.parametrize(
    ("written", "until"),
    [
        ("2027-01-31", datetime(2027, 2, 1, tzinfo=UTC)),
        ("2028-02-29", datetime(2028, 3, 1, tzinfo=UTC)),
        ("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ("2027-01-31t18:00:00z", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ("2027-01-31t18:00:00.5+02:00", datetime(2027, 1, 31, 16, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_key_is_good_until_an_instant_or_to_the_end_of_a_day(written: str, until: datetime) -> None:
    assert only(expires=written).expires_at == until.timestamp()


@pytest.mark.parametrize(
    "written",
    ["2027-02-30", "31.1.2027", "2027-01-31T18:00:00", "2027-01-31 18:00:00Z", "9999-12-31", "20270131", "soon"],
)
def test_any_other_time_is_a_problem(written: str) -> None:
    ((path, message),) = wrong(expires=written)
    assert path == "clients[0].expires"
    assert message.startswith("expected a date, or an instant with its offset")


def test_a_day_ends_in_utc_wherever_the_resolver_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "NZST-12")
        time.tzset()
        until = only(expires="2027-01-31").expires_at
    time.tzset()
    assert until == datetime(2027, 2, 1, tzinfo=UTC).timestamp()


def test_a_name_in_parentheses_may_be_allowed_where_it_is_one() -> None:
    tree = document([provider("one", "odd(x)")], clients=[{"id": "c", "key-sha256": ONE, "allow": ["ODD(x)"]}])
    found = parse(tree).clients
    assert found is not None
    assert found[bytes.fromhex(ONE)].may_call("odd(x)")


def test_names_that_are_not_there_yet_may_be_allowed() -> None:
    client = only(allow=["Alpha", "coding-*", "to-come"])
    assert [client.may_call(name) for name in ("alpha", "coding-x", "to-come", "beta")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"allow": "alpha"}, "allow", "expected a list, got a string"),
        ({"allow": [""]}, "allow[0]", "must not be empty"),
        ({"allow": [5]}, "allow[0]", "expected a string, got an integer; put it in quotes"),
        ({"allow": ["a", "A"]}, "allow[1]", "duplicate entry 'A'; the first is at clients[0].allow[0]"),
        ({"allow": ["alpha(high)"]}, "allow[0]", "a reasoning level is not allowed by itself: 'alpha' allows each"),
        ({"allow": ["x" * 201]}, "allow[0]", "longer than 200 characters"),
        ({"allow": [f"n{i}" for i in range(101)]}, "allow", "101 entries; 100 are the most"),
        ({"limits": {"rpm": 0}}, "limits.rpm", "expected an integer from 1 to 1000000000, got 0"),
        ({"limits": {"tpm": 0}}, "limits.tpm", "expected an integer from 1 to 1000000000, got 0"),
        ({"limits": {"concurrent": 0}}, "limits.concurrent", "expected an integer from 1 to 100000, got 0"),
        ({"limits": {"tpm": 1.5}}, "limits.tpm", "expected an integer, got a number"),
        ({"limits": {"concurrent": True}}, "limits.concurrent", "expected an integer, got a boolean"),
        ({"limits": 5}, "limits", "expected a mapping, got an integer"),
        ({"alow": []}, "alow", "unknown key 'alow'; did you mean 'allow'?"),
        ({"id": None}, "id", "is required"),
        ({"description": 5}, "description", "expected a string, got an integer; put it in quotes"),
        ({"expires": 5}, "expires", "expected a string, got an integer; put it in quotes"),
    ],
)
def test_each_mistake_is_told_with_its_place(fields: dict[str, Any], path: str, message: str) -> None:
    assert wrong(**fields) == [(f"clients[0].{path}", message)]


def test_there_may_be_ten_keys_and_a_hundred_names_of_two_hundred_characters() -> None:
    keys, names = [sha256(str(n)) for n in range(10)], [f"{n:0200}" for n in range(100)]
    found = clients({"id": "c", "key-sha256": keys, "allow": names})
    assert found is not None
    assert len(found) == 10


def test_an_empty_list_of_names_is_taken_for_a_mistake() -> None:
    ((path, message),) = wrong(allow=[])
    assert (path, message.partition(";")[0]) == ("clients[0].allow", "must have at least one entry")


SECRET = "fb-5QnB0aZ9c1VxW7e3r4T6yU8iOp2lKjHgFdSaZxCvBnM"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (SECRET, "never the key itself"),
        (ONE[:-1], "64 hexadecimal digits"),
        (ONE[:-1] + "g", "64 hexadecimal digits"),
        (int("1" * 64), "got an integer; put it in quotes"),
        (sha256(""), "the SHA-256 of no text"),
        (None, "is required"),
        ([], "is required"),
        ({}, "got a mapping"),
        ([TWO, TWO], "the same key as clients[0].key-sha256[0]"),
        ([sha256(str(n)) for n in range(11)], "11 keys; 10 are the most"),
    ],
)
def test_what_is_no_hash_of_a_key_is_told_and_not_shown(written: object, words: str) -> None:
    ((path, message),) = wrong(**{"key-sha256": written})
    assert path.startswith("clients[0].key-sha256")
    assert words in message
    assert SECRET[5:20] not in message


@pytest.mark.parametrize("key", ["key", "api-key", "secret"])
def test_who_writes_the_key_itself_is_told_what_to_write(key: str) -> None:
    ((path, message),) = wrong(**{key: SECRET})
    assert path == f"clients[0].{key}"
    assert "forebay key hash" in message
    assert SECRET not in message


def test_all_mistakes_are_told_at_once() -> None:
    tree = document(
        clients=[{"id": "a", "allow": [5, "b", "B"]}, {"id": "A", "key-sha256": ONE, "limits": {"rpn": 1}}, 5]
    )
    assert [path for path, _ in problems(tree)] == [
        "clients[0].key-sha256",
        "clients[0].allow[0]",
        "clients[0].allow[2]",
        "clients[1].id",
        "clients[1].limits.rpn",
        "clients[2]",
    ]
