"""What a provider's rules say of its error answers."""

from __future__ import annotations

from resolver_service.domain.config_policy import FAILURES
from resolver_service.domain.config_reader import Path, Section, path_text
from resolver_service.domain.policy import Disposition
from resolver_service.domain.providers import AnswerRule

MOST_RULES = 20
"""They travel with every attempt."""
LONGEST_WORDS = 200
LOWEST_STATUS = 200
"""Answers below it are none: another follows them."""

_KEYS = ("status", "body-contains", "disposition")


def read_rules(parent: Section) -> tuple[AnswerRule, ...]:
    """The rules under a provider's `rules`."""
    rules = []
    first: dict[tuple[int, str], Path] = {}
    for section in parent.sections("rules", _KEYS):
        rule = _rule(section)
        if rule is None:
            continue
        earlier = first.setdefault((rule.status, rule.body_contains.casefold()), section.path)
        if earlier is not section.path:
            section.problems.add(section.path, f"fits nothing that {path_text(earlier)} does not fit before it")
        rules.append(rule)
    if len(rules) > MOST_RULES:
        parent.problem("rules", f"{MOST_RULES} are the most, got {len(rules)}")
    return tuple(rules)


def _rule(section: Section) -> AnswerRule | None:
    """None, and a problem, if it cannot be used as it is."""
    any_status, any_words = section.get("status") is None, section.get("body-contains") is None
    disposition = _disposition(section)
    status = section.integer("status", LOWEST_STATUS, 599)
    words = section.name("body-contains")
    if words is not None and len(words) > LONGEST_WORDS:
        section.problem("body-contains", f"{LONGEST_WORDS} characters are the most, got {len(words)}")
    if any_status and any_words:
        section.problems.add(section.path, "expected at least one of 'status' and 'body-contains'")
    if disposition is None or (status is None) != any_status or (words is None) != any_words:
        return None
    return AnswerRule(disposition, status or 0, words or "")


def _disposition(section: Section) -> Disposition | None:
    value = section.get("disposition")
    if value in (Disposition.OK, Disposition.CANCELLED):
        section.problem("disposition", f"'{value}' is no failure, and an error answer is one")
        return None
    return section.choice("disposition", "disposition", FAILURES, required=True)
