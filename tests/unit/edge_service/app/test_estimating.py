from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from edge_service.app.estimating import MOST_CHARS, SLICE_CHARS, Estimator
from edge_service.dialects import counting
from edge_service.dialects.canonical import Request
from edge_service.dialects.estimable import MESSAGE_TOKENS


def of(*texts: str) -> Request:
    messages = [{"role": "user", "content": text} for text in texts]
    return counting.of_message(json.dumps({"model": "chat", "messages": messages}).encode(), []).request


class Letters:
    """A tokenizer for which a letter is a token, and which notes what it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def count(self, text: str) -> int:
        self.given.append(text)
        return len(text)


async def test_texts_are_counted_in_slices_that_lose_nothing() -> None:
    letters = Letters()
    text = "abcdefg " * 5000 + "x" * 20_000
    tokens = await Estimator(letters).estimate(of(text, "", "the end"))
    assert tokens == 3 * MESSAGE_TOKENS + len(text) + len("the end")
    assert "".join(letters.given) == text + "the end"
    assert max(map(len, letters.given)) == SLICE_CHARS
    assert all(piece.startswith(" ") for piece in letters.given[1:4]), "cut where a token begins"


@pytest.mark.parametrize("texts", [["x" * 10 * SLICE_CHARS], ["x" * 1024] * 80])
async def test_others_have_their_turn_after_each_slice(texts: list[str]) -> None:
    turns: list[int] = []
    letters = Letters()

    async def looks_on() -> None:
        while True:
            turns.append(sum(map(len, letters.given)))
            await asyncio.sleep(0)

    looking = asyncio.create_task(looks_on())
    await Estimator(letters).estimate(of(*texts))
    looking.cancel()
    between = [after - before for before, after in itertools.pairwise(turns)]
    assert max(between) <= SLICE_CHARS
    assert len(turns) >= 9


async def test_one_request_is_counted_after_another() -> None:
    letters = Letters()
    estimator = Estimator(letters)
    both = (estimator.estimate(of("a" * 3 * SLICE_CHARS)), estimator.estimate(of("b" * 3 * SLICE_CHARS)))
    await asyncio.gather(*both)
    assert [piece[0] for piece in letters.given] == ["a"] * 3 + ["b"] * 3


async def test_who_gives_up_leaves_its_turn_to_others() -> None:
    estimator = Estimator(Letters())
    first = asyncio.create_task(estimator.estimate(of("a" * 100 * SLICE_CHARS)))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(20):
        assert await estimator.estimate(of("b")) == MESSAGE_TOKENS + 1


async def test_behind_what_fits_into_any_model_nothing_is_counted() -> None:
    letters = Letters()
    tokens = await Estimator(letters).estimate(of("x" * 3 * MOST_CHARS))
    assert tokens == MESSAGE_TOKENS + 3 * MOST_CHARS
    assert MOST_CHARS <= sum(map(len, letters.given)) <= MOST_CHARS + SLICE_CHARS
