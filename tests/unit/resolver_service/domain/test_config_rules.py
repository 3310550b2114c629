from __future__ import annotations

from typing import Any

import pytest

from resolver_service.domain.config import ConfigError, parse
from resolver_service.domain.config_policy import FAILURES
from resolver_service.domain.config_rules import LONGEST_WORDS, MOST_RULES
from resolver_service.domain.policy import Disposition
from resolver_service.domain.providers import AnswerRule, Provider

QUOTA = {"disposition": "quota"}
WORDS = ", ".join(FAILURES[:-1]) + f" or {FAILURES[-1]}"


def one(**more: Any) -> dict[str, Any]:
    return {"providers": [{"id": "one", "dialect": "openai", "base-url": "https://one.example/v1", **more}]}


def read(**more: Any) -> Provider:
    (provider,) = parse(one(**more)).providers
    return provider


def problems(**more: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse(one(**more))
    return [(problem.path.removeprefix("providers[0]."), problem.message) for problem in caught.value.problems]


def test_rules_are_kept_in_their_order() -> None:
    rules = [
        {"status": 400, "body-contains": " Quota Exhausted ", "disposition": "quota"},
        {"status": 400, "disposition": "context-length"},
        {"body-contains": "quota exhausted", "disposition": "rate-limited"},
    ]
    assert read(rules=rules).rules == (
        AnswerRule(Disposition.QUOTA, 400, "Quota Exhausted"),
        AnswerRule(Disposition.CONTEXT_LENGTH, status=400),
        AnswerRule(Disposition.RATE_LIMITED, body_contains="quota exhausted"),
    )


@pytest.mark.parametrize("more", [{}, {"rules": None, "max-concurrent": None}, {"rules": []}])
def test_a_provider_without_rules_and_limit_has_none(more: dict[str, Any]) -> None:
    assert (read(**more).rules, read(**more).max_concurrent) == ((), None)


@pytest.mark.parametrize("status", [200, 599])
@pytest.mark.parametrize("disposition", FAILURES)
def test_every_failure_can_be_named_for_every_status_of_an_answer(status: int, disposition: Disposition) -> None:
    rules = [{"status": status, "disposition": disposition.value}]
    assert read(rules=rules).rules == (AnswerRule(disposition, status),)


@pytest.mark.parametrize(
    ("rule", "path", "message"),
    [
        ("quota", "", "expected a mapping, got a string"),
        (QUOTA, "", "expected at least one of 'status' and 'body-contains'"),
        ({"status": 400}, ".disposition", f"is required: {WORDS}"),
        ({"status": 400, "disposition": "ok"}, ".disposition", "'ok' is no failure, and an error answer is one"),
        (
            {"status": 400, "disposition": "cancelled"},
            ".disposition",
            "'cancelled' is no failure, and an error answer is one",
        ),
        (
            {"status": 400, "disposition": "qouta"},
            ".disposition",
            "unknown disposition 'qouta'; did you mean 'quota'?",
        ),
        ({"status": 400, "disposition": 429}, ".disposition", "expected a string, got an integer; put it in quotes"),
        ({"status": 199, **QUOTA}, ".status", "expected an integer from 200 to 599, got 199"),
        ({"status": 600, **QUOTA}, ".status", "expected an integer from 200 to 599, got 600"),
        ({"status": "400", **QUOTA}, ".status", "expected an integer, got a string"),
        ({"status": True, **QUOTA}, ".status", "expected an integer, got a boolean"),
        ({"body-contains": " ", **QUOTA}, ".body-contains", "must not be empty"),
        ({"body-contains": 1302, **QUOTA}, ".body-contains", "expected a string, got an integer; put it in quotes"),
        ({"body-contains": "a\nb", **QUOTA}, ".body-contains", "must not contain control characters"),
        (
            {"body-contains": "x" * (LONGEST_WORDS + 1), **QUOTA},
            ".body-contains",
            f"{LONGEST_WORDS} characters are the most, got {LONGEST_WORDS + 1}",
        ),
        (
            {"status": 400, "body_contains": "x", **QUOTA},
            ".body_contains",
            "unknown key 'body_contains'; did you mean 'body-contains'?",
        ),
    ],
)
def test_a_rule_that_cannot_be_used_is_told_with_its_place(rule: object, path: str, message: str) -> None:
    assert problems(rules=[{"status": 418, **QUOTA}, rule]) == [(f"rules[1]{path}", message)]


def test_all_mistakes_are_told_at_once() -> None:
    rules = [{"status": "x", "body-contains": "", "disposition": "ok"}, {}, None]
    assert [path for path, _ in problems(rules=rules, **{"max-concurrent": 0})] == [
        "rules[0].status",
        "rules[0].body-contains",
        "rules[0].disposition",
        "rules[1]",
        "rules[1].disposition",
        "rules[2]",
        "max-concurrent",
    ]


def test_a_rule_that_another_hides_is_a_mistake() -> None:
    rules = [
        {"status": 400, "body-contains": "Quota", **QUOTA},
        {"status": 400, **QUOTA},
        {"status": 400, "body-contains": "quota", "disposition": "overloaded"},
    ]
    assert problems(rules=rules) == [("rules[2]", "fits nothing that providers[0].rules[0] does not fit before it")]


def test_rules_are_few() -> None:
    rules = [{"status": 400 + i, **QUOTA} for i in range(MOST_RULES + 1)]
    assert len(read(rules=rules[1:]).rules) == MOST_RULES
    assert problems(rules=rules) == [("rules", f"{MOST_RULES} are the most, got {MOST_RULES + 1}")]


@pytest.mark.parametrize("most", [1, 100_000])
def test_a_limit_is_a_number_of_requests(most: int) -> None:
    assert read(**{"max-concurrent": most}).max_concurrent == most
    assert parse(one(**{"max-concurrent": most})).has_limits
    assert not parse(one()).has_limits


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "expected an integer from 1 to 100000, got 0"),
        (100_001, "expected an integer from 1 to 100000, got 100001"),
        ("4", "expected an integer, got a string"),
        (1.5, "expected an integer, got a number"),
    ],
)
def test_a_limit_is_at_least_one(value: object, message: str) -> None:
    assert problems(**{"max-concurrent": value}) == [("max-concurrent", message)]
