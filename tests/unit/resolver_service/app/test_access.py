from __future__ import annotations

import hashlib

import pytest

from resolver_service.app.access import ClientKeyError
from resolver_service.app.decisions import Query
from resolver_service.app.refusals import UnknownModelError
from tests.support.resolving import Resolving


def sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


PROVIDERS = """
providers:
  - {id: one, dialect: openai, base-url: "https://1.test", models: [raw, secret-raw, "odd(name)"]}
model-pools:
  pools:
    - {id: pool, members: [{provider: one, model: raw}]}
    - {id: secret-pool, members: [{provider: one, model: secret-raw}]}
  clusters:
    - {id: chat, members: [{pool: pool}, {model: secret-raw, priority: 1}]}
    - {id: secret-chat, members: [{pool: secret-pool}]}
"""
CLIENTS = f"""
clients:
  - {{id: all, key-sha256: {sha256("all").hex()}}}
  - {{id: some, key-sha256: [{sha256("old").hex()}, {sha256("new").hex()}], allow: [CHAT, "po*"]}}
  - {{id: late, key-sha256: {sha256("late").hex()}, expires: "2024-01-01T00:00:00Z"}}
  - {{id: out, key-sha256: {sha256("out").hex()}, disabled: true}}
"""
OPEN = Resolving(PROVIDERS)
GUARDED = Resolving(PROVIDERS + CLIENTS)
EXPIRES_AT = 1_704_067_200.0


def targets(it: Resolving, model: str, key: str = "", *, required: bool = False) -> list[str]:
    query = Query(model, client_key=sha256(key) if key else b"", key_required=required)
    return [attempt.target.id for attempt in it.resolver.resolve(query).attempts]


def refusal(it: Resolving, key: str = "", *, required: bool = False) -> str:
    with pytest.raises(ClientKeyError) as caught:
        targets(it, "chat", key, required=required)
    return caught.value.code


def unknown(model: str, key: str) -> UnknownModelError:
    with pytest.raises(UnknownModelError) as caught:
        targets(GUARDED, model, key)
    return caught.value


@pytest.mark.parametrize("key", ["", "any"])
def test_without_clients_any_key_and_none_will_do(key: str) -> None:
    assert targets(OPEN, "chat", key) == ["one/raw#0", "one/secret-raw#0"]


def test_a_caller_may_require_a_known_key_where_there_are_no_clients() -> None:
    assert refusal(OPEN, required=True) == "client_key_missing"
    assert refusal(OPEN, "any", required=True) == "client_key_unknown"


@pytest.mark.parametrize("required", [False, True])
def test_with_clients_each_request_needs_the_key_of_one(required: bool) -> None:
    assert refusal(GUARDED, required=required) == "client_key_missing"
    for key in ("nobody's", "out"):
        assert refusal(GUARDED, key, required=required) == "client_key_unknown"
    for key in ("all", "old", "new"):
        assert targets(GUARDED, "chat", key, required=required)[0] == "one/raw#0"


def test_with_no_client_at_all_nobody_is_served() -> None:
    assert refusal(Resolving(PROVIDERS + "clients:\n"), "all") == "client_key_unknown"


def test_a_key_is_refused_from_the_instant_in_which_it_expires() -> None:
    it = Resolving(PROVIDERS + CLIENTS)
    it.wall_clock.now = EXPIRES_AT - 0.001
    assert targets(it, "chat", "late")
    it.wall_clock.now = EXPIRES_AT
    assert refusal(it, "late") == "client_key_expired"


def test_a_refusal_names_no_key() -> None:
    with pytest.raises(ClientKeyError) as caught:
        targets(GUARDED, "chat", "nobody's")
    assert str(caught.value) == "the API key is not known"


def test_what_stands_behind_an_allowed_name_need_not_be_allowed_itself() -> None:
    assert targets(GUARDED, "chat", "new") == ["one/raw#0", "one/secret-raw#0"]
    assert targets(GUARDED, "POOL(high)", "new") == ["one/raw#0"]


@pytest.mark.parametrize("model", ["secret-chat", "secret-pool", "secret-raw", "raw", "secret-chat(high)", "odd(name)"])
def test_what_may_not_be_called_is_not_there(model: str) -> None:
    it, other = unknown(model, "new"), unknown("x" + model[1:], "new")
    assert (it.code, str(it)) == (other.code, str(other).replace(f"'x{model[1:]}'", f"'{model}'"))
    assert it.closest == other.closest
    assert all(name in ("chat", "pool") for name in it.closest)
    assert targets(GUARDED, model, "all")


def test_the_closest_names_are_those_that_may_be_called() -> None:
    assert unknown("chatt", "new").closest == ("chat",)
    assert set(unknown("secret-chatt", "all").closest) >= {"secret-chat"}
    assert "secret-chat" not in unknown("secret-chatt", "new").closest


def test_what_is_explained_is_what_may_be_called() -> None:
    explain = GUARDED.resolver.explain
    assert explain(Query("chat", client_key=sha256("new"))).kind == "cluster"
    with pytest.raises(UnknownModelError):
        explain(Query("secret-chat", client_key=sha256("new")))
    with pytest.raises(ClientKeyError):
        explain(Query("chat"))
    assert explain(Query("secret-chat"), everything=True).kind == "cluster"


async def test_a_key_that_is_taken_out_is_refused_at_once() -> None:
    it = Resolving(PROVIDERS + CLIENTS)
    assert targets(it, "chat", "old")
    await it.configuration.offer((PROVIDERS + CLIENTS).replace(sha256("old").hex(), sha256("newer").hex()).encode())
    assert refusal(it, "old") == "client_key_unknown"
    assert targets(it, "chat", "newer")


def test_whoever_may_ask_gets_a_plan_of_nothing() -> None:
    decision = GUARDED.resolver.authenticated(Query("", client_key=sha256("new")))
    assert (decision.attempts, decision.course.name) == ((), "")
    with pytest.raises(ClientKeyError):
        GUARDED.resolver.authenticated(Query(""))
    assert OPEN.resolver.authenticated(Query("")).attempts == ()
