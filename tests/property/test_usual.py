"""Courses that are kept against those that are put together for each request: whatever comes, they are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from resolver_service.app.decisions import Query
from resolver_service.app.refusals import ResolveError
from resolver_service.domain.abilities import NO_NEEDS, Needs
from resolver_service.domain.policy import Disposition
from tests.support.resolving import Resolving

TEXT = """
providers:
  - {{id: a, dialect: openai, base-url: "https://a.example/v1", models: [m], credentials: [env:A, env:B]}}
  - {{id: b, dialect: openai, base-url: "https://b.example/v1", models: [m]{limit}}}
  - {{id: c, dialect: openai, base-url: "https://c.example/v1", disabled: {disabled},
      models: [{{id: m, context: 1000}}, only]}}
  - {{id: d, dialect: openai, base-url: "https://d.example/v1", models: [n]}}
policy: {{attempts: {attempts}}}
model-pools:
  pools:
    - {{id: Ring, strategy: round-robin, members: [{{provider: b, model: m}}, {{provider: d, model: n, weight: 2}}]}}
    - {{id: walk, members: [{{provider: a, model: m}}, {{provider: b, model: m}}]}}
    - {{id: able, strategy: round-robin, members: [{{provider: c, model: m}}, {{provider: d, model: n}}]}}
  clusters:
    - {{id: over, members: [{{pool: Ring}}], policy: {{attempts: 1}}}}
"""
TARGETS = ["a/m#0", "a/m#1", "b/m#0", "c/m#0", "d/n#0"]

Step: TypeAlias = Callable[[Resolving], object]


def resolve(
    model: str, *, excluded: frozenset[str], needs: Needs, counting: bool, close: bool
) -> Callable[[Resolving], object]:
    def step(it: Resolving) -> Any:
        try:
            decision = it.resolver.resolve(Query(model, counting, will_report=True, excluded=excluded, needs=needs))
        except ResolveError as error:
            return error.code
        if close:
            it.close(decision)
        return decision.id, decision.course._replace(is_usual=False)

    return step


def reload(*, limit: str, disabled: bool, attempts: int) -> Step:
    text = TEXT.format(limit=limit, disabled=str(disabled).lower(), attempts=attempts).encode()
    return lambda it: asyncio.run(it.configuration.offer(text))


def recover(it: Resolving) -> None:
    for target in TARGETS:
        if target in it.configuration.current.catalog.targets:
            it.operator.clear(target)
            it.operator.undrain(target)


targets = st.sampled_from(TARGETS)
dispositions = st.sampled_from([Disposition.RATE_LIMITED, Disposition.CREDENTIAL, Disposition.OVERLOADED])


def requests() -> st.SearchStrategy[Step]:
    return st.builds(
        resolve,
        st.sampled_from(["ring", "Ring", "walk", "able", "over", "m", "only", "n(high)"]),
        excluded=st.just(frozenset[str]()) | st.frozensets(targets, max_size=1),
        needs=st.just(NO_NEEDS) | st.just(Needs(input_tokens=2000)),
        counting=st.sampled_from([False, False, True]),
        close=st.sampled_from([True, True, False]),
    )


steps = st.one_of(
    # Each made anew: one strategy that stands there eight times is drawn from as if it stood there once.
    *(requests() for _ in range(8)),
    st.builds(lambda target, why: lambda it: it.fail(target, why), targets, dispositions),
    st.just(recover),
    st.builds(lambda target, drained: lambda it: it.drains.put(target, drained=drained), targets, st.booleans()),
    st.builds(lambda seconds: lambda it: it.clock.advance(seconds), st.sampled_from([1, 31, 301])),
    st.builds(
        reload,
        limit=st.sampled_from(["", ", max-concurrent: 1"]),
        disabled=st.booleans(),
        attempts=st.sampled_from([1, 2, 10]),
    ),
)


@given(st.lists(steps, min_size=10, max_size=30))
@settings(max_examples=50)
def test_it_makes_no_difference_whether_courses_are_kept(taken: list[Step]) -> None:
    text = TEXT.format(limit="", disabled="false", attempts=10)
    keeping, other = Resolving(text), Resolving(text)
    other.resolver._usual.find = lambda *_: None  # type: ignore[method-assign]
    for step in taken:
        assert step(keeping) == step(other)
